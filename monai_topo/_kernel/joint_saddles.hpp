// The critical edges and squares of a 3D joint gradient, as the reductions of dimension 1 need them.
#pragma once

#include "joint_gradient.hpp"

namespace topo {

using SaddleIndex = std::uint32_t;  // into the critical edges, or squares, of a gradient

// Finds the index of a critical edge.
class CriticalEdges {
  using C = CellIndex<3>;

 public:
  explicit CriticalEdges(const JointGradient<3>& gradient)
      : edges_(gradient.critical_cells(1)), first_(gradient.size() / corners_per_entry + 1) {
    SaddleIndex i = 0;
    for (std::size_t entry = 0; entry < first_.size(); ++entry) {
      while (i < edges_.size() && C::corner(edges_[i]) / corners_per_entry < entry) ++i;
      first_[entry] = i;
    }
  }

  std::size_t size() const { return edges_.size(); }

  SaddleIndex index(Cell edge) const {
    SaddleIndex i = first_[C::corner(edge) / corners_per_entry];
    while (edges_[i] != edge) ++i;
    return i;
  }

 private:
  static constexpr Voxel corners_per_entry = 16;

  const Array<Cell>& edges_;
  Array<SaddleIndex> first_;  // at the corners of an entry, or after them
};

// The squares that are negative in an order, given by its index: those that have a column.
class NegativeSquares {
 public:
  static constexpr std::uint32_t no_place = UINT32_MAX;

  // `negative`: in that order.
  NegativeSquares(const JointGradient<3>& gradient, int order, Array<SaddleIndex>&& negative)
      : index_(std::move(negative)), of_index_(gradient.critical_cells(2).size()) {
    for (std::size_t place = 0; place < index_.size(); ++place)
      of_index_[index_[place]].place = static_cast<std::uint32_t>(place);
    for (SaddleIndex i = 0; i < of_index_.size(); ++i)
      if (is_negative(i)) of_index_[i].top = gradient.top(gradient.critical_cells(2)[i], order);
  }

  std::size_t size() const { return index_.size(); }
  SaddleIndex index(std::size_t place) const { return index_[place]; }

  bool is_negative(SaddleIndex square) const { return place(square) != no_place; }
  std::uint32_t place(SaddleIndex square) const { return of_index_[square].place; }  // in the order
  Voxel top(SaddleIndex square) const { return of_index_[square].top; }

 private:
  struct Square {
    std::uint32_t place = no_place;
    Voxel top = no_voxel;
  };

  Array<SaddleIndex> index_;
  Array<Square> of_index_;
};

}  // namespace topo
