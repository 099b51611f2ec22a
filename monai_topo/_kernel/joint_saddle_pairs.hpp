// Dimension 1 of a 3D joint gradient: squares, in one order, reduced against edges, in another.
//
// As in saddle_saddle_pairs.hpp a column is not written down as a whole, but followed along V-paths from its last edge
// down, and columns are taken brick by brick, each by one of several threads. Squares that are positive in their order are
// cleared. (The stars of a single order, which hold the working column there, do not exist here.)
//
// Reductions of one gradient differ in few columns, so each begins with columns of others: see
// joint_saddle_reductions.hpp. For that a column leaves out only edges that are negative in all orders. The last edge of a
// cycle is positive, so those that are negative in the order at hand are never a pivot.
#pragma once

#include <algorithm>
#include <atomic>
#include <utility>

#include "bricks.hpp"
#include "joint_columns.hpp"
#include "joint_saddles.hpp"

namespace topo {

class JointSaddleReduction {
  using G = JointGradient<3>;
  using C = CellIndex<3>;
  using Entry = JointColumns::Entry;

 public:
  // The order of the edges is given by its index. `edges`, `squares`: of the gradient.
  JointSaddleReduction(const G& gradient, int edge_order, const CriticalEdges& edges, const NegativeSquares& squares,
                       const StopFlag& stop)
      : gradient_(gradient),
        rank_(gradient.orders().ranks(edge_order).data()),
        edge_order_(edge_order),
        edges_(edges),
        squares_(squares),
        stop_(stop),
        pivots_(edges.size()),
        column_(gradient.critical_cells(2).size(), nullptr) {}

  // Begins with the columns that another reduction has for the squares that belong(square).
  template <class Belongs>
  void begin_with(const JointSaddleReduction& other, Belongs belongs) {
    for (SaddleIndex square = 0; square < column_.size(); ++square)
      if (belongs(square)) column_[square] = other.column_[square];
  }

  // Reduces squares, given by their places in their order. `working`: memory of each thread.
  void reduce(std::size_t first, std::size_t last, const Bricks& bricks, Array<WorkingColumn::EdgesOfVoxels>& working);

  // Calls visit(square, the voxel of its birth, and of its death) for all pairs.
  template <class Visit>
  void for_each_pair(Visit visit) const {
    for (SaddleIndex square = 0; square < column_.size(); ++square)
      if (squares_.is_negative(square)) visit(square, voxel_of(pivot(square)), squares_.top(square));
  }

  // The edge that a negative square is paired with.
  SaddleIndex edge(SaddleIndex square) const { return edges_.index(cell(pivot(square))); }

  const NegativeSquares& squares() const { return squares_; }

 private:
  using Pivot = std::atomic<const Entry*>;  // the column that has it, or null

  class Worker;

  // Edges go from their top in a direction. Directions towards lower coordinates come first, axis by axis, then those
  // towards higher ones: edges of one voxel then have the order of the cells.
  static constexpr int num_axes = 3;

  Voxel corner(Edge edge) const {
    const int direction = direction_of(edge);
    return direction < num_axes ? voxel_of(edge) - gradient_.stride[direction] : voxel_of(edge);
  }
  Cell cell(Edge edge) const { return C::cell(corner(edge), 1 << direction_of(edge) % num_axes); }
  Edge edge(Voxel corner, int axis) const {
    const Voxel end = corner + gradient_.stride[axis];
    return rank_[end] > rank_[corner] ? edge_at(end, axis) : edge_at(corner, axis + num_axes);
  }

  Edge pivot(SaddleIndex square) const { return with_top(JointColumns::pivot(column_[square])); }

  // An edge that comes from another order.
  Edge with_top(Edge from) const { return edge(corner(from), direction_of(from) % num_axes); }

