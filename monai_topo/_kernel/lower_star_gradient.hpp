// The discrete gradient inside one lower star, from tables.
//
// Any acyclic matching inside the lower star is valid (Robins, Wood, Sheppard 2011). Ours has the least possible number
// of critical cells and needs two small tables:
//
// 1. Cubes are collapsed through free squares, which are faces of one cube only. This depends on the 8 cube bits alone.
//    If all 8 cubes enter, the first one is critical: the voxel is a maximum.
// 2. The squares left over are the edges of a graph on the 6 edges of the star (vertices of the link). A spanning
//    forest of it depends on the 12 square bits alone. Every child is matched with the square to its parent:
//
//      e0 --s0-- e2 --s9-- e5      e1         e0, the first root, is matched with the voxel itself
//     root      child     child   root        e1, another root, is a critical edge: a 1-saddle
//                                             (e2, s0) and (e5, s9) are matched
//                                             a square not in the forest closes a cycle and is critical: a 2-saddle
#pragma once

#include "star_word.hpp"

namespace topo {

// Sets entry `index` of a word that is an array of fields of `width` bits.
template <class Word>
void set_field(Word& word, int index, int width, int value) {
  const auto field = static_cast<Word>((Word{1} << width) - 1);
  word = static_cast<Word>((word & ~(field << (index * width))) | (static_cast<Word>(value) << (index * width)));
}

inline constexpr int no_axis = 3;
inline constexpr int no_square = 15;

template <int D>
class LowerStarGradient {
  using L = Link<D>;

 public:
  LowerStarGradient() {
    exit_axes_.fill(UINT16_MAX);  // no_axis everywhere
    for (CellBits squares = 0; squares < children_.size(); ++squares) build_spanning_forest(squares);
    if constexpr (D == 3)
      for (CellBits cubes = 0; cubes < collapsed_.size(); ++cubes) collapse_cubes(cubes);
    children_[collapsed(StarWord<D>(~CellBits{0})).squares()] |= may_be_maximum;
  }

  // The star without the squares that are matched with a cube. All other functions, and arrays, take stars like this.
  StarWord<D> collapsed(StarWord<D> star) const {
    return D == 3 ? star.without_squares(collapsed_[star.cubes()]) : star;
  }

  static bool is_minimum(StarWord<D> star) { return star.edges() == 0; }
  static bool is_maximum(StarWord<D> star) { return star.top_cells() == StarWord<D>::all_top_cells; }

  // Roots of the forest; the lowest is matched with the voxel, the others are critical edges.
  CellBits roots(StarWord<D> star) const { return star.edges() & ~CellBits{children_[star.squares()]}; }
  CellBits critical_edges(StarWord<D> star) const {
    const CellBits all = roots(star);
    return all & (all - 1);
  }
  CellBits critical_squares(StarWord<D> star) const {
    const CellBits all = star.squares();
    return all & ~CellBits{forest_[all]};
  }
  // Critical facets between top cells: the saddles of dimension D - 1.
  CellBits critical_facets(StarWord<D> star) const { return D == 3 ? critical_squares(star) : critical_edges(star); }

  // Whether there may be a critical cell: a minimum, a second root, a square, or a maximum. Its squares alone do not
  // tell a maximum of a volume.
  bool may_be_critical(StarWord<D> star) const {
    const CellBits edges = star.edges(), children = children_[star.squares()], roots = edges & ~children;
    constexpr int top_bit = 31;  // of -1
    return (((edges - 1) >> top_bit) | (roots & (roots - 1)) | (children & (has_critical_square | may_be_maximum))) !=
           0;
  }

  // For every edge four bits: the square that it is matched with, or `no_square`.
  std::uint32_t squares_of_edges(StarWord<D> star) const { return squares_of_edges_[star.squares()]; }
  static int square_of_edge(std::uint32_t squares_of_edges, int edge) { return (squares_of_edges >> (4 * edge)) & 15; }

  // The axis along which the gradient leaves a top cell, through the facet it is matched with; `no_axis` if the cell is
  // critical.
  int exit_axis(StarWord<D> star, int top_cell) const { return (exit_axes_[star.top_cells()] >> (2 * top_cell)) & 3; }

  static const LowerStarGradient& instance() {
    static const LowerStarGradient tables;
    return tables;
  }

 private:
  void collapse_cubes(const CellBits cubes) {
    CellBits rest = cubes;
    if (cubes == StarWord<3>::cube_mask) rest &= ~CellBits{1};
    while (rest != 0)
      for (int square = 0; square < Link<3>::squares; ++square) {
        const bool lower = has_bit(rest, Link<3>::cube(square, 0)), upper = has_bit(rest, Link<3>::cube(square, 1));
        if (lower == upper) continue;
        const int cube = Link<3>::cube(square, upper);
        collapsed_[cubes] |= static_cast<std::uint16_t>(1u << square);
        set_field(exit_axes_[cubes], cube, 2, Link<3>::third_axis(square));
        rest &= ~(CellBits{1} << cube);
      }
  }

  void build_spanning_forest(const CellBits squares) {
    squares_of_edges_[squares] = UINT32_MAX;  // no_square everywhere
    CellBits reached = 0;
    for (int root = 0; root < L::edges; ++root) {
      if (has_bit(reached, root)) continue;
      reached |= CellBits{1} << root;
      for (bool has_grown = true; has_grown;) {
        has_grown = false;
        for (int square : bits_of(squares)) {
          const int a = L::first_edge(square), b = L::second_edge(square);
          if (has_bit(reached, a) == has_bit(reached, b)) continue;
          const int child = has_bit(reached, a) ? b : a;
          reached |= CellBits{1} << child;
          children_[squares] |= static_cast<std::uint8_t>(1u << child);
          forest_[squares] |= static_cast<std::uint16_t>(1u << square);
          set_field(squares_of_edges_[squares], child, 4, square);
          if (D == 2) set_field(exit_axes_[squares], square, 2, 1 - child / 2);
          has_grown = true;
        }
      }
    }
    if (forest_[squares] != squares) children_[squares] |= has_critical_square;
  }

  static constexpr std::uint8_t has_critical_square = 64, may_be_maximum = 128;  // in children_

  // By the square bits. Separate arrays: those that are read most stay in the first-level cache.
  std::array<std::uint8_t, std::size_t{1} << L::squares> children_{};
  std::array<std::uint16_t, std::size_t{1} << L::squares> forest_{};
  std::array<std::uint32_t, std::size_t{1} << L::squares> squares_of_edges_{};
  // By the bits of the top cells: two bits for each of them.
  std::array<std::uint16_t, std::size_t{1} << L::top_cells> exit_axes_{};
  // By the cube bits: the squares matched with a cube.
  std::array<std::uint16_t, 256> collapsed_{};
};

}  // namespace topo
