// The orders in which the voxels of two images, and of their comparison, enter.
//
// Voxels of the prediction are ordered by (value, value in the label, neighbors above, index), those of the other images
// by (value, rank in the prediction). The order of ties decides how many cells stay critical. Where the label is
// constant, which is nearly everywhere, its order and that of the comparison follow the prediction, and the joint
// gradient is the prediction's own.
//
// If the label is binary, its order and that of the comparison are the same unless the prediction reaches the label's
// value outside of it: both take the voxels of the label first, or last. What is the same is computed once.
#pragma once

#include "compiler.hpp"
#include "filtration.hpp"
#include "plateau_interior.hpp"
#include "radix_sort.hpp"
#include "voxel_order.hpp"

namespace topo {

enum Order : int { of_prediction, of_label, of_comparison };
inline constexpr int num_orders = 3;
inline constexpr Order all_orders[] = {of_prediction, of_label, of_comparison};

template <int D>
class JointOrders {
 public:
  JointOrders(Grid<D>&& prediction, Grid<D>&& label, bool comparison_is_greater, std::size_t threads)
      : comparison_is_greater_(comparison_is_greater),
        grid_{std::move(prediction), std::move(label)},
        threads_(useful_threads(threads, 2.0 * grid_[0].size())),
        rows_(grid_[0].rows()) {
    frame_rank_ = grid_[0].level[0] == enters_first ? 0 : INT32_MAX;
    find_ranges();
    set_order(0, order_of_prediction());
    set_order(1, ordered(order_[0].listed(), of_label));
    index_ = {0, 1, 1};
    num_distinct_ = 2;
    if (!label_gives_comparison() && !is_order_of_comparison(order_[1].listed())) {
      set_order(2, ordered(order_[0].listed(), of_comparison));
      index_[of_comparison] = 2;
      num_distinct_ = 3;
    }
    release(items_);
    release(memory_);
  }

  const Grid<D>& grid() const { return grid_[0]; }
  const PlateauInterior<D>& interior() const { return interior_; }
  Rank frame_rank() const { return frame_rank_; }

  // Orders that are the same have one index.
  int index(Order o) const { return index_[o]; }
  int num_distinct() const { return num_distinct_; }

  const Array<Rank>& ranks(int index) const { return order_[index].ranks(); }
  Rank rank(Voxel v, int index) const { return order_[index].ranks()[v]; }
  Voxel voxel(Rank rank, int index) const { return order_[index].voxel(rank); }
  std::size_t greatest_rank(int index) const { return order_[index].greatest_rank(); }

  bool is_least_of_label(Voxel v) const { return level(v, of_label) == ranges_[of_label].low; }

  Level level(Voxel v, Order o) const {
    const Level of_p = grid_[0].level[v], of_l = grid_[1].level[v];
    if (o == of_comparison) return comparison_is_greater_ ? std::max(of_p, of_l) : std::min(of_p, of_l);
    return o == of_prediction ? of_p : of_l;
  }

 private:
  static constexpr int all = box_size<D>;
  // With a plateau there are up to twice as many ranks as voxels, and ranks have 29 bits: see edge_at. Larger images are
  // sorted as a whole, which gives the same result.
  static constexpr Voxel most_voxels_with_plateau = Voxel{1} << 28;

  // Ties, as many as there are, come by the level of the label, the number of neighbors above, and index. By index alone,
  // the order would sweep a noisy mask, and its cycles with it, from end to end. The inside of a plateau stays in index
  // order, which leaves the fewest critical cells there.
  Array<Voxel> order_of_prediction() {
    find_plateau();
    auto slabs = of_slabs<Listed>([&](Voxel row, Listed& listed) {
      interior_.for_each_voxel_run(
          row, row + grid_[0].extent[D - 1], [&](std::size_t first, std::size_t count, bool is_inside) {
            if (is_inside)
              listed.plateau_voxel = static_cast<Voxel>(first);
            else
              list_outside_plateau(static_cast<Voxel>(first), static_cast<Voxel>(count), listed);
          });
    });
    // Voxels of the plateau with as many neighbors above as below come by index in every order: one stands in for all.
    for (const Listed& slab : slabs)
      if (slab.plateau_voxel != no_voxel) plateau_voxel_ = slab.plateau_voxel;
    if (plateau_voxel_ != no_voxel) {
      slabs.back().voxels.push_back(plateau_voxel_);
      slabs.back().key.push_back(key_of(0, plateau_[1] == ranges_[of_label].high));
    }
    Array<Part> parts;
    bool is_binary = true;
    for (const Listed& slab : slabs) {
      parts.push_back({slab.voxels.data(), slab.voxels.size(), slab.key.data()});
      is_binary = is_binary && slab.label_is_binary;
    }
    return is_binary ? ordered(parts, of_prediction) : ordered(ordered(parts, of_label), of_prediction);
  }