  const G& gradient_;
  const Rank* const rank_;  // of voxels, in the order of the edges
  const int edge_order_;
  const CriticalEdges& edges_;
  const NegativeSquares& squares_;
  const StopFlag& stop_;
  Array<Pivot> pivots_;                // by index of the edge
  Array<const Entry*> column_;         // of a square: reduced, or to begin with, or null
  Array<Array<JointColumns>> stores_;  // of the threads of every call
};

// Reduces columns on one thread.
class JointSaddleReduction::Worker {
 public:
  Worker(JointSaddleReduction& all, JointColumns& store, WorkingColumn::EdgesOfVoxels& working)
      : all_(all), gradient_(all.gradient_), store_(store), working_(all.rank_, all.gradient_.size(), working) {}

  // Reduces the column of a square until it has a pivot of its own, and so on for the square whose pivot it has taken over.
  void reduce(SaddleIndex square) {
    if (begin(square)) return;
    for (;;) {
      if (++steps_ % 1024 == 0) all_.stop_.check();
      const std::uint32_t edges = working_.take_latest();  // some: the column of a negative square never becomes empty
      const Voxel v = working_.latest_voxel();
      std::uint32_t candidates = flow_down(v, edges);
      if (candidates == 0) continue;
      const int pivot = highest_bit(candidates);
      candidates ^= 1u << pivot;
      for (int direction : bits_of(candidates)) working_.add(v, direction);
      if (settle(square, edge_at(v, pivot), nullptr)) return;
    }
  }

 private:
  // Begins with the column that the square has from elsewhere, or with its boundary. Returns whether nothing is left to
  // reduce.
  bool begin(SaddleIndex& square) {
    if (const Entry* const column = all_.column_[square]) {
      const Edge pivot = all_.with_top(JointColumns::pivot(column));
      const auto [last, is_last] = last_voxel(column, voxel_of(pivot));
      working_.start(last);
      if (is_last) return settle(square, pivot, column);
      working_.add(voxel_of(pivot), direction_of(pivot));
      add(column);
      return false;
    }
    const Cell cell = gradient_.critical_cells(2)[square];
    const auto type = static_cast<std::uint32_t>(C::type(cell));
    working_.start(gradient_.top(cell, all_.edge_order_));
    add_square(C::corner(cell), lowest_bit(type), highest_bit(type), no_voxel, 0);
    return false;
  }

  // The last voxel of a column's edges and of its former pivot, and whether all edges come before that. If they do not, it
  // may be no pivot here: edges that are matched with a square lead to others, also of the same voxel.
  std::pair<Voxel, bool> last_voxel(const Entry* column, Voxel of_pivot) const {
    std::pair<Voxel, bool> found{of_pivot, true};
    for (const Edge* at = JointColumns::begin(column); at != JointColumns::end(column); ++at)
      if (const Voxel v = voxel_of(all_.with_top(*at)); all_.rank_[v] >= all_.rank_[found.first]) found = {v, false};
    return found;
  }

