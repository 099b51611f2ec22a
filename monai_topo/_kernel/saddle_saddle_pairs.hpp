// Persistence pairs of dimension 1 in 3D: negative 2-saddles (squares) paired with positive 1-saddles (edges).
//
// Squares that are positive, paired in dimension 2, are cleared: their columns are not computed. The others are reduced
// as in the reduction of a boundary matrix, but the column of a square is never written down as a whole. Its boundary
// is followed along V-paths from the last edge down, only as far as the first critical edge that is positive and so can
// be a pivot (the idea of Guillou, Vidal, Tierny, "Discrete Morse Sandwich", 2022).
//
// Pairs do not depend on the order in which columns are reduced, as long as only columns of earlier squares are added to
// the column of a square (Morozov and Nigmetov, "Towards lockfree persistent homology", 2020). So columns are taken brick
// by brick, each by one of several threads, and not in the order of the filtration. Where a column finds its pivot taken
// by that of a later square, it takes the pivot over, and the later one is reduced further.
#pragma once

#include "bricks.hpp"
#include "column_store.hpp"
#include "extremum_saddle_pairs.hpp"
#include "plateau.hpp"

namespace topo {

class SaddleSaddleReduction {
  using L = Link<3>;

 public:
  static constexpr Voxel max_voxels = Voxel{1} << (32 - direction_bits);
  static_assert(direction_bits == Saddle::number_bits);

  // `star` must have its negative edges marked. `newest_column` is memory for as many numbers as there are voxels; what
  // they are does not matter, and those that change are 0 after pair_all.
  SaddleSaddleReduction(const Grid<3>& grid, const StarArray<3>& star, SharedNumbers& newest_column,
                        const StopFlag& stop)
      : grid_(grid), star_(star), stop_(stop), plateau_(grid), newest_column_(newest_column) {}

  // Birth and death voxel of every class, except some without persistence, in no order. `squares`: all critical ones;
  // those that are paired are positive. `working`: memory for the working column of every thread.
  VoxelPairs pair_all(Array<CriticalVoxels>&& critical, Array<Saddle>&& squares,
                      Array<WorkingColumn::EdgesOfVoxels>& working) {
    const std::size_t threads = useful_threads(working.size(), 50.0 * squares.size());
    parallel_for(critical.size(), threads, [&](std::size_t part) { keep_births(critical[part].all); });
    VoxelPairs pairs;
    for (Voxel v : reduce_all(std::move(squares), working)) pairs.emplace_back(plateau_.nearest(v), v);
    Array<VoxelPairs> parts(critical.size());
    parallel_for(parts.size(), threads, [&](std::size_t part) {
      for (Voxel v : critical[part].all) append_pairs(v, parts[part]);
    });
    std::size_t count = pairs.size();
    for (const VoxelPairs& part : parts) count += part.size();
    pairs.reserve(count);  // memory peaks here: neither the list nor its parts are kept twice
    for (VoxelPairs& part : parts) {
      pairs.insert(pairs.end(), part.begin(), part.end());
      release(part);
    }
    return pairs;
  }

 private:
  class Worker;

  // Returns the voxels of the squares whose columns vanish.
  Array<Voxel> reduce_all(Array<Saddle>&& squares, Array<WorkingColumn::EdgesOfVoxels>& working);

  // Keeps the voxels with a positive edge, none of which has a column yet.
  void keep_births(Array<Voxel>& voxels) {
    std::size_t kept = 0;
    for (Voxel v : voxels) {
      voxels[kept] = v;
      if (positive_edges(star_[v]) == 0) continue;
      newest_column_[v].store(0, std::memory_order_relaxed);
      ++kept;
    }
    voxels.resize(kept);
    voxels.shrink_to_fit();
  }

  // Appends the classes that are born at a voxel. Those without a column die on the last plateau.
  void append_pairs(Voxel birth, VoxelPairs& pairs) {
    const Address newest = newest_column_[birth].exchange(0, std::memory_order_relaxed);
    for (int edge : bits_of(positive_edges(star_[birth]))) {
      const ReducedColumn column = store_.find(newest, edge);
      if (column)
        pairs.emplace_back(birth, voxel_of(column.owner()));
      else if (plateau_.has_last() && !plateau_.is_last(birth))
        pairs.emplace_back(birth, plateau_.nearest(birth));
    }
  }

