// The levels of two images, prediction and label, and of their comparison.
#pragma once

#include <algorithm>
#include <array>

#include "bits.hpp"
#include "filtration.hpp"
#include "parallel.hpp"
#include "voxel_order.hpp"

namespace topo {

enum Order : int { of_prediction, of_label, of_comparison };
inline constexpr int num_orders = 3;
inline constexpr Order all_orders[] = {of_prediction, of_label, of_comparison};

struct LevelRange {
  Level low = INT32_MAX, high = INT32_MIN;

  void include(Level level) {
    low = std::min(low, level);
    high = std::max(high, level);
  }
  void include(const LevelRange& other) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }
  bool has_at_end(Level level) const { return level == low || level == high; }
};

template <int D>
class ImagePair {
 public:
  ImagePair(Grid<D>&& prediction, Grid<D>&& label, bool comparison_is_greater, std::size_t threads)
      : grids_{std::move(prediction), std::move(label)},
        comparison_is_greater_(comparison_is_greater),
        threads_(useful_threads(threads, 2.0 * grids_[0].size())),
        rows_(grids_[0].rows()) {
    summarize();
  }

  const std::array<Grid<D>, 2>& grids() const { return grids_; }
  std::size_t threads() const { return threads_; }

  Level level(Voxel v, Order o) const {
    const Level of_p = grids_[0].level[v], of_l = grids_[1].level[v];
    if (o == of_comparison) return comparison_is_greater_ ? std::max(of_p, of_l) : std::min(of_p, of_l);
    return o == of_prediction ? of_p : of_l;
  }

  // The least and the greatest level of an image, and how many voxels of the prediction have them.
  const LevelRange& range(Order image) const { return summary_.ranges[image]; }
  std::size_t num_at_low() const { return summary_.at_low; }
  std::size_t num_at_high() const { return summary_.at_high; }

  // Whether the label has only two levels, and whether it has the greater one at a voxel. In few bytes, for the nearest
  // cache: voxels are asked for in the order of their values.
  bool label_is_binary() const { return summary_.label_is_binary; }
  bool binary_label_is_high(Voxel v) const { return label_is_greatest_[v / 64] >> (v % 64) & 1; }

  // Whether it is clear without a look at the orders that the label's is also that of the comparison: the label is binary,
  // and the prediction lies between its two levels and reaches only in the label the one that the comparison prefers.
  bool label_gives_comparison() const { return label_gives_comparison_; }

  // At most so many lie in a slab.
  std::size_t voxels_of_slab() const { return (rows_.size() / num_slabs(rows_.size(), threads_) + 1) * row_length(); }

  // Calls visit(first voxel of a row, what was made of its slab) for all rows, on threads; returns what was made of each
  // slab, in order.
  template <class OfSlab, class Visit>
  Array<OfSlab> of_slabs(Visit visit) const {
    Array<OfSlab> made(num_slabs(rows_.size(), threads_));
    parallel_for(made.size(), threads_, [&](std::size_t slab) {
      OfSlab own{};  // not in the array: threads would write side by side
      for (std::size_t i = slab * rows_.size() / made.size(); i < (slab + 1) * rows_.size() / made.size(); ++i)
        visit(rows_[i], own);
      made[slab] = std::move(own);
    });
    return made;
  }

 private:
  Voxel row_length() const { return grids_[0].extent[D - 1]; }

  // What is found in rows.
  struct Summary {
    std::array<LevelRange, 2> ranges;
    std::size_t at_low = 0, at_high = 0;  // voxels of the prediction
    bool label_is_binary = true;

    bool empty() const { return ranges[of_label].low > ranges[of_label].high; }

    void include(const Summary& other) {
      if (empty() || other.empty()) {
        if (empty()) *this = other;
        return;
      }
      const auto before = ranges;
      for (Order image : {of_prediction, of_label}) ranges[image].include(other.ranges[image]);
      const auto count = [&](Level LevelRange::* end, std::size_t own, std::size_t others) {
        const Level level = ranges[of_prediction].*end;
        return (before[of_prediction].*end == level ? own : 0) +
               (other.ranges[of_prediction].*end == level ? others : 0);
      };
      at_low = count(&LevelRange::low, at_low, other.at_low);
      at_high = count(&LevelRange::high, at_high, other.at_high);
      label_is_binary &= other.label_is_binary;
      for (const LevelRange& of : {before[of_label], other.ranges[of_label]})
        label_is_binary &= ranges[of_label].has_at_end(of.low) && ranges[of_label].has_at_end(of.high);
    }
  };

  // Reads a row several times, while it is in the nearest cache.
  Summary summary(Voxel first) const {
    const Level *const of_p = grids_[0].level.data() + first, *const of_l = grids_[1].level.data() + first;
    const Voxel length = row_length();
    Summary found;
    for (Voxel x = 0; x < length; ++x) {
      found.ranges[of_prediction].include(of_p[x]);
      found.ranges[of_label].include(of_l[x]);
    }
    const auto [low, high] = found.ranges[of_prediction];
    const auto [label_low, label_high] = found.ranges[of_label];
    std::uint32_t at_low = 0, at_high = 0, others = 0;
    for (Voxel x = 0; x < length; ++x) {
      at_low += of_p[x] == low;
      at_high += of_p[x] == high;
      others += (of_l[x] != label_low) & (of_l[x] != label_high);
    }
    found.at_low = at_low;
    found.at_high = at_high;
    found.label_is_binary = others == 0;
    return found;
  }

  void summarize() {
    const auto slabs = of_slabs<Summary>([&](Voxel first, Summary& of_slab) { of_slab.include(summary(first)); });
    for (const Summary& of_slab : slabs) summary_.include(of_slab);
    if (!label_is_binary()) return;
    const Level *const level = grids_[of_label].level.data(), greatest = range(of_label).high;
    const std::size_t size = grids_[of_label].level.size();
    label_is_greatest_.resize((size + 63) / 64);
    for_each_slab(label_is_greatest_.size(), threads_, 30.0, [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i)
        label_is_greatest_[i] =
            64 * (i + 1) <= size ? word_of([=](int k) { return level[64 * i + k] == greatest; })
                                 : word_of([=](int k) { return 64 * i + k < size && level[64 * i + k] == greatest; });
    });
    label_gives_comparison_ = find_whether_label_gives_comparison();
  }

  bool find_whether_label_gives_comparison() const {
    const auto [low, high] = range(of_label);
    const auto [least, greatest] = range(of_prediction);
    const Level preferred = comparison_is_greater_ ? high : low;
    if (least < low || greatest > high) return false;
    if (least > preferred || greatest < preferred) return true;
    const auto slabs = of_slabs<char>([&](Voxel first, char& is_reached) {
      for (Voxel v = first; v < first + row_length(); ++v)
        is_reached |= grids_[of_prediction].level[v] == preferred && grids_[of_label].level[v] != preferred;
    });
    return std::none_of(slabs.begin(), slabs.end(), [](char is_reached) { return is_reached != 0; });
  }

  std::array<Grid<D>, 2> grids_;
  bool comparison_is_greater_;
  std::size_t threads_;
  Array<Voxel> rows_;  // the first voxel of each
  Summary summary_;
  Array<std::uint64_t> label_is_greatest_;  // a bit for every voxel, of a binary label
  bool label_gives_comparison_ = false;
};

}  // namespace topo
