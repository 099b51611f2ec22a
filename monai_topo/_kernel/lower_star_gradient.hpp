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

#include <type_traits>

#include "grid.hpp"
#include "parallel.hpp"

// A second copy of a hot function for processors with AVX2, chosen when the module is loaded, so that wheels still run
// anywhere: lower stars take about half of the time. (The sanitizers do not go with it.)
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define TOPO_ALSO_FOR_AVX2 __attribute__((target_clones("avx2", "default")))
#define TOPO_INTO_CALLER __attribute__((always_inline)) inline
#else
#define TOPO_ALSO_FOR_AVX2
#define TOPO_INTO_CALLER inline
#endif

namespace topo {

using Star = std::uint32_t;

// As an array keeps it: a pixel has no more than eight cells around it. With bytes, and paths that read nothing else, all
// of 2D took 0.74 times as long at 512^2.
template <int D>
using StarArray = std::vector<std::conditional_t<D == 2, std::uint8_t, Star>>;

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

  static constexpr Star edge_bits(Star star) { return star & edge_mask; }
  static constexpr Star square_bits(Star star) { return star >> edges & square_mask; }
  static constexpr Star cube_bits(Star star) { return star >> (edges + squares) & 255; }
};

template <int D>
class Matching {
  using L = Link<D>;

 public:
  Matching() {
    crossing_.fill(0xffff);
    for (Star squares = 0; squares <= L::square_mask; ++squares) span(squares);
    if (D == 3)
      for (Star cubes = 0; cubes < collapsed_.size(); ++cubes) collapse(cubes);
  }

  // A star as the others take it and as arrays keep it: without the squares that are matched with a cube.
  Star collapsed(Star star) const { return D == 3 ? star & ~(Star{collapsed_[L::cube_bits(star)]} << L::edges) : star; }
  static bool is_minimum(Star star) { return L::edge_bits(star) == 0; }
  Star roots(Star star) const { return L::edge_bits(star) & ~Star{children_[L::square_bits(star)]}; }
  Star critical_edges(Star star) const {
    const Star all = roots(star);
    return all & (all - 1);  // the lowest root is matched with the voxel
  }
  Star critical_squares(Star star) const {
    const Star all = L::square_bits(star);
    return all & ~Star{forest_[all]};
  }
  // Whether there are critical cells of dimension 1 to D - 1.
  bool is_critical(Star star) const {
    const Star children = children_[L::square_bits(star)], all = L::edge_bits(star) & ~children;
    return (all & (all - 1)) | (D == 3 ? children & loop : 0);
  }
  // Critical cells of dimension D - 1: the facets between cells of dimension D.
  Star critical_facets(Star star) const { return D == 3 ? critical_squares(star) : critical_edges(star); }
  // Four bits for each edge: the square that it is matched with, or `no_square`.
  std::uint32_t squares_of_edges(Star star) const { return square_of_edge_[L::square_bits(star)]; }
  // Axis along which the gradient leaves a cell of dimension D, or `no_axis` where the cell is critical.
  int crossing(Star star, int top) const {
    return crossing_[D == 3 ? L::cube_bits(star) : L::square_bits(star)] >> (2 * top) & 3;
  }

  static const Matching& instance() {
    static const Matching tables;
    return tables;
  }

 private:
  // Cubes collapsed one by one through a square that no other cube holds; where all eight are there, the first is
  // critical.
  void collapse(Star cubes) {
    const Star all = cubes;
    if (cubes == 255) cubes &= ~1u;
    while (cubes != 0)
      for (int square = 0; square < 12; ++square) {
        const Star low = cubes >> Link<3>::cube(square, 0) & 1, high = cubes >> Link<3>::cube(square, 1) & 1;
        if (low == high) continue;
        const int cube = Link<3>::cube(square, high);
        collapsed_[all] |= static_cast<std::uint16_t>(1u << square);
        set_crossing(all, cube, Link<3>::third_axis(square));
        cubes &= ~(1u << cube);
      }
  }

  // Spanning forest of a graph of squares on the link's vertices: every edge but the roots is matched with a square.
  void span(Star squares) {
    square_of_edge_[squares] = UINT32_MAX;
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
          children_[squares] |= static_cast<std::uint8_t>(1u << child);
          forest_[squares] |= static_cast<std::uint16_t>(1u << square);
          square_of_edge_[squares] ^= static_cast<std::uint32_t>(no_square ^ square) << (4 * child);
          if (D == 2) set_crossing(squares, square, 1 - child / 2);
          grown = true;
        }
      }
    }
    if (forest_[squares] != squares) children_[squares] |= loop;
  }

  void set_crossing(Star tops, int top, int axis) {
    crossing_[tops] ^= static_cast<std::uint16_t>((no_axis ^ axis) << (2 * top));
  }

  static constexpr std::uint8_t loop = 128;  // beside the children: some square is not in the forest

  // By the square bits left: small enough for the first-level cache, where a table of whole structs was not.
  std::array<std::uint8_t, std::size_t{1} << L::squares> children_{};
  std::array<std::uint16_t, std::size_t{1} << L::squares> forest_{};
  std::array<std::uint32_t, std::size_t{1} << L::squares> square_of_edge_{};
  // By the bits of the cells of dimension D.
  std::array<std::uint16_t, D == 3 ? 256 : 16> crossing_{};
  std::array<std::uint16_t, 256> collapsed_{};
};