  CellBits positive_edges(StarWord<3> star) const { return gradient_.critical_edges(star) & ~star.negative_edges(); }

  static Voxel voxel_of(OrderKey square) { return static_cast<std::uint32_t>(square) >> Saddle::number_bits; }

  // The cells of the squares to reduce.
  Array<std::uint32_t> cells_to_reduce(const Array<Saddle>& squares) const {
    const auto is_reduced = [&](const Saddle& square) {
      const Voxel v = square.voxel();
      return !square.is_paired() && !plateau_.is_first(v) && !plateau_.is_last(v);
    };
    Array<std::uint32_t> cells;
    cells.reserve(static_cast<std::size_t>(std::count_if(squares.begin(), squares.end(), is_reduced)));
    for (const Saddle& square : squares)
      if (is_reduced(square)) cells.push_back(square.cell);
    return cells;
  }

  const LowerStarGradient<3>& gradient_ = LowerStarGradient<3>::instance();
  const Grid<3>& grid_;
  const StarArray<3>& star_;
  const StopFlag& stop_;
  const Plateau plateau_;
  SharedNumbers& newest_column_;  // of a voxel with positive edges: the address of a column with one of them as pivot
  ColumnStore store_;
};

// Reduces columns on one thread.
class SaddleSaddleReduction::Worker {
 public:
  Worker(SaddleSaddleReduction& all, WorkingColumn::EdgesOfVoxels& working, Array<Voxel>& without_pivot)
      : all_(all),
        grid_(all.grid_),
        star_(all.star_.data()),
        stop_(all.stop_),
        plateau_(all.plateau_),
        without_pivot_(without_pivot),
        working_(all.grid_.level.data(), all.grid_.size(), working),
        writer_(all.store_) {}

  // Reduces squares in the order of the filtration.
  void reduce(const std::uint32_t* begin, const std::uint32_t* end) {
    squares_.clear();
    for (const std::uint32_t* cell = begin; cell != end; ++cell)
      squares_.push_back(order_key(grid_.level[*cell >> Saddle::number_bits], *cell));
    std::sort(squares_.begin(), squares_.end());
    for (OrderKey square : squares_) reduce(square);
  }

 private:
  // Reduces the boundary of a critical square until it has a pivot of its own, and so on for the square whose pivot it
  // has taken over.
  void reduce(OrderKey square) {
    const Voxel v = voxel_of(square);
    const int direction = nth_bit(gradient_.critical_squares(star_[v]), direction_of(static_cast<Edge>(square)));
    working_.start(v);
    working_.add(v, L::first_edge(direction));
    working_.add(v, L::second_edge(direction));
    add_far_edges(v, direction);
    while (const CellBits edges = working_.take_latest()) {
      if (++steps_ % 1024 == 0) stop_.check();
      const Voxel w = working_.latest_voxel();
      CellBits candidates = flow_down(w, edges);
      if (candidates == 0) continue;
      const int pivot = highest_bit(candidates);
      candidates ^= CellBits{1} << pivot;
      for (int edge : bits_of(candidates)) working_.add(w, edge);
      if (settle(square, w, pivot)) return;
    }
    without_pivot_.push_back(voxel_of(square));
  }

