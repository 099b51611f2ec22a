// The lower stars of all voxels of an image, and the voxels with a critical cell.
#pragma once

#include "compiler.hpp"
#include "lower_star_gradient.hpp"
#include "parallel.hpp"

namespace topo {

// Voxels of a part of an image, in index order.
struct CriticalVoxels {
  Array<Voxel> minima, maxima;
  Array<Voxel> all;  // with a critical cell, and few without one
  std::size_t num_edges = 0, num_facets = 0;
};

template <int D>
class LowerStars {
  using L = Link<D>;

 public:
  StarArray<D> star;               // of every voxel, collapsed; empty in the frame
  Array<CriticalVoxels> critical;  // part by part

  // `memory` may be the star array of an earlier image, for reuse.
  LowerStars(const Grid<D>& grid, std::size_t threads, const StopFlag& stop, StarArray<D> memory = {})
      : star(std::move(memory)) {
    star.resize(grid.size());
    const Voxel framed_length = grid.extent[D - 1] + 2;
    for (Voxel row = 0; row < grid.size(); row += framed_length)
      if (grid.in_frame(row + 1)) std::fill_n(star.begin() + row, framed_length, StarWord<D>{});
    const Array<Voxel> rows = grid.rows();
    const std::size_t rows_of_part = std::max<std::size_t>(1, voxels_of_part / grid.extent[D - 1]);
    critical.resize((rows.size() + rows_of_part - 1) / rows_of_part);
    parallel_for(critical.size(), useful_threads(threads, 5.0 * grid.size()), [&](std::size_t part) {
      const std::size_t begin = part * rows_of_part, end = std::min(begin + rows_of_part, rows.size());
      stop.check();
      for (std::size_t r = begin; r < end; ++r) {
        star[rows[r] - 1] = star[rows[r] + grid.extent[D - 1]] = StarWord<D>{};
        compute_row(grid, rows[r], grid.extent[D - 1]);
        collapse_row(rows[r], grid.extent[D - 1], critical[part].all);
      }
      critical[part].all.shrink_to_fit();
      classify(critical[part]);
    });
  }

 private:
  static constexpr std::size_t voxels_of_part = std::size_t{1} << 14;

  void collapse_row(Voxel first, Voxel length, Array<Voxel>& found) {
    const auto& gradient = LowerStarGradient<D>::instance();
    std::size_t size = found.size();
    found.resize(size + length);
    for (Voxel v = first; v < first + length; ++v) {  // without a branch, which could not be predicted
      const StarWord<D> word = gradient.collapsed(star[v]);
      star[v] = word;
      found[size] = v;
      size += gradient.may_be_critical(word);
    }
    found.resize(size);
  }

  void classify(CriticalVoxels& found) const {
    const auto& gradient = LowerStarGradient<D>::instance();
    append_if(found.all, found.minima, [&](Voxel v) { return gradient.is_minimum(star[v]); });
    append_if(found.all, found.maxima, [&](Voxel v) { return gradient.is_maximum(star[v]); });
    for (Voxel v : found.all) {
      found.num_edges += count_bits(gradient.critical_edges(star[v]));
      found.num_facets += count_bits(gradient.critical_facets(star[v]));
    }
  }

  // Appends the voxels that meet a condition, without a branch, which could not be predicted.
  template <class Condition>
  static void append_if(const Array<Voxel>& voxels, Array<Voxel>& list, Condition condition) {
    constexpr std::size_t block = 64;
    Voxel kept[block];
    for (std::size_t begin = 0; begin < voxels.size(); begin += block) {
      std::size_t count = 0;
      for (std::size_t i = begin; i < std::min(begin + block, voxels.size()); ++i) {
        kept[count] = voxels[i];
        count += condition(voxels[i]);
      }
      list.insert(list.end(), kept, kept + count);
    }
  }

  // Compares blocks of a row with their neighbors in one direction after another, in loops that compilers turn into
  // vector code. The words are as wide as the levels in 2D too, and narrowed at the end: see docs/benchmarks.md.
  TOPO_ALSO_FOR_AVX2 void compute_row(const Grid<D>& grid, Voxel first, Voxel length) {
    constexpr std::ptrdiff_t block = 64;
    using Flags = CellBits[block];  // 1 where the cell enters with its voxel
    Flags edge[L::edges], square[L::squares], cube;
    std::ptrdiff_t step[L::edges];
    for (int e = 0; e < L::edges; ++e) step[e] = static_cast<std::int32_t>(grid.neighbor(0, e));

    for (std::ptrdiff_t start = 0; start < static_cast<std::ptrdiff_t>(length); start += block) {
      const Level* center = grid.level.data() + first + start;
      const std::ptrdiff_t count = std::min(block, static_cast<std::ptrdiff_t>(length) - start);
      Flags words = {};
      for (int e = 0; e < L::edges; ++e)
        add_cell(center, count, step[e], [](std::ptrdiff_t) { return 1u; }, edge[e], words, e);
      for (int s = 0; s < L::squares; ++s) {
        const int a = L::first_edge(s), b = L::second_edge(s);
        const CellBits *edge_a = edge[a], *edge_b = edge[b];
        const auto facets = [=](std::ptrdiff_t x) { return edge_a[x] & edge_b[x]; };
        add_cell(center, count, step[a] + step[b], facets, square[s], words, StarWord<D>::first_square + s);
      }
      for (int c = 0; c < L::cubes; ++c) {
        const int s0 = c / 4, s1 = c / 2 % 2, s2 = c % 2;
        const CellBits *square_01 = square[2 * s0 + s1], *square_02 = square[4 + 2 * s0 + s2],
                       *square_12 = square[8 + 2 * s1 + s2];
        const auto facets = [=](std::ptrdiff_t x) { return square_01[x] & square_02[x] & square_12[x]; };
        add_cell(center, count, step[s0] + step[2 + s1] + step[4 + s2], facets, cube, words,
                 StarWord<D>::first_cube + c);
      }
      StarWord<D>* out = star.data() + first + start;
      for (std::ptrdiff_t x = 0; x < count; ++x) out[x].bits = static_cast<typename StarWord<D>::Bits>(words[x]);
    }
  }

  // A cell enters with its voxel if its facets at the voxel do and its far corner enters before; of equal levels the
  // lower index is first. Written as flags, for cells of higher dimension, and as a bit of the words.
  template <class Facets>
  TOPO_INTO_CALLER static void add_cell(const Level* center, std::ptrdiff_t count, std::ptrdiff_t far_corner,
                                        Facets facets, CellBits* TOPO_RESTRICT flags, CellBits* TOPO_RESTRICT words,
                                        int bit) {
    const Level* far = center + far_corner;
    if (far_corner < 0)
      for (std::ptrdiff_t x = 0; x < count; ++x) {
        flags[x] = facets(x) & static_cast<CellBits>(far[x] <= center[x]);
        words[x] |= flags[x] << bit;
      }
    else
      for (std::ptrdiff_t x = 0; x < count; ++x) {
        flags[x] = facets(x) & static_cast<CellBits>(far[x] < center[x]);
        words[x] |= flags[x] << bit;
      }
  }
};

}  // namespace topo
