// Dimension 1 of a 3D joint gradient: squares, in one order, reduced against edges, in another.
//
// As in saddle_saddle_pairs.hpp a column is not written down as a whole, but followed along V-paths from its last edge
// down, and columns are taken brick by brick, each by one of several threads. Edges that are negative in the order of the
// edges cannot be pivots, and squares that are positive in the order of the squares are cleared. (The stars of a single
// order, which hold the working column there, do not exist here.)
//
// Voxels at the least level of the label come first in its order, and among themselves all orders have them in the same
// one: squares that enter with them are reduced once, and the reductions begin with their columns. Which of them are
// negative, and which of their edges, differs from order to order, so their columns leave out only edges that are negative
// in all orders, which are no pivot in any.
#pragma once

#include <atomic>
#include <numeric>

#include "bricks.hpp"
#include "joint_columns.hpp"
#include "joint_gradient.hpp"
#include "rank_queue.hpp"

namespace topo {

class JointSaddleReduction {
  using G = JointGradient<3>;
  using C = CellIndex<3>;

 public:
  using Index = std::uint32_t;  // into the critical edges, or squares, of the gradient

  // Orders are given by their index. The marks of the gradient's critical edges and squares say which are paired with
  // dimensions 0 and 2. `common`: what other reductions of this gradient share, or null.
  JointSaddleReduction(const G& gradient, int edges, int columns, const JointSaddleReduction* common,
                       const StopFlag& stop)
      : gradient_(gradient),
        orders_(gradient.orders()),
        edges_(edges),
        columns_(columns),
        marks_of_negative_(1u << edges),
        stop_(stop),
        rank_(orders_.ranks(edges).data()) {
    sort_squares();
    find_pivots();
    if (common != nullptr) begin_with_columns_of(*common);
  }

  // What the reductions share: the squares at the least level of the label.
  JointSaddleReduction(const G& gradient, const Bricks& bricks, std::size_t threads, const StopFlag& stop);

  // All pairs as (edge, square), in the order of the squares.
  Array<std::pair<Index, Index>> pair_all(const Bricks& bricks, std::size_t threads);

 private:
  // An edge: the rank of its top, then its direction from there. Directions towards lower coordinates come first, axis by
  // axis, then those towards higher ones: edges of one voxel then have the order of the cells.
  using RankedEdge = std::uint32_t;
  using Place = std::uint32_t;  // of a square, in the order of the columns

  class Worker;

  struct Pivot {
    RankedEdge edge;
    Index index;
    std::atomic<const JointColumns::Entry*> column{nullptr};  // none yet
  };
  static constexpr std::size_t pivots_per_entry = 4;  // ranks that share an entry of the table

  CellCode code(Cell cell) const { return gradient_.code(C::corner(cell), C::type(cell)); }

  // Finds the negative squares and their tops.
  void sort_squares() {
    const Array<Cell>& squares = gradient_.critical_cells(2);
    Array<std::uint64_t> items, memory;
    for (Index i = 0; i < squares.size(); ++i)
      if (!code(squares[i]).is_marked(columns_)) {
        const Rank rank = orders_.rank(gradient_.top(squares[i], columns_), columns_);
        items.push_back((static_cast<std::uint64_t>(rank) << 32) | i);
      }
    radix_sort(items, 32, memory);
    place_.resize(squares.size());
    squares_.reserve(items.size());
    top_.reserve(items.size());
    for (const std::uint64_t item : items) {
      place_[static_cast<Index>(item)] = static_cast<Place>(squares_.size());
      squares_.push_back(static_cast<Index>(item));
      top_.push_back(orders_.voxel(static_cast<Rank>(item >> 32), columns_));
    }
  }

  // Gives the negative squares of the common reduction the columns that they have there.
  void begin_with_columns_of(const JointSaddleReduction& common) {
    const Array<Cell>&edges = gradient_.critical_cells(1), &squares = gradient_.critical_cells(2);
    for (const Pivot& of_common : common.pivots_)
      if (const JointColumns::Entry* const column = of_common.column)
        if (!code(squares[JointColumns::owner(column)]).is_marked(columns_))
          pivot(ranked(edges[of_common.index])).column = column;
  }

  // Reduces squares, given by their places, on threads.
  void reduce(Array<Place>&& places, const Bricks& bricks, std::size_t threads);

  // Whether an edge is no pivot in the orders of this reduction, or of all that share it.
  bool is_negative(CellCode code) const { return code.has_marks(marks_of_negative_); }

