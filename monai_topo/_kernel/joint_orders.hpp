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

#include <memory>

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
    set_order(1, stable_order(order_[0].listed(), of_label));
    index_ = {0, 1, 1};
    num_distinct_ = 2;
    if (!is_order_of_comparison(order_[1].listed())) {
      set_order(2, stable_order(order_[0].listed(), of_comparison));
      index_[of_comparison] = 2;
      num_distinct_ = 3;
    }
    release(items_);
    release(memory_);
    at_high_.reset();
    between_.reset();
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

  Array<Voxel> order_of_prediction() {
    const Grid<D>& grid = grid_[of_prediction];
    // Ties, from the last one on: most images have few, masks have little else.
    const std::size_t many = num_voxels(grid.extent) / 8;
    if (find_plateau() > many) return order_with_many_ties();
    items_.clear();
    grid.for_each_voxel([&](Voxel v) { items_.push_back(grid.key(v)); });
    radix_sort(items_, 32, memory_);
    std::size_t tied = 0;
    for_each_tie([&](std::size_t begin, std::size_t end) { tied += end - begin; });
    if (tied > many) return order_with_many_ties();
    Array<Voxel> voxels(items_.size());
    std::transform(items_.begin(), items_.end(), voxels.begin(), [](std::uint64_t i) { return static_cast<Voxel>(i); });
    for_each_tie([&](std::size_t begin, std::size_t end) {
      std::sort(voxels.begin() + begin, voxels.begin() + end, [&](Voxel u, Voxel v) {
        const Level at_u = level(u, of_label), at_v = level(v, of_label);
        if (at_u != at_v) return at_u < at_v;
        const int above_u = neighbors_above(u), above_v = neighbors_above(v);
        return above_u < above_v || (above_u == above_v && u < v);
      });
    });
    return voxels;
  }

  // How many voxels of the prediction have its least level, or its greatest, whichever are more. If they are most of the
  // image, finds the plateau that they form together with the label.
  std::size_t find_plateau() {
    const auto [low, high] = ranges_[of_prediction];
    const std::size_t at_low = count_level(low), at_high = count_level(high);
    const bool is_low = at_low > at_high;
    if (std::max(at_low, at_high) > grid_[0].size() / 2 && grid_[0].size() < most_voxels_with_plateau) {
      const Range label = ranges_[of_label];
      plateau_ = {is_low ? low : high, is_low ? label.low : label.high};
      interior_ = PlateauInterior<D>(grid_, plateau_, threads_);
    }
    return std::max(at_low, at_high);
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

  // Calls visit(begin, end) for every range of equal levels in the sorted items.
  template <class Visit>
  void for_each_tie(Visit visit) const {
    for (std::size_t begin = 0, end = 1; begin < items_.size(); begin = end++) {
      while (end < items_.size() && items_[end] >> 32 == items_[begin] >> 32) ++end;
      if (end > begin + 1) visit(begin, end);
    }
  }

  // How many more of its neighbors are higher than lower. By index alone, the order of ties would sweep a noisy mask, and
  // its cycles with it, from end to end. The inside of a plateau stays in index order, which leaves the fewest critical
  // cells there.
  int neighbors_above(Voxel v) const {
    const Level* center = grid_[of_prediction].level.data() + v;
    int above = 0;
    for (Voxel offset : box_offsets_) {
      const Level other = center[static_cast<std::int32_t>(offset)];
      above += (other > *center) - (other < *center);
    }
    return above;
  }

  // Voxels of the plateau with as many neighbors above as below come by index in every order: one stands in for all.
  Array<Voxel> order_with_many_ties() {
    auto slabs = of_slabs<Listed>([&](Voxel row, Listed& listed) {
      interior_.for_each_voxel_run(
          row, row + grid_[0].extent[D - 1], [&](std::size_t first, std::size_t count, bool is_inside) {
            if (is_inside)
              listed.plateau_voxel = static_cast<Voxel>(first);
            else
              list_outside_plateau(static_cast<Voxel>(first), static_cast<Voxel>(count), listed);
          });
    });
    for (const Listed& slab : slabs)
      if (slab.plateau_voxel != no_voxel) plateau_voxel_ = slab.plateau_voxel;
    if (plateau_voxel_ != no_voxel) {
      slabs.back().voxels.push_back(plateau_voxel_);
      slabs.back().above.push_back(0);
    }
    return stable_order(stable_order(sorted(slabs), of_label), of_prediction);
  }

  // Voxels, how many of their neighbors are above, and a voxel of the plateau that is not listed, or no_voxel.
  struct Listed {
    Array<Voxel> voxels;
    Array<std::int8_t> above;
    Voxel plateau_voxel = no_voxel;
  };

  // Appends voxels of a row.
  void list_outside_plateau(Voxel first, Voxel count, Listed& listed) const {
    auto& [voxels, above, plateau_voxel] = listed;
    const std::size_t begin = voxels.size();
    voxels.resize(begin + count);
    above.resize(begin + count);
    count_neighbors_above(grid_[of_prediction].level.data() + first, count, above.data() + begin);
    std::size_t end = begin;
    for (Voxel i = 0; i < count; ++i) {  // without a branch, which could not be predicted
      const bool is_on_plateau = above[begin + i] == 0 && is_at_plateau(first + i);
      voxels[end] = first + i;
      above[end] = above[begin + i];
      end += !is_on_plateau;
      plateau_voxel = is_on_plateau ? first + i : plateau_voxel;
    }
    voxels.resize(end);
    above.resize(end);
  }

  bool is_at_plateau(Voxel v) const {
    return interior_.exists() && grid_[0].level[v] == plateau_[0] && grid_[1].level[v] == plateau_[1];
  }

  // All voxels, by the number of neighbors above.
  static Array<Voxel> sorted(const Array<Listed>& slabs) {
    std::array<std::size_t, 2 * all> start{};
    for (const Listed& slab : slabs)
      for (const std::int8_t above : slab.above) ++start[above + all];
    std::partial_sum(start.begin(), start.end(), start.begin());
    Array<Voxel> voxels(start.back());
    for (const Listed& slab : slabs)
      for (std::size_t i = 0; i < slab.voxels.size(); ++i) voxels[start[slab.above[i] + all - 1]++] = slab.voxels[i];
    return voxels;
  }

  TOPO_ALSO_FOR_AVX2 void count_neighbors_above(const Level* center, Voxel length,
                                                std::int8_t* TOPO_RESTRICT out) const {
    constexpr std::size_t block = 64;
    std::int32_t above[block];
    for (std::size_t start = 0; start < length; start += block) {
      const std::size_t count = std::min<std::size_t>(block, length - start);
      std::fill_n(above, block, 0);
      for (Voxel offset : box_offsets_) {
        const Level *here = center + start, *other = here + static_cast<std::int32_t>(offset);
        for (std::size_t x = 0; x < count; ++x) above[x] += (other[x] > here[x]) - (other[x] < here[x]);
      }
      for (std::size_t x = 0; x < count; ++x) out[start + x] = static_cast<std::int8_t>(above[x]);
    }
  }

  // Voxels by level, those of equal level as they come. Those of the least and the greatest level need no sort: all of a
  // binary label, most of an image with a plateau.
  Array<Voxel> stable_order(const Array<Voxel>& voxels, Order o) {
    const auto [low, high] = ranges_[o];
    if (!at_high_) at_high_.reset(new Voxel[voxels.size()]), between_.reset(new Voxel[voxels.size()]);
    Array<Voxel> ordered(voxels.size());
    std::size_t num_low = 0, num_high = 0, num_between = 0;
    for (Voxel v : voxels) {  // without a branch, which could not be predicted
      const Level at = level(v, o);
      const bool is_low = at == low, is_high = at == high && !is_low;
      ordered[num_low] = at_high_[num_high] = between_[num_between] = v;
      num_low += is_low;
      num_high += is_high;
      num_between += !is_low && !is_high;
    }
    items_.clear();
    for (std::size_t i = 0; i < num_between; ++i) items_.push_back(order_key(level(between_[i], o), between_[i]));
    radix_sort(items_, 32, memory_);
    const auto rest =
        std::transform(items_.begin(), items_.end(), ordered.begin() + static_cast<std::ptrdiff_t>(num_low),
                       [](std::uint64_t i) { return static_cast<Voxel>(i); });
    std::copy_n(at_high_.get(), num_high, rest);
    return ordered;
  }

  bool is_order_of_comparison(const Array<Voxel>& voxels) const {
    for (std::size_t i = 1; i < voxels.size(); ++i) {
      const Level before = level(voxels[i - 1], of_comparison), after = level(voxels[i], of_comparison);
      if (before > after || (before == after && rank(voxels[i - 1], 0) > rank(voxels[i], 0))) return false;
    }
    return true;
  }

  void set_order(int index, Array<Voxel>&& listed) {
    order_[index] = VoxelOrder(std::move(listed), plateau_voxel_, grid_[0], frame_rank_);
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
  std::array<Level, 2> plateau_{};              // its level in each image
  Voxel plateau_voxel_ = no_voxel;              // see VoxelOrder
  std::unique_ptr<Voxel[]> at_high_, between_;  // memory of stable_order
};

}  // namespace topo
