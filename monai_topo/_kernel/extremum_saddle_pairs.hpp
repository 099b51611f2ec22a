// Classes of dimension 0 and D - 1: trees of the gradient joined by union-find.
//
// Dimension 0: every voxel flows down to a minimum, and a critical edge joins two minima; the later one dies there.
// Dimension D - 1 is the same on the dual grid: every top cell flows up to a maximum or out of the image, and a critical
// facet, taken from the last to the first, joins two of them; the earlier one is where the class born at the facet dies.
#pragma once

#include "lower_star_gradient.hpp"

namespace topo {

// What one step along the gradient finds.
struct Step {
  enum Kind { onward, extremum, outside } kind;
  Voxel cell;  // the next cell, or the voxel of the extremum
};

// Down from voxel to voxel. Cells are voxels. Here and below the way is read off the stars alone: levels would be more to
// fetch. (Walking from all critical voxels in index order before the first join gained 10 % with levels, nothing without,
// and lost 5 % on noise.)
template <int D>
struct Descent {
  const Grid<D>& grid;
  const StarArray<D>& star;

  Step next(Voxel v) const {
    if (Matching<D>::is_minimum(star[v])) return {grid.level[v] == present ? Step::outside : Step::extremum, v};
    return {Step::onward, neighbor(v, lowest_bit(Matching<D>::instance().roots(star[v])))};
  }
  Voxel neighbor(Voxel v, int edge) const { return edge % 2 ? v + grid.stride[edge / 2] : v - grid.stride[edge / 2]; }
  bool older(Voxel u, Voxel v) const { return grid.before(u, v); }
};

// Up from top cell to top cell through facets. A cell is named by its corner of lowest coordinates.
template <int D>
struct Ascent {
  const Grid<D>& grid;
  const StarArray<D>& star;

  Step next(Voxel corner) const {
    // The last voxel is the one whose star holds the cell: seen from there, it lies the other way.
    constexpr int first_top = D == 3 ? Link<D>::edges + Link<D>::squares : Link<D>::edges;
    int top = -1;
    for (int t = 0; t < Link<D>::tops; ++t)
      top = star[corner + distance(Link<D>::tops - 1 - t)] >> (first_top + t) & 1 ? t : top;
    if (top < 0) return {Step::outside, corner};
    const Voxel v = corner + distance(Link<D>::tops - 1 - top);
    const int axis = Matching<D>::instance().crossing(star[v], top);
    if (axis == no_axis) return {Step::extremum, v};
    const bool upper = top >> (D - 1 - axis) & 1;
    return {Step::onward, upper ? corner - grid.stride[axis] : corner + grid.stride[axis]};
  }
  bool older(Voxel u, Voxel v) const { return grid.before(v, u); }

  // The two top cells on both sides of a facet at voxel v.
  std::pair<Voxel, Voxel> sides(Voxel v, int facet) const {
    Voxel corner = v;
    int axis;
    if (D == 2) {
      axis = 1 - facet / 2;
      if (facet % 2 == 0) corner -= grid.stride[facet / 2];
    } else {
      using L = Link<3>;
      axis = L::third_axis(facet);
      if (facet / 2 % 2 == 0) corner -= grid.stride[L::first_axis(facet)];
      if (facet % 2 == 0) corner -= grid.stride[L::second_axis(facet)];
    }
    return {corner, corner - grid.stride[axis]};
  }

 private:
  Voxel distance(int offset) const {
    Voxel total = 0;
    for (int a = 0; a < D; ++a)
      if (offset >> (D - 1 - a) & 1) total += grid.stride[a];
    return total;
  }
};

// Trees of extrema under one flow. Node 0 is the outside, older than every extremum.
template <class Flow>
class Extrema {
 public:
  static constexpr Voxel none = UINT32_MAX;

  // `node` is a scratch array of one entry for each cell, whatever it holds.
  Extrema(Flow flow, Voxel cells, std::vector<std::uint32_t>& node)
      : flow_(flow), node_(node), voxel_{none}, parent_{0} {
    node_.assign(cells, 0);
  }

  // Joins the trees that two cells flow to. Returns the voxel of the younger extremum, or `none` if they were one.
  Voxel join(Voxel cell, Voxel other) {
    std::uint32_t a = find(follow(cell)), b = find(follow(other));
    if (a == b) return none;
    if (b == 0 || (a != 0 && flow_.older(voxel_[b], voxel_[a]))) std::swap(a, b);
    parent_[b] = a;
    return voxel_[b];
  }

 private:
  // Every cell passed on the way remembers where it led, so all walks together are linear in the cells walked.
  std::uint32_t follow(Voxel cell) {
    path_.clear();
    std::uint32_t node;
    for (;;) {
      if (node_[cell] != 0) {
        node = node_[cell] - 1;
        break;
      }
      path_.push_back(cell);
      const Step step = flow_.next(cell);
      if (step.kind != Step::onward) {
        node = step.kind == Step::outside ? 0 : new_node(step.cell);
        break;
      }
      cell = step.cell;
    }
    for (Voxel passed : path_) node_[passed] = node + 1;
    return node;
  }

  std::uint32_t new_node(Voxel voxel) {
    voxel_.push_back(voxel);
    parent_.push_back(static_cast<std::uint32_t>(parent_.size()));
    return parent_.back();
  }

  std::uint32_t find(std::uint32_t node) {
    while (parent_[node] != node) node = parent_[node] = parent_[parent_[node]];
    return node;
  }

  Flow flow_;
  std::vector<std::uint32_t>& node_;  // of a cell, plus one; 0 where no walk has passed
  std::vector<Voxel> voxel_;          // of a node
  std::vector<std::uint32_t> parent_;
  std::vector<Voxel> path_;
};

}  // namespace topo
