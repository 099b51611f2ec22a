// One discrete gradient for three filtrations of the same grid: of two images, and of what compares them.
//
// Two cells are matched only if they enter together in all three orders, so the critical cells left over hold the
// persistence of each order and the maps between them. A cell enters with its last voxel, its top. A facet enters with
// the cell where it holds the top, so the cells that share all three tops are those around the smallest cell that holds
// these tops: a link, as around a vertex. They are matched direction by direction (element matchings one after another
// are acyclic: Jonsson, "Simplicial Complexes of Graphs", 2008, section 4.1), for the whole grid at once in loops that
// compilers turn into vector code.
//
// Ties decide how much is left. Where the label is constant, nearly everywhere, its order and that of the comparison
// follow the prediction, and the joint gradient is the prediction's own.
#pragma once

#include "persistence_pairs.hpp"

namespace topo {

enum Order : int { of_prediction, of_label, of_comparison };
constexpr int num_orders = 3;

using Cell = std::uint32_t;  // lowest corner and, as a bit set below it, the axes along which the cell extends

template <int D>
class JointGradient {
 public:
  static constexpr int types = 1 << D;
  static constexpr int top_type = types - 1;

  static Cell cell(Voxel corner, int type) { return corner << D | static_cast<Cell>(type); }
  static Voxel corner(Cell cell) { return cell >> D; }
  static int type(Cell cell) { return static_cast<int>(cell & top_type); }

  // A critical cell may carry three marks, one an order.
  static constexpr std::uint8_t critical = 0x80, missing = 0xff;

  JointGradient(std::array<Grid<D>, num_orders>&& grids, const StopFlag& stop) : stride(grids[0].stride) {
    for (int type = 0; type < types; ++type)
      for (int a = 0; a < D; ++a) offset_[type] += type >> a & 1 ? stride[a] : 0;
    const bool framed = grids[0].level[0] == present;
    rank_all(grids, framed);
    for (int o = 0; o < num_orders; ++o) level_[o] = std::move(grids[o].level);
    std::array<std::vector<std::uint8_t>, types> common;
    compare_tops(common, framed, stop);
    match(common);
  }

  const std::array<Voxel, D> stride;
  Voxel size() const { return static_cast<Voxel>(level_[0].size()); }
  Level level(Voxel v, Order o) const { return level_[o][v]; }

  std::uint8_t& code(Voxel corner, int type) { return code_[type][corner]; }
  std::uint8_t code(Voxel corner, int type) const { return code_[type][corner]; }
  static bool is_critical(std::uint8_t code) { return code >= critical && code != missing; }
  // A matched cell's code: the axis of its partner, and whether that lies, or contains, the upper side.
  static int axis(std::uint8_t code) { return code >> 1; }
  static bool upper(std::uint8_t code) { return code & 1; }

  // The voxel with which a cell enters.
  Voxel top(Cell c, Order o) const {
    const auto& rank = rank_[o];
    Voxel last = corner(c);
    for (int rest = type(c); rest != 0; rest = (rest - 1) & type(c))
      if (const Voxel v = corner(c) + offset_[rest]; rank[v] > rank[last]) last = v;
    return last;
  }

  // Place in an order: rank of the top, then the cell, since several cells of one dimension may share it.
  std::uint64_t key(Cell c, Order o) const { return std::uint64_t{rank_[o][top(c, o)]} << 32 | c; }

  // Critical cells of one dimension.
  std::vector<Cell> critical_cells(int dim) const {
    std::vector<Cell> cells;
    for (Voxel v = 0; v < size(); ++v)
      for (int t = 0; t < types; ++t)
        if (__builtin_popcount(t) == dim && is_critical(code_[t][v])) cells.push_back(cell(v, t));
    return cells;
  }

 private:
  // Voxels of the prediction by (value, value in the label, neighbors above, index); of the others by (value, rank in
  // the prediction).
  void rank_all(const std::array<Grid<D>, num_orders>& grids, bool framed) {
    std::vector<Voxel> voxels;
    for (Voxel first : grids[0].rows())
      for (Voxel v = first; v < first + grids[0].extent[D - 1]; ++v) voxels.push_back(v);
    voxels = by_neighbors_above(grids[of_prediction], voxels);
    sort_by_level(grids[of_label], voxels);
    for (Order o : {of_prediction, of_label, of_comparison}) {
      std::vector<Voxel> sorted = voxels;
      sort_by_level(grids[o], sorted);
      rank_[o].assign(grids[o].size(), framed ? 0 : UINT32_MAX);
      std::uint32_t rank = 0;
      for (Voxel v : sorted) rank_[o][v] = ++rank;
      if (o == of_prediction) voxels = std::move(sorted);
    }
  }

