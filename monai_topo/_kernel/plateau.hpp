// The plateau of the first or the last value of a filtration, such as the saturated background of a vessel likelihood.
//
// A heuristic of dimension 1 in 3D. On a plateau the gradient knows only the order of indices, and a cycle wanders far.
// Where the plateau is a large part of the image no cycle is followed into it: a class that is born (or dies) there is
// known from what is left over, and its critical voxel is the nearest voxel of the plateau. Pairs and their values stay
// exact, except pairs without persistence; which voxel of the plateau is critical differs. See docs/benchmarks.md.
#pragma once

#include <cstdlib>

#include "grid.hpp"

namespace topo {

class Plateau {
 public:
  // The larger of the two plateaus, if it is at least one eighth of the image.
  explicit Plateau(const Grid<3>& grid) : grid_(grid) {
    const Array<Voxel> rows = grid.rows();
    const auto begin = [&](Voxel first) { return grid.level.data() + first; };
    const auto end = [&](Voxel first) { return begin(first) + grid.extent[2]; };
    Level low = never_enters, high = enters_first;
    for (Voxel first : rows)
      for (const Level* level = begin(first); level != end(first); ++level) {  // faster than std::minmax_element
        low = std::min(low, *level);
        high = std::max(high, *level);
      }
    std::uint32_t at_low = 0, at_high = 0;
    for (Voxel first : rows)
      for (const Level* level = begin(first); level != end(first); ++level) {
        at_low += *level == low;
        at_high += *level == high;
      }
    if (low == high || std::max(at_low, at_high) < num_voxels(grid.extent) / least_part) return;
    (at_low >= at_high ? first_ : last_) = at_low >= at_high ? low : high;
  }

  bool is_first(Voxel v) const { return grid_.level[v] <= first_; }  // or of a frame that enters first
  bool is_last(Voxel v) const { return grid_.level[v] == last_; }
  bool has_last() const { return last_ != never_enters; }

  // The plateau voxel at the least chessboard distance from v: shell by shell, each in index order.
  Voxel nearest(Voxel v) const {
    const Level level = has_last() ? last_ : first_;
    const auto at = grid_.coordinates(v);
    for (std::int64_t radius = 1;; ++radius) {
      const auto from = [&](int a) { return std::max<std::int64_t>(1, at[a] - radius); };
      const auto to = [&](int a) { return std::min<std::int64_t>(grid_.extent[a], at[a] + radius); };
      for (std::int64_t z = from(0); z <= to(0); ++z)
        for (std::int64_t y = from(1); y <= to(1); ++y) {
          const bool whole_row = std::abs(z - at[0]) == radius || std::abs(y - at[1]) == radius;
          for (std::int64_t x = from(2); x <= to(2); ++x) {
            if (!whole_row && std::abs(x - at[2]) != radius) {
              x = at[2] + radius - 1;  // the inside of the shell has been searched before
              continue;
            }
            const auto u = static_cast<Voxel>(z * grid_.stride[0] + y * grid_.stride[1] + x);
            if (grid_.level[u] == level) return u;
          }
        }
    }
  }

 private:
  static constexpr std::size_t least_part = 8;

  const Grid<3>& grid_;
  Level first_ = enters_first, last_ = never_enters;
};

}  // namespace topo
