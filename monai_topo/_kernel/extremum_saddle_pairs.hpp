// Persistence pairs of dimensions 0 and D - 1: basins of extrema, merged at saddles by union-find.
//
// Dimension 0: from every voxel a V-path descends to a minimum. A critical edge merges the basins of two minima, and by
// the elder rule the younger minimum dies. Dimension D - 1 is the same on the dual grid: from every top cell a V-path
// ascends to a maximum or out of the image. A critical facet, taken from the last to the first, separates two of them,
// and the younger one in this order, the maximum that enters earlier, is the death of the class born with the facet.
#pragma once

#include "lower_stars.hpp"
#include "union_find.hpp"

namespace topo {

// One step along a V-path.
struct PathStep {
  enum Kind { next, extremum, outside } kind;
  Voxel cell;  // the next cell, or the voxel of the extremum
};

// Down from vertex to vertex through edges. The stars alone give the way: levels would be more to read.
template <int D>
struct DescendingPath {
  const Grid<D>& grid;
  const StarArray<D>& star;

  PathStep step(Voxel v) const {
    if (LowerStarGradient<D>::is_minimum(star[v]))
      return {grid.level[v] == enters_first ? PathStep::outside : PathStep::extremum, v};
    return {PathStep::next, grid.neighbor(v, lowest_bit(LowerStarGradient<D>::instance().roots(star[v])))};
  }
  bool older(Voxel u, Voxel v) const { return grid.before(u, v); }
};

// Up from top cell to top cell through facets. A top cell is named by its corner of lowest coordinates.
template <int D>
struct AscendingPath {
  const Grid<D>& grid;
  const StarArray<D>& star;

  PathStep step(Voxel corner) const {
    // Of the cell's voxels, the one whose lower star holds it. Seen from there the cell lies in the opposite direction.
    constexpr int last = Link<D>::top_cells - 1;
    int top_cell = -1;
    for (int t = 0; t <= last; ++t) top_cell = star[corner + corner_offset(last - t)].has_top_cell(t) ? t : top_cell;
    if (top_cell < 0) return {PathStep::outside, corner};
    const Voxel v = corner + corner_offset(last - top_cell);
    const int axis = LowerStarGradient<D>::instance().exit_axis(star[v], top_cell);
    if (axis == no_axis) return {PathStep::extremum, v};
    const bool extends_up = has_bit(top_cell, D - 1 - axis);  // from v: its facet at v is the lower one
    return {PathStep::next, extends_up ? corner - grid.stride[axis] : corner + grid.stride[axis]};
  }
  bool older(Voxel u, Voxel v) const { return grid.before(v, u); }

  // The two top cells that share a facet of the star of voxel v.
  std::pair<Voxel, Voxel> cofacets(Voxel v, int facet) const {
    Voxel corner = v;
    int axis;
    if (D == 2) {
      axis = 1 - facet / 2;
      if (facet % 2 == 0) corner -= grid.stride[facet / 2];
    } else {
      using L = Link<3>;
      axis = L::third_axis(facet);
      if (L::first_sign(facet) == 0) corner -= grid.stride[L::first_axis(facet)];
      if (L::second_sign(facet) == 0) corner -= grid.stride[L::second_axis(facet)];
    }
    return {corner, corner - grid.stride[axis]};
  }

 private:
  // From the lowest corner of a top cell to the corner with these coordinates, bits in C order.
  Voxel corner_offset(int coordinates) const {
    Voxel offset = 0;
    for (int a = 0; a < D; ++a)
      if (has_bit(coordinates, D - 1 - a)) offset += grid.stride[a];
    return offset;
  }
};

// Basins of extrema under one kind of V-path. Node 0 is the outside, older than every extremum.
template <class Path>
class Basins {
 public:
  // `node_of_cell` is scratch memory; what it holds does not matter.
  Basins(Path path, Voxel cells, std::vector<Node>& node_of_cell)
      : path_(path), node_of_cell_(node_of_cell), extremum_{no_voxel}, basins_(1) {
    node_of_cell_.assign(cells, 0);
  }

  // Merges the basins of two cells. Returns the voxel of the younger extremum, or `no_voxel` if they were one already.
  Voxel merge(Voxel cell, Voxel other) {
    Node a = basins_.find(basin_of(cell)), b = basins_.find(basin_of(other));
    if (a == b) return no_voxel;
    if (b == 0 || (a != 0 && path_.older(extremum_[b], extremum_[a]))) std::swap(a, b);
    basins_.attach(b, a);
    return extremum_[b];
  }

 private:
  // Every cell passed on the way keeps the result, so all walks together are linear in the number of cells.
  Node basin_of(Voxel cell) {
    walked_.clear();
    Node node;
    for (;;) {
      if (node_of_cell_[cell] != 0) {
        node = node_of_cell_[cell] - 1;
        break;
      }
      walked_.push_back(cell);
      const PathStep step = path_.step(cell);
      if (step.kind != PathStep::next) {
        node = step.kind == PathStep::outside ? 0 : add_extremum(step.cell);
        break;
      }
      cell = step.cell;
    }
    for (Voxel passed : walked_) node_of_cell_[passed] = node + 1;
    return node;
  }

  Node add_extremum(Voxel voxel) {
    extremum_.push_back(voxel);
    return basins_.add();
  }

  Path path_;
  std::vector<Node>& node_of_cell_;  // plus one; 0 where no walk has passed
  std::vector<Voxel> extremum_;      // of a node
  UnionFind basins_;
  std::vector<Voxel> walked_;
};

using VoxelPairs = std::vector<std::pair<Voxel, Voxel>>;  // birth, death

// Pairs of dimension 0. Calls negative(i, edge) for every negative edge, of the i-th voxel of `saddles`.
template <int D, class Negative>
VoxelPairs pair_minima(const Grid<D>& grid, const StarArray<D>& star, const std::vector<Voxel>& saddles,
                       std::vector<Node>& memory, const StopFlag& stop, Negative negative) {
  VoxelPairs pairs;
  Basins<DescendingPath<D>> minima({grid, star}, grid.size(), memory);
  for (std::size_t i = 0; i < saddles.size(); ++i) {
    stop.check();
    const Voxel v = saddles[i];
    for (int edge : bits_of(LowerStarGradient<D>::instance().critical_edges(star[v]))) {
      const Voxel younger = minima.merge(v, grid.neighbor(v, edge));
      if (younger == no_voxel) continue;
      negative(i, edge);
      pairs.emplace_back(younger, v);
    }
  }
  return pairs;
}

// Pairs of dimension D - 1. Calls positive(i, facet) for every positive facet, of the i-th voxel of `saddles`.
template <int D, class Positive>
VoxelPairs pair_maxima(const Grid<D>& grid, const StarArray<D>& star, const std::vector<Voxel>& saddles,
                       std::vector<Node>& memory, const StopFlag& stop, Positive positive) {
  VoxelPairs pairs;
  const AscendingPath<D> path{grid, star};
  Basins<AscendingPath<D>> maxima(path, grid.size(), memory);
  for (std::size_t i = saddles.size(); i-- > 0;) {
    stop.check();
    const Voxel v = saddles[i];
    for (CellBits facets = LowerStarGradient<D>::instance().critical_facets(star[v]); facets != 0;) {
      const int facet = highest_bit(facets);
      facets &= ~(CellBits{1} << facet);
      const auto [cell, other] = path.cofacets(v, facet);
      const Voxel younger = maxima.merge(cell, other);
      if (younger == no_voxel) continue;
      positive(i, facet);
      pairs.emplace_back(v, younger);
    }
  }
  return pairs;
}

}  // namespace topo