  // If most voxels of the prediction have its least level, or its greatest, finds the plateau that they form together with
  // the label.
  void find_plateau() {
    const auto [low, high] = ranges_[of_prediction];
    const std::size_t at_low = count_level(low), at_high = count_level(high);
    const bool is_low = at_low > at_high;
    if (std::max(at_low, at_high) > grid_[0].size() / 2 && grid_[0].size() < most_voxels_with_plateau) {
      const Range label = ranges_[of_label];
      plateau_ = {is_low ? low : high, is_low ? label.low : label.high};
      interior_ = PlateauInterior<D>(grid_, plateau_, threads_);
    }
  }

  struct Range {
    Level low = INT32_MAX, high = INT32_MIN;

    void include(Level level) {
      low = std::min(low, level);
      high = std::max(high, level);
    }
    void include(const Range& other) {
      low = std::min(low, other.low);
      high = std::max(high, other.high);
    }
  };
  using Ranges = std::array<Range, num_orders>;

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

  // In the order of memory, which takes less time than in the order of the voxels later.
  void find_ranges() {
    const auto found = of_slabs<Ranges>([&](Voxel first, Ranges& ranges) {
      for (Voxel v = first; v < first + grid_[0].extent[D - 1]; ++v)
        for (Order o : all_orders) ranges[o].include(level(v, o));
    });
    for (const Ranges& of_slab : found)
      for (Order o : all_orders) ranges_[o].include(of_slab[o]);
  }

  std::size_t count_level(Level wanted) const {
    const auto counts = of_slabs<std::uint32_t>([&](Voxel first, std::uint32_t& count) {
      for (Voxel v = first; v < first + grid_[0].extent[D - 1]; ++v) count += level(v, of_prediction) == wanted;
    });
    return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  }

  using Key = std::uint8_t;
  static constexpr int keys_of_label = 2 * all, num_keys = 2 * keys_of_label;

  // Voxels with a key that orders ties: whether the label is at its greatest level there, then the number of neighbors
  // above. And a voxel of the plateau that is not listed, or no_voxel.
  struct Listed {
    Array<Voxel> voxels;
    Array<Key> key;
    Array<std::int8_t> above;  // of a row
    Voxel plateau_voxel = no_voxel;
    bool label_is_binary = true;
  };

  static Key key_of(int neighbors_above, bool label_is_high) {
    return static_cast<Key>(neighbors_above + all + label_is_high * keys_of_label);
  }

  // Appends voxels of a row.
  void list_outside_plateau(Voxel first, Voxel count, Listed& listed) const {
    const Range label = ranges_[of_label];
    const Level* const of_label_here = grid_[1].level.data() + first;
    const std::size_t begin = listed.voxels.size();
    listed.voxels.resize(begin + count);
    listed.key.resize(begin + count);
    listed.above.resize(count);
    count_neighbors_above(grid_[of_prediction].level.data() + first, count, listed.above.data());
    std::size_t end = begin;
    bool is_binary = true;
    for (Voxel i = 0; i < count; ++i) {  // without a branch, which could not be predicted
      const int above = listed.above[i];
      const bool is_on_plateau = above == 0 && is_at_plateau(first + i), is_high = of_label_here[i] == label.high;
      is_binary &= is_high || of_label_here[i] == label.low;
      listed.voxels[end] = first + i;
      listed.key[end] = key_of(above, is_high);
      end += !is_on_plateau;
      listed.plateau_voxel = is_on_plateau ? first + i : listed.plateau_voxel;
    }
    listed.label_is_binary = listed.label_is_binary && is_binary;
    listed.voxels.resize(end);
    listed.key.resize(end);
  }

  bool is_at_plateau(Voxel v) const {
    return interior_.exists() && grid_[0].level[v] == plateau_[0] && grid_[1].level[v] == plateau_[1];
  }

  // How many more of the neighbors of every voxel are higher than lower.
  TOPO_ALSO_FOR_AVX2 void count_neighbors_above(const Level* center, Voxel length,
                                                std::int8_t* TOPO_RESTRICT out) const {
    constexpr Voxel lanes = 8;
    Voxel start = 0;
    for (; start + lanes <= length; start += lanes) {
      const Level* const here = center + start;
      std::int32_t above[lanes] = {};
      for (Voxel offset : box_offsets_) {
        const Level* const other = here + static_cast<std::int32_t>(offset);
        for (Voxel x = 0; x < lanes; ++x) above[x] += (other[x] > here[x]) - (other[x] < here[x]);
      }
      for (Voxel x = 0; x < lanes; ++x) out[start + x] = static_cast<std::int8_t>(above[x]);
    }
    for (; start < length; ++start) {
      const Level* const here = center + start;
      int above = 0;
      for (Voxel offset : box_offsets_) {
        const Level other = here[static_cast<std::int32_t>(offset)];
        above += (other > *here) - (other < *here);
      }
      out[start] = static_cast<std::int8_t>(above);
    }
  }