  // The positive critical edges, by rank: those of a voxel follow one another.
  void find_pivots() {
    const Array<Cell>& edges = gradient_.critical_cells(1);
    Array<std::uint64_t> items, memory;
    for (Index i = 0; i < edges.size(); ++i)
      if (!code(edges[i]).is_marked(edges_)) items.push_back((std::uint64_t{ranked(edges[i])} << 32) | i);
    radix_sort(items, 32, memory);
    pivots_ = Array<Pivot>(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      pivots_[i].edge = static_cast<RankedEdge>(items[i] >> 32);
      pivots_[i].index = static_cast<Index>(items[i]);
    }
    first_pivot_.resize(num_ranks() / pivots_per_entry + 2);
    std::size_t i = 0;
    for (std::size_t entry = 0; entry < first_pivot_.size(); ++entry) {
      while (i < pivots_.size() && rank_of(pivots_[i].edge) / pivots_per_entry < entry) ++i;
      first_pivot_[entry] = static_cast<std::uint32_t>(i);
    }
  }

  std::size_t num_ranks() const { return orders_.greatest_rank(edges_) + 1; }

  Pivot& pivot(RankedEdge edge) {
    auto i = first_pivot_[rank_of(edge) / pivots_per_entry];
    while (pivots_[i].edge != edge) ++i;
    return pivots_[i];
  }

  static constexpr std::size_t rank_of(RankedEdge edge) { return edge >> direction_bits; }

  RankedEdge ranked(Cell edge) const {
    const int axis = lowest_bit(static_cast<std::uint32_t>(C::type(edge)));
    const Voxel v = C::corner(edge), w = v + gradient_.stride[axis];
    return rank_[w] > rank_[v] ? edge_at(static_cast<Voxel>(rank_[w]), axis)
                               : edge_at(static_cast<Voxel>(rank_[v]), axis + 3);
  }

  const G& gradient_;
  const JointOrders<3>& orders_;
  const int edges_, columns_;
  std::uint32_t marks_of_negative_;
  const StopFlag& stop_;
  const Rank* const rank_;  // of voxels, in the order of the edges
  Array<Index> squares_;    // negative ones, by place
  Array<Voxel> top_;        // of these
  Array<Place> place_;      // of a negative square
  Array<Pivot> pivots_;
  Array<std::uint32_t> first_pivot_;
  Array<JointColumns> stores_;  // of threads
};

// Reduces columns on one thread.
class JointSaddleReduction::Worker {
 public:
  Worker(JointSaddleReduction& all, JointColumns& store)
      : all_(all), gradient_(all.gradient_), store_(store), pending_(all.num_ranks(), 0), queue_(pending_.size()) {}

  // Reduces the boundary of a square until it has a pivot of its own, and so on for the square whose pivot it has taken
  // over.
  void reduce(Index square) {
    const Cell cell = gradient_.critical_cells(2)[square];
    const auto type = static_cast<std::uint32_t>(C::type(cell));
    add_square(C::corner(cell), lowest_bit(type), highest_bit(type), no_voxel, 0);
    for (;;) {  // the column of a negative square never becomes empty
      if (++steps_ % 1024 == 0) all_.stop_.check();
      const std::size_t rank = queue_.greatest();
      std::uint32_t candidates = flow_down(rank);
      queue_.erase(rank);
      if (candidates == 0) continue;
      const int last = highest_bit(candidates);
      candidates ^= 1u << last;
      for (int direction : bits_of(candidates)) toggle(edge_at(static_cast<Voxel>(rank), direction));
      if (settle(square, all_.pivot(edge_at(static_cast<Voxel>(rank), last)))) return;
    }
  }

