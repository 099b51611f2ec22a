// One discrete gradient for three filtrations of the same grid: of two images, and of their comparison.
//
// Two cells are matched only if they enter together in all three orders, so the critical cells left over hold the
// persistence of each order and the maps between them. A cell enters with its last voxel, its top. A facet enters with
// the cell if it holds the top, so the cells that share all three tops are those around the smallest cell that holds
// these tops: a link, as around a vertex. They are matched direction by direction (element matchings one after another
// are acyclic: Jonsson, "Simplicial Complexes of Graphs", 2008, section 4.1), for the whole grid at once in loops that
// compilers turn into vector code.
//
// The order of ties decides how many cells stay critical. Where the label is constant, which is nearly everywhere, its
// order and that of the comparison follow the prediction, and the joint gradient is the prediction's own.
#pragma once

#include "cell_code.hpp"
#include "filtration.hpp"
#include "parallel.hpp"

namespace topo {

template <int D>
class JointGradient {
  using C = CellIndex<D>;
  using Ranks = std::vector<std::uint32_t>;

 public:
  JointGradient(std::array<Grid<D>, num_orders>&& grids, const StopFlag& stop) : stride(grids[0].stride) {
    for (int type = 0; type < C::types; ++type)
      for (int a : bits_of(type)) corner_offset_[type] += stride[a];
    const bool framed = grids[0].level[0] == enters_first;
    rank_frame_ = framed ? 0 : UINT32_MAX;
    rank_voxels(grids);
    for (int o = 0; o < num_orders; ++o) level_[o] = std::move(grids[o].level);
    std::array<std::vector<std::uint8_t>, C::types> top_sides;
    compare_tops(top_sides, stop);
    match_cells(top_sides);
  }

  const std::array<Voxel, D> stride;
  Voxel size() const { return static_cast<Voxel>(level_[0].size()); }

  CellCode& code(Cell c) { return code_[C::type(c)][C::corner(c)]; }
  CellCode code(Cell c) const { return code_[C::type(c)][C::corner(c)]; }

  // The voxel with which a cell enters, and its level.
  Voxel top(Cell c, Order o) const {
    const Ranks& rank = rank_[o];
    Voxel last = C::corner(c);
    for (int rest = C::type(c); rest != 0; rest = (rest - 1) & C::type(c))
      if (const Voxel v = C::corner(c) + corner_offset_[rest]; rank[v] > rank[last]) last = v;
    return last;
  }
  Level level(Cell c, Order o) const { return level_[o][top(c, o)]; }

  // Position in an order: rank of the top, then the cell, since several cells of one dimension may share it.
  std::uint64_t key(Cell c, Order o) const { return (std::uint64_t{rank_[o][top(c, o)]} << 32) | c; }

  // Critical cells of one dimension.
  std::vector<Cell> critical_cells(int dim) const {
    std::vector<Cell> cells;
    for (Voxel v = 0; v < size(); ++v)
      for (int t = 0; t < C::types; ++t)
        if (count_bits(t) == dim && code_[t][v].is_critical()) cells.push_back(C::cell(v, t));
    return cells;
  }

 private:
  // Orders voxels of the prediction by (value, value in the label, neighbors above, index), of the other images by
  // (value, rank in the prediction).
  void rank_voxels(const std::array<Grid<D>, num_orders>& grids) {
    std::vector<Voxel> voxels;
    grids[0].for_each_voxel([&](Voxel v) { voxels.push_back(v); });
    voxels = sort_by_neighbors_above(grids[of_prediction], voxels);
    sort_by_level(grids[of_label], voxels);
    for (Order o : all_orders) {
      std::vector<Voxel> sorted = voxels;
      sort_by_level(grids[o], sorted);
      rank_[o].assign(grids[o].size(), rank_frame_);
      std::uint32_t rank = 0;
      for (Voxel v : sorted) rank_[o][v] = ++rank;
      if (o == of_prediction) voxels = std::move(sorted);
    }
  }

