// Persistence pairs of dimension 1 in 3D: negative 2-saddles (squares) paired with positive 1-saddles (edges).
//
// Squares that are positive, paired in dimension 2, are cleared: their columns are not computed. The others are reduced
// as in the reduction of a boundary matrix, but the column of a square is never written down as a whole. Its boundary
// is followed along V-paths from the last edge down, only as far as the first critical edge that is positive and so can
// be a pivot (the idea of Guillou, Vidal, Tierny, "Discrete Morse Sandwich", 2022).
#pragma once

#include "lower_star_gradient.hpp"
#include "parallel.hpp"
#include "plateau.hpp"
#include "working_column.hpp"

namespace topo {

class SaddleSaddleReduction {
  using L = Link<3>;

 public:
  static constexpr Voxel max_voxels = Voxel{1} << (32 - direction_bits);

  // `saddles`: the voxels with a saddle, in filtration order, and `positive_squares` of each of them. `star` must have
  // its negative edges marked and its cubes discarded: the working column takes their bits.
  SaddleSaddleReduction(const Grid<3>& grid, StarArray<3>& star, const std::vector<Voxel>& saddles,
                        const std::vector<std::uint16_t>& positive_squares, std::vector<std::uint32_t>& memory,
                        const StopFlag& stop)
      : grid_(grid),
        star_(star),
        saddles_(saddles),
        positive_squares_(positive_squares),
        stop_(stop),
        plateau_(grid),
        first_edge_(memory),
        working_(grid, star) {
    first_edge_.resize(grid.size());
    std::uint32_t edges = 0;
    for (Voxel v : saddles) {
      first_edge_[v] = edges;
      edges += count_bits(positive_edges(star[v]));
    }
    column_.assign(edges, nullptr);
  }

  // Calls emit(birth voxel, death voxel) for every class, except some without persistence.
  template <class Emit>
  void pair_all(Emit emit) {
    for (std::size_t i = 0; i < saddles_.size(); ++i) {
      const Voxel v = saddles_[i];
      if (plateau_.is_first(v) || plateau_.is_last(v)) continue;
      for (int square : bits_of(gradient_.critical_squares(star_[v]) & ~CellBits{positive_squares_[i]})) {
        const Voxel birth = reduce(v, square);
        emit(birth == no_voxel ? plateau_.nearest(v) : birth, v);
      }
    }
    if (plateau_.has_last()) pair_with_last_plateau(emit);
  }

 private:
  CellBits positive_edges(StarWord<3> star) const { return gradient_.critical_edges(star) & ~star.negative_edges(); }

  // Edges without a column after all squares before the last plateau: their classes die on it.
  template <class Emit>
  void pair_with_last_plateau(Emit emit) {
    for (Voxel v : saddles_) {
      if (plateau_.is_last(v)) continue;
      for (int edge : bits_of(positive_edges(star_[v])))
        if (column_of(v, edge) == nullptr) emit(v, plateau_.nearest(v));
    }
  }

  const ColumnStore::Entry*& column_of(Voxel v, int direction) {
    const CellBits lower = positive_edges(star_[v]) & ((CellBits{1} << direction) - 1);
    return column_[first_edge_[v] + count_bits(lower)];
  }

  // Reduces the boundary of a critical square. Returns the voxel of its pivot and keeps the rest as the pivot's column;
  // `no_voxel` if no edge is left because the cycle lies in the first plateau.
  Voxel reduce(Voxel v, int square) {
    working_.start(v);
    working_.add(v, L::first_edge(square));
    working_.add(v, L::second_edge(square));
    add_far_edges(v, square);
    while (const CellBits edges = working_.take_latest()) {
      stop_.check();
      const Voxel w = working_.latest_voxel();
      CellBits candidates = flow_down(w, edges);
      if (candidates == 0) continue;
      const int pivot = highest_bit(candidates);
      candidates ^= CellBits{1} << pivot;
      for (int edge : bits_of(candidates)) working_.add(w, edge);
      const ColumnStore::Entry*& column = column_of(w, pivot);
      if (column == nullptr) {
        rest_.clear();
        working_.move_to(rest_);
        column = store_.add(rest_);
        return w;
      }
      for (const ColumnStore::Entry *edge = column + 1, *end = edge + *column; edge != end; ++edge)
        working_.add(voxel_of(*edge), direction_of(*edge));
    }
    return no_voxel;
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
    return reached & positive_edges(star);
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
  const Grid<3>& grid_;
  StarArray<3>& star_;
  const std::vector<Voxel>& saddles_;
  const std::vector<std::uint16_t>& positive_squares_;
  const StopFlag& stop_;
  const Plateau plateau_;
  std::vector<std::uint32_t>& first_edge_;  // of a voxel with a saddle: positive edges before its own
  std::vector<const ColumnStore::Entry*>
      column_;  // of a positive edge: the column whose pivot it is, without the pivot
  ColumnStore store_;
  WorkingColumn working_;
  std::vector<Edge> rest_;
};

}  // namespace topo
