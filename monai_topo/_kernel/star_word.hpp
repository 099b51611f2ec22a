// The cells around a voxel, their numbers, and the word that keeps the lower star of a voxel.
//
// The cells around a voxel v are the faces of its link, the boundary of a square (2D) or of an octahedron (3D): an edge
// at v is a vertex of the link, a square at v is an edge of the link, a cube at v is a triangle of the link. They are
// numbered by the directions in which they extend (sign 0 towards lower, 1 towards higher coordinates):
//
//   edge    2 * axis + sign
//   square  4 * plane + 2 * sign_a + sign_b, with axes a < b
//   cube    4 * sign_0 + 2 * sign_1 + sign_2
//
//   2D: 4 edges e, 4 squares s         3D: 6 edges e, 12 squares s, 8 cubes c; both halves share the rim s8 ... s11
//
//           e0                          towards lower axis 0              towards higher axis 0
//          /  \                                   e2                                e2
//       s0/    \s1                              / | \                             / | \          axis 1
//        /      \                            s8/  |  \s9                       s8/  |  \s9         |
//      e2    v   e3   axis 0                  /c0 s0 c1\                        /c4 s2 c5\         v
//        \      /       |                   e4--s4-e0-s5--e5                  e4--s6-e1-s7--e5      --> axis 2
//       s2\    /s3      v                     \c2 s1 c3/                        \c6 s3 c7/
//          \  /          --> axis 1          s10\ | /s11                       s10\ | /s11
//           e1                                   \|/                               \|/
//                                                 e3                                e3
//
// A cell is in the lower star of v if all of its other voxels enter before v. The lower star is a subcomplex of the
// link and one word:
//
//   2D  bit  7     4 3    0        3D  bit  31    26 25        18 17               6 5      0
//           +-------+------+               +--------+------------+------------------+--------+
//           |squares| edges|               |negative| cubes      | squares          | edges  |
//           +-------+------+               +--------+------------+------------------+--------+
//
// `negative` marks critical edges with which a component dies, for dimension 1.
#pragma once

#include <type_traits>

#include "bits.hpp"
#include "grid.hpp"

namespace topo {

// A set of cells of one dimension around a voxel, or a whole lower star, as bits.
using CellBits = std::uint32_t;

template <int D>
struct Link {
  static constexpr int edges = 2 * D;
  static constexpr int squares = D == 3 ? 12 : 4;
  static constexpr int cubes = D == 3 ? 8 : 0;
  static constexpr int top_cells = 1 << D;  // cells of dimension D: squares or cubes

  static constexpr int first_axis(int square) { return square / 4 == 2 ? 1 : 0; }
  static constexpr int second_axis(int square) { return square / 4 == 0 ? 1 : 2; }
  static constexpr int third_axis(int square) { return 3 - first_axis(square) - second_axis(square); }
  static constexpr int first_sign(int square) { return square / 2 % 2; }
  static constexpr int second_sign(int square) { return square % 2; }
  static constexpr int first_edge(int square) { return 2 * first_axis(square) + first_sign(square); }
  static constexpr int second_edge(int square) { return 2 * second_axis(square) + second_sign(square); }
  static constexpr int cube(int square, int third_sign) {
    int signs[3] = {};
    signs[first_axis(square)] = first_sign(square);
    signs[second_axis(square)] = second_sign(square);
    signs[third_axis(square)] = third_sign;
    return 4 * signs[0] + 2 * signs[1] + signs[2];
  }
};

// A pixel has no more than eight cells around it: one byte.
template <int D>
struct StarWord {
  using L = Link<D>;
  using Bits = std::conditional_t<D == 2, std::uint8_t, std::uint32_t>;

  static constexpr int first_square = L::edges;
  static constexpr int first_cube = first_square + L::squares;
  static constexpr int first_negative = first_cube + L::cubes;
  static constexpr int first_top_cell = D == 3 ? first_cube : first_square;
  static constexpr CellBits edge_mask = (CellBits{1} << L::edges) - 1;
  static constexpr CellBits square_mask = (CellBits{1} << L::squares) - 1;
  static constexpr CellBits cube_mask = (CellBits{1} << L::cubes) - 1;
  static constexpr CellBits all_top_cells = (CellBits{1} << L::top_cells) - 1;

  Bits bits;  // StarWord{} is empty; in a RawArray it has no value yet

  StarWord() = default;
  explicit StarWord(CellBits all) : bits(static_cast<Bits>(all)) {}

  CellBits edges() const { return bits & edge_mask; }
  CellBits squares() const { return (CellBits{bits} >> first_square) & square_mask; }
  CellBits cubes() const { return (CellBits{bits} >> first_cube) & cube_mask; }
  CellBits top_cells() const { return D == 3 ? cubes() : squares(); }
  bool has_edge(int edge) const { return has_bit(bits, edge); }
  bool has_top_cell(int cell) const { return has_bit(bits, first_top_cell + cell); }
  StarWord without_squares(CellBits squares) const { return StarWord(bits & ~(squares << first_square)); }

  CellBits negative_edges() const { return CellBits{bits} >> first_negative; }
  void mark_negative(int edge) { bits |= CellBits{1} << (first_negative + edge); }
};

template <int D>
using StarArray = RawArray<StarWord<D>>;

}  // namespace topo