  // Stores the rest of the working column as the column of the square if no earlier square has one with this pivot, else
  // adds the column of that square. Returns whether nothing is left to reduce: of the square, or of a later one that
  // had the pivot before and becomes `square`.
  bool settle(OrderKey& square, Voxel v, int pivot) {
    std::atomic<Address>& newest = all_.newest_column_[v];
    Address seen = newest.load(std::memory_order_acquire), own = 0;
    for (;;) {
      const ReducedColumn other = all_.store_.find(seen, pivot);
      if (other && other.owner() < square) {
        if (own != 0) working_.add(rest_.data(), rest_.data() + rest_.size());  // another thread was faster
        working_.add(other.begin(), other.end());
        return false;
      }
      if (own == 0) {
        rest_.clear();
        working_.move_to(rest_);
        own = writer_.write(square, pivot, rest_);
      }
      writer_.set_next(own, seen);
      if (!newest.compare_exchange_weak(seen, own, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      if (!other) return true;
      square = other.owner();
      working_.add(rest_.data(), rest_.data() + rest_.size());
      working_.add(other.begin(), other.end());
      return false;
    }
  }

  // Replaces edges of a voxel by the ends of their V-paths inside its star: along squares of the forest to the roots.
  // The far edges of these squares are added to the column. Returns the roots that may be pivots.
  CellBits flow_down(Voxel v, CellBits edges) {
    const StarWord<3> star = star_[v];
    const std::uint32_t squares = gradient_.squares_of_edges(star);
    CellBits crossed = 0, reached = 0;
    for (int edge : bits_of(edges)) {
      for (int square; (square = gradient_.square_of_edge(squares, edge)) != no_square;) {
        crossed ^= CellBits{1} << square;
        edge = L::first_edge(square) == edge ? L::second_edge(square) : L::first_edge(square);
      }
      reached ^= CellBits{1} << edge;
    }
    for (int square : bits_of(crossed)) add_far_edges(v, square);
    return reached & all_.positive_edges(star);
  }

  // The two edges of a square that do not touch its last voxel v, in the drawing f_a and f_b:
  //
  //     at_b --f_a-- corner
  //      |             |
  //      b            f_b
  //      |             |
  //      v ---- a --- at_a
  void add_far_edges(Voxel v, int square) {
    const int a = L::first_edge(square), b = L::second_edge(square);
    const Voxel at_a = grid_.neighbor(v, a), at_b = grid_.neighbor(v, b), corner = grid_.neighbor(at_a, b);
    add_far_edge(at_a, corner, b);
    add_far_edge(at_b, corner, a);
  }

  // Adds the edge from u to the corner. Edges that cannot lead to a pivot are left out already here: those matched with
  // their voxel, negative ones, and those of the frame (one vertex) or of the first plateau.
  void add_far_edge(Voxel u, Voxel corner, int direction) {
    StarWord<3> star = star_[u];
    Voxel last = u;
    if (!star.has_edge(direction)) {
      last = corner;
      star = star_[corner];
      direction ^= 1;
    }
    const CellBits roots = gradient_.roots(star), edge = CellBits{1} << direction;
    const bool is_first_root = (roots & (edge - 1)) == 0;
    if ((roots & edge) && (is_first_root || (star.negative_edges() & edge))) return;
    if (plateau_.is_first(last)) return;
    working_.add(last, direction);
  }

  const LowerStarGradient<3>& gradient_ = LowerStarGradient<3>::instance();
  SaddleSaddleReduction& all_;
  const Grid<3>& grid_;
  const StarWord<3>* const star_;
  const StopFlag& stop_;
  const Plateau plateau_;
  Array<Voxel>& without_pivot_;
  WorkingColumn working_;
  ColumnWriter writer_;
  Array<Edge> rest_;
  std::uint32_t steps_ = 0;
  Array<OrderKey> squares_;
};

inline Array<Voxel> SaddleSaddleReduction::reduce_all(Array<Saddle>&& squares,
                                                      Array<WorkingColumn::EdgesOfVoxels>& working) {
  const Bricks bricks(grid_);
  Array<std::uint32_t> cells = cells_to_reduce(squares);
  release(squares);
  Array<std::size_t> first;
  cells = bricks.sort(cells, [](std::uint32_t cell) { return cell >> Saddle::number_bits; }, first);
  Array<Array<Voxel>> without_pivot(working.size());
  parallel_workers(bricks.count(), working.size(), [&](std::size_t thread) {
    return [&, worker = Worker(*this, working[thread], without_pivot[thread])](std::size_t brick) mutable {
      worker.reduce(cells.data() + first[brick], cells.data() + first[brick + 1]);
    };
  });
  for (std::size_t thread = 1; thread < working.size(); ++thread)
    without_pivot[0].insert(without_pivot[0].end(), without_pivot[thread].begin(), without_pivot[thread].end());
  return without_pivot[0];
}

}  // namespace topo
