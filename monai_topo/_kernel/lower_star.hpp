// Which cells enter with a voxel, and how they are matched: the discrete gradient of the filtration.
//
// The cells around a voxel v are the faces of its link, the boundary of a square (2D) or of an octahedron (3D): edges
// at v are link vertices, squares are link edges, cubes are link triangles. Those that enter with v, its lower star,
// are the ones whose other vertices are all earlier: a subcomplex of the link, packed into one 32-bit word.
//
// Any acyclic matching inside the star is valid (Robins, Wood, Sheppard 2011). Ours needs two small tables and no cache
// of whole stars (a 3D image of noise has 300 000 distinct ones): first the cubes are collapsed through free squares,
// which depends on the 8 cube bits alone; then the remaining squares are a graph on the 6 link vertices, and a spanning
// forest of it depends on the 12 square bits alone. Roots of the forest are critical edges, except the first, which is
// matched with v itself; squares outside the forest are critical. Their number is the least possible.
#pragma once

#include "grid.hpp"

namespace topo {

using Star = std::uint32_t;

constexpr int no_axis = 3;
constexpr int no_square = 15;

inline int lowest_bit(std::uint32_t mask) { return __builtin_ctz(mask); }
inline int highest_bit(std::uint32_t mask) { return 31 - __builtin_clz(mask); }

// Directions are numbered with sign 0 towards lower and 1 towards higher coordinates:
//   edge    2 * axis + sign,   square  4 * plane + 2 * sign_a + sign_b (axes a < b),   cube  4 * s_0 + 2 * s_1 + s_2.
template <int D>
struct Link {
  static constexpr int edges = 2 * D;
  static constexpr int planes = D * (D - 1) / 2;
  static constexpr int squares = 4 * planes;
  static constexpr int cubes = D == 3 ? 8 : 0;
  static constexpr int tops = 1 << D;  // cells of dimension D at a voxel

  static constexpr Star edge_mask = (1u << edges) - 1;
  static constexpr Star square_mask = (1u << squares) - 1;

  static constexpr int first_axis(int square) { return square / 4 == 2 ? 1 : 0; }
  static constexpr int second_axis(int square) { return square / 4 == 0 ? 1 : 2; }
  static constexpr int first_edge(int square) { return 2 * first_axis(square) + square / 2 % 2; }
  static constexpr int second_edge(int square) { return 2 * second_axis(square) + square % 2; }
  static constexpr int third_axis(int square) { return 3 - first_axis(square) - second_axis(square); }
  static constexpr int cube(int square, int third_sign) {
    int signs[3] = {};
    signs[first_axis(square)] = square / 2 % 2;
    signs[second_axis(square)] = square % 2;
    signs[third_axis(square)] = third_sign;
    return 4 * signs[0] + 2 * signs[1] + signs[2];
  }

  static constexpr Star star(Star edge_bits, Star square_bits, Star cube_bits) {
    return edge_bits | square_bits << edges | cube_bits << (edges + squares);
  }
  static constexpr Star edge_bits(Star star) { return star & edge_mask; }
  static constexpr Star square_bits(Star star) { return star >> edges & square_mask; }
  static constexpr Star cube_bits(Star star) { return star >> (edges + squares); }
};

// Cubes of one star collapsed through free squares; the first cube is critical when all eight are there.
struct Collapse {
  std::uint16_t squares = 0;                                     // matched with a cube
  std::uint8_t crossing[8] = {3, 3, 3, 3, 3, 3, 3, 3};           // axis across the square that a cube is matched with
};

// Spanning forest of the squares that the collapse leaves, as a graph on the link's vertices.
struct Forest {
  std::uint16_t squares = 0;                                     // matched with an edge
  std::uint8_t children = 0;                                     // edges matched with a square; the others are roots
  std::uint8_t square[6] = {15, 15, 15, 15, 15, 15};             // the square that an edge is matched with
  std::uint8_t crossing[4] = {3, 3, 3, 3};                       // 2D: axis across the edge that a square is matched with
};

template <int D>
class Matching {
  using L = Link<D>;

 public:
  Matching() {
    for (Star squares = 0; squares <= L::square_mask; ++squares) forests_[squares] = span(squares);
    if (D == 3)
      for (Star cubes = 0; cubes < collapses_.size(); ++cubes) collapses_[cubes] = collapse(cubes);
  }

  const Collapse& collapse_of(Star star) const { return collapses_[L::cube_bits(star)]; }
  Star graph(Star star) const {
    return D == 3 ? L::square_bits(star) & ~Star{collapse_of(star).squares} : L::square_bits(star);
  }
  const Forest& forest_of(Star star) const { return forests_[graph(star)]; }