  // Sorts voxels by how many more of their neighbors are higher than lower, and keeps the order of equal ones. By index
  // alone, the order of ties would sweep a noisy mask, and its cycles with it, from end to end. The inside of a plateau
  // stays in index order, which leaves the fewest critical cells there.
  static std::vector<Voxel> sort_by_neighbors_above(const Grid<D>& grid, const std::vector<Voxel>& voxels) {
    constexpr int all = box_size<D>;
    std::vector<std::int8_t> above(grid.size());
    const auto offsets = grid.box_offsets();
    for (Voxel first : grid.rows())
      for (Voxel offset : offsets) {
        const Level *center = grid.level.data() + first, *other = center + static_cast<std::int32_t>(offset);
        std::int8_t* const out = above.data() + first;
        for (Voxel x = 0; x < grid.extent[D - 1]; ++x)
          out[x] = static_cast<std::int8_t>(out[x] + (other[x] > center[x]) - (other[x] < center[x]));
      }
    std::array<Voxel, 2 * all> start{};
    for (Voxel v : voxels) ++start[above[v] + all];
    std::partial_sum(start.begin(), start.end(), start.begin());
    std::vector<Voxel> sorted(voxels.size());
    for (Voxel v : voxels) sorted[start[above[v] + all - 1]++] = v;
    return sorted;
  }

  // Finds the top sides (TopSides) of all cells, and which cells exist. The rank of a cell is that of its top.
  void compare_tops(std::array<std::vector<std::uint8_t>, C::types>& top_sides, const StopFlag& stop) {
    const std::size_t corners = size() - corner_offset_[C::top_type];
    for (int t = 0; t < C::types; ++t) {
      top_sides[t].assign(size(), TopSides::all);
      code_[t].resize(size());  // missing
    }
    std::array<Ranks, C::types> rank;
    for (int t = 1; t < C::types; ++t) rank[t].assign(size(), rank_frame_);
    for (int o = 0; o < num_orders; ++o) {
      stop.check();
      rank[0].swap(rank_[o]);
      for (int t = 1; t < C::types; ++t) {
        for (int a : bits_of(t)) {
          const std::uint32_t *lower = rank[t ^ (1 << a)].data(), *upper = lower + stride[a];
          std::uint8_t* out = top_sides[t].data();
          const std::uint8_t not_lower = TopSides::lower(a) ^ 0xff, not_upper = TopSides::upper(a) ^ 0xff;
          for (std::size_t v = 0; v < corners; ++v) out[v] &= upper[v] > lower[v] ? not_lower : not_upper;
        }
        const int a = lowest_bit(static_cast<std::uint32_t>(t));
        const std::uint32_t *lower = rank[t ^ (1 << a)].data(), *upper = lower + stride[a];
        std::uint32_t* out = rank[t].data();
        for (std::size_t v = 0; v < corners; ++v) out[v] = std::max(lower[v], upper[v]);
      }
      if (o == 0)
        for (int t = 0; t < C::types; ++t)
          for (std::size_t v = 0; v < corners; ++v)
            code_[t][v].bits = rank[t][v] == rank_frame_ ? CellCode::missing().bits : CellCode::critical().bits;
      rank[0].swap(rank_[o]);
    }
  }

  // Matches cells that extend along an axis with their upper or lower facet along it, where the facet holds all tops.
  void match_cells(const std::array<std::vector<std::uint8_t>, C::types>& top_sides) {
    const std::size_t corners = size() - corner_offset_[C::top_type];
    constexpr std::uint8_t critical = CellCode::critical().bits;
    for (int a = 0; a < D; ++a)
      for (const bool upper : {false, true})
        for (int t = 0; t < C::types; ++t) {
          if (has_bit(t, a)) continue;
          const int cell_type = t | (1 << a);
          CellCode *facet = code_[t].data() + (upper ? stride[a] : 0), *cell = code_[cell_type].data();
          const std::uint8_t* sides = top_sides[cell_type].data();
          const std::uint8_t side = upper ? TopSides::upper(a) : TopSides::lower(a);
          // The facet is on one side of the cell, so the cell is on the other side of the facet.
          const std::uint8_t code_of_cell = CellCode::matched(a, upper).bits;
          const std::uint8_t code_of_facet = CellCode::matched(a, !upper).bits;
          for (std::size_t v = 0; v < corners; ++v) {
            const bool match = (sides[v] & side) && facet[v].bits == critical && cell[v].bits == critical;
            facet[v].bits = match ? code_of_facet : facet[v].bits;
            cell[v].bits = match ? code_of_cell : cell[v].bits;
          }
        }
  }

  std::array<Voxel, C::types> corner_offset_{};  // from the lowest corner of a cell to the highest
  std::uint32_t rank_frame_;
  std::array<std::vector<Level>, num_orders> level_;
  std::array<Ranks, num_orders> rank_;
  std::array<std::vector<CellCode>, C::types> code_;
};

}  // namespace topo