  // Makes the working column, of which `own` is what is stored already, the column of the square if no earlier square has
  // this pivot, else adds the column of that square. Returns whether nothing is left to reduce: of the square, or of a
  // later one that had the pivot before and becomes `square`.
  bool settle(SaddleIndex& square, Edge edge, const Entry* own) {
    Pivot& pivot = all_.pivots_[all_.edges_.index(all_.cell(edge))];
    const Entry* seen = pivot.load(std::memory_order_acquire);
    for (;;) {
      if (seen != nullptr && place(JointColumns::owner(seen)) < place(square)) {
        if (own != nullptr) add(own);  // another thread was faster, or it has been stored elsewhere
        add(seen);
        return false;
      }
      if (own == nullptr) {
        rest_.clear();
        working_.move_to(rest_);
        own = store_.add(square, edge, rest_);
      }
      if (!pivot.compare_exchange_weak(seen, own, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      if (seen == nullptr) return true;
      square = JointColumns::owner(seen);
      add(own);
      add(seen);
      return false;
    }
  }

  std::uint32_t place(SaddleIndex square) const { return all_.squares_.place(square); }

  // Adds a column without its pivot.
  void add(const Entry* column) {
    for (const Edge* at = JointColumns::begin(column); at != JointColumns::end(column); ++at) {
      const Edge edge = all_.with_top(*at);
      working_.add(voxel_of(edge), direction_of(edge));
    }
  }

  // Whether an edge may be, or lead to, a pivot: it is critical and positive in some order, or matched with a square.
  static bool leads_on(CellCode code, int axis) {
    return code.is_critical() ? !code.is_negative() : !code.is_missing() && code.axis() != axis;
  }

  void add_edge(Voxel corner, int axis) {
    const CellCode code = gradient_.code(corner, 1 << axis);
    if (!leads_on(code, axis)) return;
    const Edge edge = all_.edge(code.is_critical() ? corner : end_of_line(corner, axis, code), axis);
    working_.add(voxel_of(edge), direction_of(edge));
  }

  // Where the V-path of an edge no longer goes straight down axis 0: its steps lead to the opposite edge of a square while
  // the two others, along axis 0, are matched with vertices.
  Voxel end_of_line(Voxel corner, int axis, CellCode code) const {
    if (!code.goes_down(0)) return corner;
    const auto& runs = gradient_.straight_runs();
    return corner - gradient_.stride[0] * std::min(runs.below(corner), runs.below(corner + gradient_.stride[axis]));
  }

  // Adds the edges of a square, given by its lowest corner and its axes, but for one of them.
  void add_square(Voxel corner, int a, int b, Voxel except_corner, int except_axis) {
    const auto add_other = [&](Voxel at, int axis) {
      if (at != except_corner || axis != except_axis) add_edge(at, axis);
    };
    add_other(corner, a);
    add_other(corner + gradient_.stride[b], a);
    add_other(corner, b);
    add_other(corner + gradient_.stride[a], b);
  }

  // Replaces those of a voxel's edges that are matched with a square by the rest of its boundary, until only critical ones
  // are left there.
  std::uint32_t flow_down(Voxel v, std::uint32_t edges) {
    std::uint32_t critical = 0;
    for (; edges != 0; edges = working_.take(v))
      for (int direction : bits_of(edges)) {
        const int axis = direction % num_axes;
        const Voxel at = all_.corner(edge_at(v, direction));
        const CellCode code = gradient_.code(at, 1 << axis);
        if (code.is_critical()) {
          critical ^= 1u << direction;
          continue;
        }
        const Voxel square = code.upper() ? at : at - gradient_.stride[code.axis()];
        add_square(square, axis, code.axis(), at, axis);
      }
    return critical;
  }

  JointSaddleReduction& all_;
  const G& gradient_;
  JointColumns& store_;
  WorkingColumn working_;
  Array<Edge> rest_;
  std::uint32_t steps_ = 0;
};

inline void JointSaddleReduction::reduce(std::size_t first, std::size_t last, const Bricks& bricks,
                                         Array<WorkingColumn::EdgesOfVoxels>& working) {
  Array<SaddleIndex> squares(last - first);
  for (std::size_t i = first; i < last; ++i) squares[i - first] = squares_.index(i);
  Array<std::size_t> begin;  // of each brick
  squares = bricks.sort(squares, [&](SaddleIndex square) { return squares_.top(square); }, begin);
  const std::size_t threads = useful_threads(working.size(), 500.0 * static_cast<double>(squares.size()));
  stores_.emplace_back(threads);
  Array<JointColumns>& stores = stores_.back();
  parallel_workers(bricks.count(), threads, [&](std::size_t thread) {
    return [&, worker = Worker(*this, stores[thread], working[thread])](std::size_t brick) mutable {
      for (std::size_t i = begin[brick]; i < begin[brick + 1]; ++i) worker.reduce(squares[i]);
    };
  });
  for (const Pivot& pivot : pivots_)
    if (const Entry* const column = pivot.load(std::memory_order_relaxed))
      column_[JointColumns::owner(column)] = column;
}

}  // namespace topo