  static bool is_minimum(Star star) { return L::edge_bits(star) == 0; }
  Star roots(Star star) const { return L::edge_bits(star) & ~Star{forest_of(star).children}; }
  Star critical_edges(Star star) const {
    const Star all = roots(star);
    return all & (all - 1);  // the lowest root is matched with the voxel
  }
  Star critical_squares(Star star) const {
    const Star all = graph(star);
    return all & ~Star{forests_[all].squares};
  }
  // Critical cells of dimension D - 1: the facets between cells of dimension D.
  Star critical_facets(Star star) const { return D == 3 ? critical_squares(star) : critical_edges(star); }
  // Axis along which the gradient leaves a cell of dimension D, or `no_axis` where the cell is critical.
  int crossing(Star star, int top) const {
    return D == 3 ? collapse_of(star).crossing[top] : forest_of(star).crossing[top];
  }

  static const Matching& instance() {
    static const Matching tables;
    return tables;
  }

 private:
  static Collapse collapse(Star cubes) {
    Collapse result;
    if (cubes == 255) cubes &= ~1u;
    while (cubes != 0)
      for (int square = 0; square < 12; ++square) {
        const Star low = cubes >> Link<3>::cube(square, 0) & 1, high = cubes >> Link<3>::cube(square, 1) & 1;
        if (low == high) continue;
        const int cube = Link<3>::cube(square, high);
        result.squares |= 1u << square;
        result.crossing[cube] = Link<3>::third_axis(square);
        cubes &= ~(1u << cube);
      }
    return result;
  }

  static Forest span(Star squares) {
    Forest result;
    Star reached = 0;
    for (int root = 0; root < L::edges; ++root) {
      if (reached >> root & 1) continue;
      reached |= 1u << root;
      for (bool grown = true; grown;) {
        grown = false;
        for (int square = 0; square < L::squares; ++square) {
          if (!(squares >> square & 1)) continue;
          const int a = L::first_edge(square), b = L::second_edge(square);
          if ((reached >> a & 1) == (reached >> b & 1)) continue;
          const int child = reached >> a & 1 ? b : a;
          reached |= 1u << child;
          result.children |= 1u << child;
          result.squares |= 1u << square;
          result.square[child] = static_cast<std::uint8_t>(square);
          if (D == 2) result.crossing[square] = static_cast<std::uint8_t>(1 - child / 2);
          grown = true;
        }
      }
    }
    return result;
  }

  std::array<Forest, std::size_t{1} << Link<D>::squares> forests_;
  std::array<Collapse, D == 3 ? 256 : 1> collapses_;
};

// Lower stars of all voxels of the image (zero in the frame), and the voxels with a critical cell of dimension 1 to
// D - 1, in index order. Comparisons with neighbours on whole rows, which the compiler turns into vector code.
template <int D>
class Stars {
  using L = Link<D>;

 public:
  std::vector<Star> star;
  std::vector<Voxel> critical;

  explicit Stars(const Grid<D>& grid) : star(grid.size()) {
    const auto& matching = Matching<D>::instance();
    const Voxel length = grid.extent[D - 1];
    grid.for_each_row([&](Voxel first, Voxel) {
      fill_row(grid, first, length);
      for (Voxel v = first; v < first + length; ++v)
        if (matching.critical_edges(star[v]) | matching.critical_squares(star[v])) critical.push_back(v);
    });
  }

 private:
  // A neighbour is earlier when its level is lower, or equal and its index is lower.
  static Star earlier(Level neighbour, Level centre, bool lower_index) {
    return lower_index ? neighbour <= centre : neighbour < centre;
  }

  void fill_row(const Grid<D>& grid, Voxel first, Voxel length) {
    const Level* __restrict__ at = grid.level.data() + first;
    Star* __restrict__ out = star.data() + first;
    std::ptrdiff_t step[3] = {};
    for (int a = 0; a < D; ++a) step[a] = grid.stride[a];
    for (std::ptrdiff_t x = 0; x < static_cast<std::ptrdiff_t>(length); ++x) {
      const Level centre = at[x];
      Star edge[6] = {}, square[12] = {}, word = 0;
      for (int e = 0; e < L::edges; ++e) {
        edge[e] = earlier(at[x + (e % 2 ? step[e / 2] : -step[e / 2])], centre, e % 2 == 0);
        word |= edge[e] << e;
      }
      for (int s = 0; s < L::squares; ++s) {
        const int a = L::first_edge(s), b = L::second_edge(s);
        const std::ptrdiff_t offset = (a % 2 ? step[a / 2] : -step[a / 2]) + (b % 2 ? step[b / 2] : -step[b / 2]);
        square[s] = edge[a] & edge[b] & earlier(at[x + offset], centre, a % 2 == 0);
        word |= square[s] << (L::edges + s);
      }
      for (int c = 0; c < L::cubes; ++c) {
        const int s0 = c / 4, s1 = c / 2 % 2, s2 = c % 2;
        const std::ptrdiff_t offset = (s0 ? step[0] : -step[0]) + (s1 ? step[1] : -step[1]) + (s2 ? step[2] : -step[2]);
        const Star faces = square[2 * s0 + s1] & square[4 + 2 * s0 + s2] & square[8 + 2 * s1 + s2];
        word |= (faces & earlier(at[x + offset], centre, s0 == 0)) << (L::edges + L::squares + c);
      }
      out[x] = word;
    }
  }
};

}  // namespace topo