 private:
  // Stores the rest of the working column as the column of the square if no earlier square has this pivot, else adds the
  // column of that square. Returns whether nothing is left to reduce: of the square, or of a later one that had the pivot
  // before and becomes `square`.
  bool settle(Index& square, Pivot& pivot) {
    const JointColumns::Entry *seen = pivot.column.load(std::memory_order_acquire), *own = nullptr;
    for (;;) {
      if (seen != nullptr && all_.place_[JointColumns::owner(seen)] < all_.place_[square]) {
        if (own != nullptr) add(own);  // another thread was faster
        add(seen);
        return false;
      }
      if (own == nullptr) own = store(square);
      if (!pivot.column.compare_exchange_weak(seen, own, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      if (seen == nullptr) return true;
      square = JointColumns::owner(seen);
      add(own);
      add(seen);
      return false;
    }
  }

  void add(const JointColumns::Entry* column) {
    for (const auto *edge = JointColumns::begin(column), *end = JointColumns::end(column); edge != end; ++edge) {
      const Voxel top = voxel_of(*edge);
      const int direction = direction_of(*edge);
      const CellCode code = gradient_.code(corner(top, direction), 1 << direction % 3);
      if (code.is_critical() && all_.is_negative(code)) continue;  // in a common column
      toggle(edge_at(static_cast<Voxel>(all_.rank_[top]), direction));
    }
  }

  // The lower corner of the edge in a direction.
  Voxel corner(Voxel v, int direction) const { return direction < 3 ? v - gradient_.stride[direction] : v; }

  void toggle(RankedEdge edge) {
    std::uint8_t& directions = pending_[rank_of(edge)];
    if (directions == 0) queue_.insert(rank_of(edge));
    directions ^= static_cast<std::uint8_t>(1u << direction_of(edge));
  }

  // Whether an edge may be, or lead to, a pivot: it is critical and positive, or it is matched with a square.
  bool leads_on(CellCode code, int axis) const {
    return code.is_critical() ? !all_.is_negative(code) : !code.is_missing() && code.axis() != axis;
  }

  void add_edge(Voxel corner, int axis) {
    const CellCode code = gradient_.code(corner, 1 << axis);
    if (!leads_on(code, axis)) return;
    toggle(all_.ranked(C::cell(code.is_critical() ? corner : end_of_line(corner, axis, code), 1 << axis)));
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

  // Takes the edges of the latest voxel and replaces those that are matched with a square by the rest of its boundary,
  // until only critical ones are left there.
  std::uint32_t flow_down(std::size_t rank) {
    const Voxel v = all_.orders_.voxel(static_cast<Rank>(rank), all_.edges_);
    std::uint32_t critical = 0;
    while (pending_[rank] != 0) {
      const int direction = lowest_bit(std::uint32_t{pending_[rank]});
      pending_[rank] ^= static_cast<std::uint8_t>(1u << direction);
      const int axis = direction % 3;
      const Voxel at = corner(v, direction);
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

  // Keeps the working column as that of a square, and leaves it empty. Its edges are stored with their last voxel instead of
  // the rank, which orders do not share.
  const JointColumns::Entry* store(Index square) {
    rest_.clear();
    while (!queue_.empty()) {
      const std::size_t rank = queue_.greatest();
      if (pending_[rank] != 0) {
        const Voxel top = all_.orders_.voxel(static_cast<Rank>(rank), all_.edges_);
        for (int direction : bits_of(pending_[rank])) rest_.push_back(edge_at(top, direction));
        pending_[rank] = 0;
      }
      queue_.erase(rank);
    }
    return store_.add(square, rest_);
  }

  JointSaddleReduction& all_;
  const G& gradient_;
  JointColumns& store_;
  Array<std::uint8_t> pending_;  // the working column: edges by rank, as directions
  RankQueue queue_;              // ranks with edges, or whose edges have canceled
  Array<Edge> rest_;
  std::uint32_t steps_ = 0;
};

inline void JointSaddleReduction::reduce(Array<Place>&& places, const Bricks& bricks, std::size_t threads) {
  threads = useful_threads(threads, 500.0 * places.size());
  Array<std::size_t> first;
  places = bricks.sort(places, [&](Place place) { return top_[place]; }, first);
  stores_ = Array<JointColumns>(threads);
  parallel_workers(bricks.count(), threads, [&](std::size_t thread) {
    return [&, worker = Worker(*this, stores_[thread])](std::size_t brick) mutable {
      for (std::size_t i = first[brick]; i < first[brick + 1]; ++i) worker.reduce(squares_[places[i]]);
    };
  });
}

inline JointSaddleReduction::JointSaddleReduction(const G& gradient, const Bricks& bricks, std::size_t threads,
                                                  const StopFlag& stop)
    : JointSaddleReduction(gradient, gradient.orders().index(of_label), gradient.orders().index(of_label), nullptr,
                           stop) {
  marks_of_negative_ = (1u << orders_.num_distinct()) - 1;
  Array<Place> places;
  while (places.size() < squares_.size() && orders_.is_least_of_label(top_[places.size()]))
    places.push_back(static_cast<Place>(places.size()));
  reduce(std::move(places), bricks, threads);
}

inline Array<std::pair<JointSaddleReduction::Index, JointSaddleReduction::Index>> JointSaddleReduction::pair_all(
    const Bricks& bricks, std::size_t threads) {
  Array<char> has_column(gradient_.critical_cells(2).size(), 0);
  for (const Pivot& pivot : pivots_)
    if (const JointColumns::Entry* const column = pivot.column) has_column[JointColumns::owner(column)] = 1;
  Array<Place> places;
  for (Place place = 0; place < squares_.size(); ++place)
    if (!has_column[squares_[place]]) places.push_back(place);
  reduce(std::move(places), bricks, threads);
  Array<std::pair<Index, Index>> pairs(squares_.size());
  for (const Pivot& pivot : pivots_)
    if (const JointColumns::Entry* const column = pivot.column) {
      const Index square = JointColumns::owner(column);
      pairs[place_[square]] = {pivot.index, square};
    }
  return pairs;
}

}  // namespace topo
