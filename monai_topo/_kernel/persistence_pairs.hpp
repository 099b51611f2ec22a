// Persistence pairs of one image: levels, lower stars, dimensions 0 and D - 1 by union-find, dimension 1 of 3D.
#pragma once

#include <cmath>
#include <memory>

#include "extremum_saddle_pairs.hpp"
#include "filtration.hpp"
#include "saddle_saddle_pairs.hpp"

namespace topo {

// Large arrays that a thread keeps from image to image of one call, 9 bytes per pixel and 12 per voxel: page faults of
// new ones slow down several threads.
template <int D>
struct Scratch {
  std::vector<Level> level;
  StarArray<D> star;
  std::vector<std::uint32_t> cells;
};

// Pairs of the face-connected complex by dimension; dimensions that are not in `dims` may be left empty.
template <int D>
std::array<VoxelPairs, D> pair_critical_cells(const Grid<D>& grid, unsigned dims, std::size_t threads,
                                              const StopFlag& stop, Scratch<D>& scratch) {
  LowerStars<D> stars(grid, threads, stop, std::move(scratch.star));
  auto& star = stars.star;
  auto& saddles = stars.saddles;
  sort_by_level(grid, saddles);
  // Dimension 1 of a volume needs to know what the other dimensions have paired.
  const bool has_middle = D == 3 && has_bit(dims, 1);
  std::vector<std::uint8_t> negative_edges(has_middle ? saddles.size() : 0);
  std::vector<std::uint16_t> positive_squares(has_middle ? saddles.size() : 0);

  std::array<VoxelPairs, D> pairs;
  std::vector<std::uint32_t> other_cells;  // for the second thread
  parallel_for(2, threads, [&](std::size_t part) {
    auto& memory = threads > 1 && part == 1 ? other_cells : scratch.cells;
    if (part == 0 && (has_middle || has_bit(dims, 0)))
      pairs[0] = pair_minima(grid, star, saddles, memory, stop, [&](std::size_t i, int edge) {
        if (has_middle) negative_edges[i] |= static_cast<std::uint8_t>(1u << edge);
      });
    if (part == 1 && (has_middle || has_bit(dims, D - 1)))
      pairs[D - 1] = pair_maxima(grid, star, saddles, memory, stop, [&](std::size_t i, int facet) {
        if (has_middle) positive_squares[i] |= static_cast<std::uint16_t>(1u << facet);
      });
  });
  if constexpr (D == 3)
    if (has_middle) {
      // Cubes are no longer needed from here on: their bits become the working column.
      for (StarWord<3>& word : star) word.discard_cubes();
      for (std::size_t i = 0; i < saddles.size(); ++i) star[saddles[i]].mark_negative(negative_edges[i]);
      // Memory peaks in the reduction, so what is not needed is released before.
      release(negative_edges);
      release(other_cells);
      pairs[0].shrink_to_fit();
      pairs[2].shrink_to_fit();
      const auto& gradient = LowerStarGradient<3>::instance();
      std::size_t deaths = 0;
      for (std::size_t i = 0; i < saddles.size(); ++i)
        deaths += count_bits(gradient.critical_squares(star[saddles[i]]) & ~CellBits{positive_squares[i]});
      pairs[1].reserve(deaths);
      SaddleSaddleReduction reduction(grid, star, saddles, positive_squares, scratch.cells, stop);
      reduction.pair_all([&](Voxel birth, Voxel death) { pairs[1].emplace_back(birth, death); });
    }
  scratch.star = std::move(star);
  return pairs;
}

// Voxels as indices into the image.
struct Pair {
  Voxel dim, birth, death;
};

// Pairs of one image, sorted by (dim, birth, death); pairs of equal value are left out.
template <int D, class T>
std::vector<Pair> persistence_pairs(const T* values, const Extent<D>& extent, const Filtration& filtration,
                                    std::size_t threads, const StopFlag& stop, Scratch<D>& scratch) {
  const auto last = static_cast<Voxel>(num_voxels(extent) - 1);
  if (filtration.min_persistence > 0) {
    // No class is more persistent than the range of the values: a patch of mere background is finished here.
    const auto [least, greatest] = std::minmax_element(values, values + last + 1);
    if (static_cast<double>(*greatest) - static_cast<double>(*least) <= filtration.min_persistence) return {};
  }

  Grid<D> grid = make_grid<D>(values, extent, filtration, std::move(scratch.level));
  auto pairs_of_dim = pair_critical_cells(grid, filtration.complex_dims<D>(), threads, stop, scratch);
  std::vector<Pair> pairs;
  std::size_t count = 0;
  for (const VoxelPairs& voxels : pairs_of_dim) count += voxels.size();
  pairs.reserve(count);
  for (int dim = 0; dim < D; ++dim) {
    if (!filtration.reports(dim)) continue;
    const auto begin = static_cast<std::ptrdiff_t>(pairs.size());
    auto& voxels = pairs_of_dim[filtration.complex_dim<D>(dim)];
    for (auto [birth, death] : voxels) {
      if (grid.level[birth] == grid.level[death]) continue;
      Pair pair{static_cast<Voxel>(dim), grid.image_index(birth), grid.image_index(death)};
      if (filtration.dual) pair = {pair.dim, last - pair.death, last - pair.birth};
      if (filtration.min_persistence > 0) {
        const double persistence = static_cast<double>(values[pair.birth]) - static_cast<double>(values[pair.death]);
        if (std::abs(persistence) <= filtration.min_persistence) continue;
      }
      pairs.push_back(pair);
    }
    release(voxels);
    const auto key = [](const Pair& pair) { return (std::uint64_t{pair.birth} << 32) | pair.death; };
    std::sort(pairs.begin() + begin, pairs.end(), [&](const Pair& a, const Pair& b) { return key(a) < key(b); });
  }
  scratch.level = std::move(grid.level);
  return pairs;
}

// Pairs of a batch, each attribute in an array of its own: image, dim, birth, death.
struct PairColumns {
  std::size_t size = 0;
  std::array<std::unique_ptr<std::int64_t[]>, 4> column;
};

inline PairColumns pack(const std::vector<std::vector<Pair>>& pairs_of_images) {
  PairColumns columns;
  for (const auto& pairs : pairs_of_images) columns.size += pairs.size();
  for (auto& column : columns.column) column.reset(new std::int64_t[columns.size]);
  std::size_t row = 0;
  for (std::size_t i = 0; i < pairs_of_images.size(); ++i)
    for (const Pair& pair : pairs_of_images[i]) {
      columns.column[0][row] = static_cast<std::int64_t>(i);
      columns.column[1][row] = pair.dim;
      columns.column[2][row] = pair.birth;
      columns.column[3][row] = pair.death;
      ++row;
    }
  return columns;
}

// Threads for the inside of every image of a batch, where the batch has fewer images than threads.
inline std::size_t threads_per_image(std::size_t threads, std::size_t images) {
  return std::max<std::size_t>(1, threads / std::max<std::size_t>(1, images));
}

}  // namespace topo