  // Voxels and their keys; without keys they are all 0.
  struct Part {
    const Voxel* voxels;
    std::size_t count;
    const Key* key;
  };

  Array<Voxel> ordered(const Array<Voxel>& voxels, Order o) {
    Array<Part> parts(num_slabs(voxels.size(), threads_));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t begin = i * voxels.size() / parts.size();
      parts[i] = {voxels.data() + begin, (i + 1) * voxels.size() / parts.size() - begin, nullptr};
    }
    return ordered(parts, o);
  }

  // Voxels by level, those of equal level by key, and of equal key as they come. Those of the least and the greatest level
  // need no sort: all of a binary label, most of an image with a plateau.
  Array<Voxel> ordered(const Array<Part>& parts, Order o) {
    const auto [low, high] = ranges_[o];
    using Places = std::array<std::uint32_t, 3 * num_keys>;  // by level, least, between or greatest, and key
    Array<Places> next(parts.size());
    Array<Array<std::uint16_t>> at(parts.size());
    parallel_for(parts.size(), threads_, [&, low = low, high = high](std::size_t p) {
      const auto& [voxels, count, key] = parts[p];
      Places counts{};
      at[p].resize(count);
      for (std::size_t i = 0; i < count; ++i) {
        const Level level_here = level(voxels[i], o);
        const int third = level_here == low ? 0 : level_here == high ? 2 : 1;
        at[p][i] = static_cast<std::uint16_t>(third * num_keys + (key == nullptr ? 0 : key[i]));
        ++counts[at[p][i]];
      }
      next[p] = counts;
    });
    std::uint32_t place = 0;
    std::array<std::uint32_t, 4> begin{};  // of each third
    for (std::size_t bucket = 0; bucket < 3 * num_keys; ++bucket) {
      for (Places& of_part : next) place += std::exchange(of_part[bucket], place);
      begin[bucket / num_keys + 1] = place;
    }
    Array<Voxel> voxels_in_order(place);
    items_.resize(begin[2] - begin[1]);  // those between
    parallel_for(parts.size(), threads_, [&](std::size_t p) {
      for (std::size_t i = 0; i < parts[p].count; ++i) {
        const Voxel v = parts[p].voxels[i];
        const std::uint32_t to = next[p][at[p][i]]++;
        const bool is_between = to >= begin[1] && to < begin[2];
        voxels_in_order[to] = v;
        if (is_between) items_[to - begin[1]] = order_key(level(v, o), v);
      }
    });
    radix_sort(items_, 32, memory_, threads_);
    std::transform(items_.begin(), items_.end(), voxels_in_order.begin() + begin[1],
                   [](std::uint64_t i) { return static_cast<Voxel>(i); });
    return voxels_in_order;
  }

  // Whether it is clear without a look at the orders that the label's is also that of the comparison: the label is binary,
  // and the prediction lies between its two levels and reaches only in the label the one that the comparison prefers.
  bool label_gives_comparison() const {
    const auto [low, high] = ranges_[of_label];
    const Level preferred = comparison_is_greater_ ? high : low;
    const auto slabs = of_slabs<char>([&, low = low, high = high](Voxel first, char& is_unclear) {
      for (Voxel v = first; v < first + grid_[0].extent[D - 1]; ++v) {
        const Level of_p = grid_[0].level[v], of_l = grid_[1].level[v];
        const bool is_binary = of_l == low || of_l == high, is_between = of_p >= low && of_p <= high;
        is_unclear |= !is_binary || !is_between || (of_l != preferred && of_p == preferred);
      }
    });
    return std::none_of(slabs.begin(), slabs.end(), [](char is_unclear) { return is_unclear != 0; });
  }

  bool is_order_of_comparison(const Array<Voxel>& voxels) const {
    for (std::size_t i = 1; i < voxels.size(); ++i) {
      const Level before = level(voxels[i - 1], of_comparison), after = level(voxels[i], of_comparison);
      if (before > after || (before == after && rank(voxels[i - 1], 0) > rank(voxels[i], 0))) return false;
    }
    return true;
  }

  void set_order(int index, Array<Voxel>&& listed) {
    order_[index] = VoxelOrder(std::move(listed), plateau_voxel_, grid_[0], frame_rank_, threads_);
  }

  bool comparison_is_greater_;
  std::array<Grid<D>, 2> grid_;
  const std::size_t threads_;
  const Array<Voxel> rows_;  // the first voxel of each
  const std::array<Voxel, all> box_offsets_ = grid_[0].box_offsets();
  Rank frame_rank_;
  std::array<int, num_orders> index_;
  int num_distinct_;
  std::array<VoxelOrder, num_orders> order_;  // by index
  Array<std::uint64_t> items_, memory_;
  PlateauInterior<D> interior_;
  std::array<Range, num_orders> ranges_;
  std::array<Level, 2> plateau_{};  // its level in each image
  Voxel plateau_voxel_ = no_voxel;  // see VoxelOrder
};

}  // namespace topo