// Lower stars of all voxels of the image (zero in the frame), and the voxels with a critical cell of dimension 1 to
// D - 1, in index order. Comparisons with neighbors on whole rows, which the compiler turns into vector code.
template <int D>
class Stars {
  using L = Link<D>;

 public:
  StarArray<D> star;
  std::vector<Voxel> critical;

  // `memory` may bring what earlier stars have left.
  Stars(const Grid<D>& grid, std::size_t threads, const StopFlag& stop, StarArray<D> memory = {})
      : star(std::move(memory)) {
    star.assign(grid.size(), 0);
    const std::vector<Voxel> rows = grid.rows();
    const std::size_t slabs = std::min(rows.size(), threads == 1 ? 1 : 4 * threads);
    std::vector<std::vector<Voxel>> found(slabs);
    parallel_for(slabs, threads, [&](std::size_t slab) {
      for (std::size_t r = slab * rows.size() / slabs; r < (slab + 1) * rows.size() / slabs; ++r) {
        stop.check();
        fill_row(grid, rows[r], grid.extent[D - 1]);
        collect(rows[r], grid.extent[D - 1], found[slab]);
      }
    });
    if (slabs == 1) critical.swap(found[0]);
    for (const auto& voxels : found) critical.insert(critical.end(), voxels.begin(), voxels.end());
  }

 private:
  void collect(Voxel first, Voxel length, std::vector<Voxel>& found) {
    const auto& matching = Matching<D>::instance();
    std::size_t size = found.size();
    found.resize(size + length);
    for (Voxel v = first; v < first + length; ++v) {  // without a branch, which nothing could predict
      const Star cells = matching.collapsed(star[v]);
      star[v] = static_cast<typename StarArray<D>::value_type>(cells);
      found[size] = v;
      size += matching.is_critical(cells);
    }
    found.resize(size);
  }

  // One direction at a time over a block of a row, in loops that compilers turn into vector code without being asked (on
  // words, in 2D too: on bytes it took four times as long).
  TOPO_ALSO_FOR_AVX2 void fill_row(const Grid<D>& grid, Voxel first, Voxel length) {
    constexpr std::ptrdiff_t block = 64;
    Star there[L::edges + L::squares][block];  // 1 where the cell enters with the voxel
    std::ptrdiff_t step[3] = {};
    for (int a = 0; a < D; ++a) step[a] = grid.stride[a];
    const auto offset = [&](int edge) { return edge % 2 ? step[edge / 2] : -step[edge / 2]; };

    for (std::ptrdiff_t start = 0; start < static_cast<std::ptrdiff_t>(length); start += block) {
      const Level* center = grid.level.data() + first + start;
      Star found[block] = {};
      const std::ptrdiff_t count = std::min(block, static_cast<std::ptrdiff_t>(length) - start);
      for (int e = 0; e < L::edges; ++e)
        fill(center, offset(e), e % 2 == 0, count, there[e], found, e, [](std::ptrdiff_t) { return 1u; });
      for (int s = 0; s < L::squares; ++s) {
        const int a = L::first_edge(s), b = L::second_edge(s);
        const Star *side_a = there[a], *side_b = there[b];
        Star* square = there[L::edges + s];
        fill(center, offset(a) + offset(b), a % 2 == 0, count, square, found, L::edges + s,
             [=](std::ptrdiff_t x) { return side_a[x] & side_b[x]; });
      }
      for (int c = 0; c < L::cubes; ++c) {
        const int s0 = c / 4, s1 = c / 2 % 2, s2 = c % 2;
        const Star *face = there[L::edges], *face_01 = face + (2 * s0 + s1) * block,
                   *face_02 = face + (4 + 2 * s0 + s2) * block, *face_12 = face + (8 + 2 * s1 + s2) * block;
        Star cube[block];
        fill(center, offset(s0) + offset(2 + s1) + offset(4 + s2), s0 == 0, count, cube, found, L::edges + L::squares + c,
             [=](std::ptrdiff_t x) { return face_01[x] & face_02[x] & face_12[x]; });
      }
      auto* out = star.data() + first + start;
      for (std::ptrdiff_t x = 0; x < count; ++x) out[x] = static_cast<typename StarArray<D>::value_type>(found[x]);
    }
  }

  // Whether a cell enters with its voxel: its facets do, and its far corner is earlier, which for equal levels the lower
  // index decides. As words of their own, for larger cells to look at, and as a bit of what was found so far.
  template <class Facets>
  TOPO_INTO_CALLER static void fill(const Level* center, std::ptrdiff_t offset, bool lower_index, std::ptrdiff_t count,
                   Star* __restrict__ out, Star* __restrict__ found, int bit, Facets facets) {
    const Level* far = center + offset;
    if (lower_index)
      for (std::ptrdiff_t x = 0; x < count; ++x) {
        out[x] = facets(x) & static_cast<Star>(far[x] <= center[x]);
        found[x] |= out[x] << bit;
      }
    else
      for (std::ptrdiff_t x = 0; x < count; ++x) {
        out[x] = facets(x) & static_cast<Star>(far[x] < center[x]);
        found[x] |= out[x] << bit;
      }
  }
};

}  // namespace topo