  // Voxels by how many of their neighbors are higher rather than lower, then as they come. Ties by index alone sweep a
  // noisy mask from end to end, and its cycles with it: 58 s for the mask of an untrained network, 192 x 192 x 16, now 2.
  // The inside of a plateau stays in index order, which leaves the fewest critical cells there.
  static std::vector<Voxel> by_neighbors_above(const Grid<D>& grid, const std::vector<Voxel>& voxels) {
    constexpr int all = D == 3 ? 27 : 9;
    std::vector<std::int8_t> above(grid.size());
    for (Voxel first : grid.rows())
      for (int n = 0; n < all; ++n) {
        const Level *here = grid.level.data() + first, *there = here;
        for (int a = 0, rest = n; a < D; ++a, rest /= 3) there += (rest % 3 - 1) * static_cast<std::ptrdiff_t>(grid.stride[a]);
        std::int8_t* const out = above.data() + first;
        for (Voxel x = 0; x < grid.extent[D - 1]; ++x)
          out[x] = static_cast<std::int8_t>(out[x] + (there[x] > here[x]) - (there[x] < here[x]));
      }
    std::array<Voxel, 2 * all> start{};
    for (Voxel v : voxels) ++start[above[v] + all];
    std::partial_sum(start.begin(), start.end(), start.begin());
    std::vector<Voxel> sorted(voxels.size());
    for (Voxel v : voxels) sorted[start[above[v] + all - 1]++] = v;
    return sorted;
  }

  // For every cell, by axis: bit a where all orders have their top on the upper side, bit 4 + a where on the lower.
  void compare_tops(std::array<std::vector<std::uint8_t>, types>& common, bool framed, const StopFlag& stop) {
    const std::uint32_t none = framed ? 0 : UINT32_MAX;
    const std::size_t cells = size() - offset_[top_type];
    for (int t = 0; t < types; ++t) {
      common[t].assign(size(), 0x77);
      code_[t].assign(size(), missing);
    }
    std::array<std::vector<std::uint32_t>, types> last;
    for (int t = 1; t < types; ++t) last[t].assign(size(), none);
    for (int o = 0; o < num_orders; ++o) {
      stop.check();
      last[0].swap(rank_[o]);
      for (int t = 1; t < types; ++t) {
        for (int a = 0; a < D; ++a) {
          if (!(t >> a & 1)) continue;
          const std::uint32_t *lower = last[t ^ 1 << a].data(), *upper = lower + stride[a];
          std::uint8_t* out = common[t].data();
          const int high = 1 << a, low = 16 << a;
          for (std::size_t v = 0; v < cells; ++v)
            out[v] &= static_cast<std::uint8_t>(~(upper[v] > lower[v] ? low : high));
        }
        const int a = __builtin_ctz(t);
        const std::uint32_t *lower = last[t ^ 1 << a].data(), *upper = lower + stride[a];
        std::uint32_t* out = last[t].data();
        for (std::size_t v = 0; v < cells; ++v) out[v] = std::max(lower[v], upper[v]);
      }
      if (o == 0)
        for (int t = 0; t < types; ++t)
          for (std::size_t v = 0; v < cells; ++v) code_[t][v] = last[t][v] == none ? missing : critical;
      last[0].swap(rank_[o]);
    }
  }

  void match(const std::array<std::vector<std::uint8_t>, types>& common) {
    const std::size_t cells = size() - offset_[top_type];
    for (int a = 0; a < D; ++a)
      for (int side = 0; side < 2; ++side)
        for (int t = 0; t < types; ++t) {
          if (t >> a & 1) continue;
          // The facet on that side, seen from which the cell lies on the other one.
          const auto of_cell = static_cast<std::uint8_t>(2 * a + side), of_facet = static_cast<std::uint8_t>(2 * a + 1 - side);
          std::uint8_t *facet = code_[t].data() + (side ? stride[a] : 0), *whole = code_[t | 1 << a].data();
          const std::uint8_t* together = common[t | 1 << a].data();
          const int bit = (side ? 1 : 16) << a;
          for (std::size_t v = 0; v < cells; ++v) {
            const bool both = (together[v] & bit) && facet[v] == critical && whole[v] == critical;
            facet[v] = both ? of_facet : facet[v];
            whole[v] = both ? of_cell : whole[v];
          }
        }
  }

  std::array<Voxel, types> offset_{};
  std::array<std::vector<Level>, num_orders> level_;
  std::array<std::vector<std::uint32_t>, num_orders> rank_;
  std::array<std::vector<std::uint8_t>, types> code_;
};

}  // namespace topo
