// Dimension 1 of a 3D joint gradient: squares, in one order, reduced against edges, in another.
//
// As in saddles.hpp a column is not written down but followed along the gradient from its last edge down, as far as the
// first critical edge that no other column has as its pivot. Edges that end a class of dimension 0 in the order of the
// edges are no pivots, and squares that begin one of dimension 2 in the order of the squares need no column.
#pragma once

#include <unordered_map>

#include "joint_gradient.hpp"

namespace topo {

class JointSaddles {
  using G = JointGradient<3>;
  using Edge = std::uint64_t;  // rank of its top, then the cell

 public:
  // The marks of the gradient's critical edges and squares say which are paired with dimensions 0 and 2.
  JointSaddles(const G& gradient, const std::vector<Cell>& squares, Order edges, Order columns, const StopFlag& stop)
      : gradient_(gradient), edges_(edges), columns_(columns), stop_(stop), squares_(squares) {}

  // Calls emit(edge, square) for every pair.
  template <class Emit>
  void pair_all(Emit emit) {
    std::vector<Edge> ordered;
    for (Cell square : squares_)
      if (!marked(square, columns_)) ordered.push_back(gradient_.key(square, columns_));
    std::sort(ordered.begin(), ordered.end());
    for (Edge square : ordered) emit(reduce(static_cast<Cell>(square)), static_cast<Cell>(square));
  }

 private:
  std::uint8_t code(Cell c) const { return gradient_.code(G::corner(c), G::type(c)); }
  bool marked(Cell c, Order o) const { return code(c) >> o & 1; }

  void push(Edge edge) {
    heap_.push_back(edge);
    std::push_heap(heap_.begin(), heap_.end());
  }

  Edge pop() {
    std::pop_heap(heap_.begin(), heap_.end());
    const Edge top = heap_.back();
    heap_.pop_back();
    return top;
  }

  // The four edges of a square.
  static std::array<Cell, 4> edges_of(Cell square, const std::array<Voxel, 3>& stride) {
    const int type = G::type(square), a = __builtin_ctz(type), b = 31 - __builtin_clz(type);
    const Voxel v = G::corner(square);
    return {G::cell(v, 1 << a), G::cell(v + stride[b], 1 << a), G::cell(v, 1 << b), G::cell(v + stride[a], 1 << b)};
  }

  // Whether an edge may be, or lead to, a pivot: it is critical and begins a class, or is matched with a square.
  bool counts(Cell edge) const {
    const std::uint8_t c = code(edge);
    if (c == G::missing) return false;
    if (G::is_critical(c)) return !(c >> edges_ & 1);
    return !(G::type(edge) >> G::axis(c) & 1);
  }

  // Edges of one voxel as bits: 2 * axis + (1 where the edge goes to the upper neighbor).
  Cell edge_at(Voxel v, int direction) const {
    const int axis = direction / 2;
    return G::cell(direction % 2 ? v : v - gradient_.stride[axis], 1 << axis);
  }
  static int direction_from(Voxel v, Cell edge) {
    return 2 * __builtin_ctz(G::type(edge)) + (G::corner(edge) == v ? 1 : 0);
  }

  // Replaces the edges whose top is v by critical ones: what is matched with a square by the rest of its boundary.
  unsigned flow(Voxel v, unsigned edges) {
    unsigned found = 0;
    while (edges != 0) {
      const int direction = lowest_bit(edges);
      edges &= edges - 1;
      const Cell edge = edge_at(v, direction);
      const std::uint8_t c = code(edge);
      if (G::is_critical(c)) {
        found ^= 1u << direction;
        continue;
      }
      const Voxel at = G::upper(c) ? G::corner(edge) : G::corner(edge) - gradient_.stride[G::axis(c)];
      for (Cell other : edges_of(G::cell(at, G::type(edge) | 1 << G::axis(c)), gradient_.stride)) {
        if (other == edge || !counts(other)) continue;
        if (gradient_.top(other, edges_) == v)
          edges ^= 1u << direction_from(v, other);
        else
          push(gradient_.key(other, edges_));
      }
    }
    return found;
  }

  Cell reduce(Cell square) {
    heap_.clear();
    for (Cell edge : edges_of(square, gradient_.stride))
      if (counts(edge)) push(gradient_.key(edge, edges_));
    for (;;) {  // the column of a square that begins no class never becomes empty
      stop_.check();
      const Edge top = pop();
      const std::uint64_t rank = top >> 32;
      const Voxel v = gradient_.top(static_cast<Cell>(top), edges_);
      unsigned edges = 1u << direction_from(v, static_cast<Cell>(top));
      while (!heap_.empty() && heap_.front() >> 32 == rank) edges ^= 1u << direction_from(v, static_cast<Cell>(pop()));
      unsigned pivots = flow(v, edges);
      if (pivots == 0) continue;
      // The last by cell, as they are kept in columns.
      Edge pivot = 0;
      for (unsigned rest = pivots; rest != 0; rest &= rest - 1)
        pivot = std::max(pivot, rank << 32 | edge_at(v, lowest_bit(rest)));
      for (unsigned rest = pivots; rest != 0; rest &= rest - 1)
        if (const Edge edge = rank << 32 | edge_at(v, lowest_bit(rest)); edge != pivot) push(edge);
      const auto [column, is_new] = column_of_.try_emplace(static_cast<Cell>(pivot), starts_.size() - 1);
      if (is_new) {
        store();
        return static_cast<Cell>(pivot);
      }
      for (std::size_t i = starts_[column->second]; i < starts_[column->second + 1]; ++i) push(entries_[i]);
    }
  }

  // What is left of a column below its pivot, sorted and with equal edges canceled.
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
  std::vector<Edge> entries_;
  std::vector<Edge> heap_;
};

}  // namespace topo
