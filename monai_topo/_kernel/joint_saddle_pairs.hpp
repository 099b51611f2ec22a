// Dimension 1 of a 3D joint gradient: squares, in one order, reduced against edges, in another.
//
// As in saddle_saddle_pairs.hpp a column is not written down as a whole, but followed along V-paths from its last edge
// down. Edges that are negative in the order of the edges cannot be pivots, and squares that are positive in the order
// of the squares are cleared. (The stars of a single order, which hold the working column there, do not exist here.)
#pragma once

#include <unordered_map>

#include "joint_gradient.hpp"

namespace topo {

class JointSaddleReduction {
  using G = JointGradient<3>;
  using C = CellIndex<3>;
  using EdgeKey = std::uint64_t;  // rank of the edge's top, then the cell

 public:
  // The marks of the gradient's critical edges and squares say which are paired with dimensions 0 and 2.
  JointSaddleReduction(const G& gradient, const std::vector<Cell>& squares, Order edges, Order columns,
                       const StopFlag& stop)
      : gradient_(gradient), edges_(edges), columns_(columns), stop_(stop), squares_(squares) {}

  // Calls emit(edge, square) for every pair.
  template <class Emit>
  void pair_all(Emit emit) {
    std::vector<std::uint64_t> ordered;
    for (Cell square : squares_)
      if (!gradient_.code(square).is_marked(columns_)) ordered.push_back(gradient_.key(square, columns_));
    std::sort(ordered.begin(), ordered.end());
    for (std::uint64_t square : ordered) emit(reduce(static_cast<Cell>(square)), static_cast<Cell>(square));
  }

 private:
  void push(EdgeKey edge) {
    heap_.push_back(edge);
    std::push_heap(heap_.begin(), heap_.end());
  }

  EdgeKey pop() {
    std::pop_heap(heap_.begin(), heap_.end());
    const EdgeKey last = heap_.back();
    heap_.pop_back();
    return last;
  }

  std::array<Cell, 4> edges_of(Cell square) const {
    const auto type = static_cast<std::uint32_t>(C::type(square));
    const int a = lowest_bit(type), b = highest_bit(type);
    const Voxel v = C::corner(square);
    return {C::cell(v, 1 << a), C::cell(v + gradient_.stride[b], 1 << a), C::cell(v, 1 << b),
            C::cell(v + gradient_.stride[a], 1 << b)};
  }

  // Whether an edge may be, or lead to, a pivot: it is critical and positive, or it is matched with a square.
  bool can_lead_to_pivot(Cell edge) const {
    const CellCode code = gradient_.code(edge);
    if (code.is_missing()) return false;
    if (code.is_critical()) return !code.is_marked(edges_);
    return !has_bit(C::type(edge), code.axis());
  }

  // Edges of one voxel as bits: 2 * axis + (1 where the edge goes to the upper neighbor).
  Cell edge_at(Voxel v, int direction) const {
    const int axis = direction / 2;
    return C::cell(direction % 2 ? v : v - gradient_.stride[axis], 1 << axis);
  }
  static int direction_from(Voxel v, Cell edge) {
    return 2 * lowest_bit(static_cast<std::uint32_t>(C::type(edge))) + (C::corner(edge) == v ? 1 : 0);
  }

  // Replaces the edges whose top is v by critical ones: an edge matched with a square, by the rest of its boundary.
  std::uint32_t flow_down(Voxel v, std::uint32_t edges) {
    std::uint32_t critical = 0;
    while (edges != 0) {
      const int direction = lowest_bit(edges);
      edges &= edges - 1;
      const Cell edge = edge_at(v, direction);
      const CellCode code = gradient_.code(edge);
      if (code.is_critical()) {
        critical ^= 1u << direction;
        continue;
      }
      const Voxel corner = code.upper() ? C::corner(edge) : C::corner(edge) - gradient_.stride[code.axis()];
      for (Cell other : edges_of(C::cell(corner, C::type(edge) | (1 << code.axis())))) {
        if (other == edge || !can_lead_to_pivot(other)) continue;
        if (gradient_.top(other, edges_) == v)
          edges ^= 1u << direction_from(v, other);
        else
          push(gradient_.key(other, edges_));
      }
    }
    return critical;
  }

  Cell reduce(Cell square) {
    heap_.clear();
    for (Cell edge : edges_of(square))
      if (can_lead_to_pivot(edge)) push(gradient_.key(edge, edges_));
    for (;;) {  // the column of a negative square never becomes empty
      stop_.check();
      const EdgeKey last = pop();
      const std::uint64_t rank = last >> 32;
      const auto key_of = [&](Voxel v, int direction) { return (rank << 32) | edge_at(v, direction); };
      const Voxel v = gradient_.top(static_cast<Cell>(last), edges_);
      std::uint32_t edges = 1u << direction_from(v, static_cast<Cell>(last));
      while (!heap_.empty() && heap_.front() >> 32 == rank) edges ^= 1u << direction_from(v, static_cast<Cell>(pop()));
      const std::uint32_t candidates = flow_down(v, edges);
      if (candidates == 0) continue;
      // The last by cell, which is the order of the keys in columns.
      EdgeKey pivot = 0;
      for (int direction : bits_of(candidates)) pivot = std::max(pivot, key_of(v, direction));
      for (int direction : bits_of(candidates))
        if (const EdgeKey edge = key_of(v, direction); edge != pivot) push(edge);
      const auto [column, is_new] = column_of_.try_emplace(static_cast<Cell>(pivot), starts_.size() - 1);
      if (is_new) {
        store();
        return static_cast<Cell>(pivot);
      }
      for (std::size_t i = starts_[column->second]; i < starts_[column->second + 1]; ++i) push(entries_[i]);
    }
  }

  // Keeps the column without its pivot, sorted and with equal edges canceled.
  void store() {
    std::sort(heap_.begin(), heap_.end());
    for (std::size_t i = 0; i < heap_.size();) {
      const bool cancels = i + 1 < heap_.size() && heap_[i] == heap_[i + 1];
      if (!cancels) entries_.push_back(heap_[i]);
      i += cancels ? 2 : 1;
    }
    starts_.push_back(entries_.size());
  }

  const G& gradient_;
  const Order edges_, columns_;
  const StopFlag& stop_;
  const std::vector<Cell>& squares_;
  std::unordered_map<Cell, std::size_t> column_of_;  // by pivot
  std::vector<std::size_t> starts_{0};               // where columns begin in entries_
  std::vector<EdgeKey> entries_;
  std::vector<EdgeKey> heap_;  // the working column
};

}  // namespace topo
