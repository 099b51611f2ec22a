// Persistence pairs of one image: levels, lower stars, dimensions 0 and D - 1 by union-find, dimension 1 of 3D.
#pragma once

#include <cmath>
#include <memory>
#include <tuple>

#include "extremum_saddle_pairs.hpp"
#include "filtration.hpp"
#include "saddle_saddle_pairs.hpp"

namespace topo {

// Large arrays that a thread keeps from image to image of one call, 9 bytes per pixel and 13 per voxel: page faults of
// new ones slow down several threads.
template <int D>
struct Scratch {
  Levels level;
  StarArray<D> star;
  CellNumbers numbers;
  Array<WorkingColumn::EdgesOfVoxels> working;  // for every thread inside an image
};

inline void mark_negative_edges(const Array<Saddle>& edges, StarArray<3>& star) {
  for (const Saddle& edge : edges)
    if (edge.is_paired()) {
      StarWord<3>& word = star[edge.voxel()];
      word.mark_negative(nth_bit(LowerStarGradient<3>::instance().critical_edges(word), edge.number()));
    }
}

// Pairs of the face-connected complex by dimension; dimensions that are not in `dims` may be left empty.
template <int D>
std::array<VoxelPairs, D> pair_critical_cells(const Grid<D>& grid, unsigned dims, std::size_t threads,
                                              const StopFlag& stop, Scratch<D>& scratch) {
  LowerStars<D> stars(grid, threads, stop, std::move(scratch.star));
  auto& [star, critical] = stars;
  const DescendingPath<D> descent{grid, star};
  const AscendingPath<D> ascent{grid, star};
  // Dimension 1 of a volume needs to know what the other dimensions have paired.
  const bool has_middle = D == 3 && has_bit(dims, 1);
  const bool has_minima = has_middle || has_bit(dims, 0), has_maxima = has_middle || has_bit(dims, D - 1);
  std::array<VoxelPairs, D> pairs;
  Basins minima, maxima;
  if (has_minima) minima = find_basins(descent, critical, scratch.numbers, threads, stop);
  if constexpr (D == 2) {
    if (has_maxima) maxima = find_basins(ascent, critical, scratch.numbers, threads, stop);
    parallel_for(2, useful_threads(threads, 40.0 * minima.saddles.size()), [&](std::size_t part) {
      if (part == 0)
        pairs[0] = pair_extrema(descent, minima, stop);
      else
        pairs[1] = pair_extrema(ascent, maxima, stop);
    });
  } else {
    // One after the other, and what is not needed any more is released: memory peaks in the reduction.
    pairs[0] = pair_extrema(descent, minima, stop);
    if (has_middle) mark_negative_edges(minima.saddles, star);
    minima = {};
    if (has_maxima) maxima = find_basins(ascent, critical, scratch.numbers, threads, stop);
    pairs[2] = pair_extrema(ascent, maxima, stop);
    release(maxima.extrema);
    if (has_middle) {
      scratch.working.resize(useful_threads(threads, 1e3 * maxima.saddles.size()));
      SaddleSaddleReduction reduction(grid, star, scratch.numbers.memory, stop);
      pairs[1] = reduction.pair_all(std::move(critical), std::move(maxima.saddles), scratch.working);
    }
  }
  scratch.star = std::move(star);
  return pairs;
}

// Voxels as indices into the image.
struct Pair {
  Voxel dim, birth, death;
};

// Pairs of one dimension, as birth and death in one number, sorted; pairs of equal value are left out.
template <int D, class T>
Array<std::uint64_t> reported_pairs(const T* values, const Grid<D>& grid, const Filtration& filtration,
                                    VoxelPairs&& voxels) {
  const auto last = static_cast<Voxel>(num_voxels(grid.extent) - 1);
  Array<std::uint64_t> pairs;
  pairs.reserve(voxels.size());
  for (auto [birth, death] : voxels) {
    if (grid.level[birth] == grid.level[death]) continue;
    birth = grid.image_index(birth);
    death = grid.image_index(death);
    if (filtration.dual) std::tie(birth, death) = std::make_pair(last - death, last - birth);
    if (filtration.min_persistence > 0) {
      const double persistence = static_cast<double>(values[birth]) - static_cast<double>(values[death]);
      if (std::abs(persistence) <= filtration.min_persistence) continue;
    }
    pairs.push_back(std::uint64_t{birth} << 32 | death);
  }
  release(voxels);
  radix_sort(pairs);
  return pairs;
}

// Pairs of one image, sorted by (dim, birth, death).
template <int D, class T>
Array<Pair> persistence_pairs(const T* values, const Extent<D>& extent, const Filtration& filtration,
                              std::size_t threads, const StopFlag& stop, Scratch<D>& scratch) {
  if (filtration.min_persistence > 0) {
    // No class is more persistent than the range of the values: a patch of mere background is finished here.
    const auto [least, greatest] = std::minmax_element(values, values + num_voxels(extent));
    if (static_cast<double>(*greatest) - static_cast<double>(*least) <= filtration.min_persistence) return {};
  }

  Grid<D> grid = make_grid<D>(values, extent, filtration, std::move(scratch.level), threads);
  auto voxels = pair_critical_cells(grid, filtration.complex_dims<D>(), threads, stop, scratch);
  std::array<Array<std::uint64_t>, D> sorted;
  std::size_t count = 0;
  for (const VoxelPairs& pairs : voxels) count += pairs.size();
  parallel_for(D, useful_threads(threads, 40.0 * count), [&](std::size_t dim) {
    auto& of_dim = voxels[filtration.complex_dim<D>(static_cast<int>(dim))];
    if (filtration.reports(static_cast<int>(dim)))
      sorted[dim] = reported_pairs(values, grid, filtration, std::move(of_dim));
  });
  scratch.level = std::move(grid.level);
  Array<Pair> pairs;
  pairs.reserve(count);
  for (Voxel dim = 0; dim < D; ++dim)
    for (std::uint64_t key : sorted[dim])
      pairs.push_back({dim, static_cast<Voxel>(key >> 32), static_cast<Voxel>(key)});
  return pairs;
}

// Pairs of a batch, each attribute in an array of its own: image, dim, birth, death.
struct PairColumns {
  std::size_t size = 0;
  std::array<std::unique_ptr<std::int64_t[]>, 4> column;
};

inline PairColumns pack(const Array<Array<Pair>>& pairs_of_images) {
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

// Threads for the loops inside an image: in a small batch those left over, in a larger one up to two for the last images.
inline std::size_t threads_per_image(std::size_t threads, std::size_t images) {
  if (images == 0 || images >= 4 * threads || images % threads == 0) return 1;
  const std::size_t last = images % threads, of_last = (threads + last - 1) / last;
  return images < threads ? of_last : std::min<std::size_t>(2, of_last);  // each needs memory
}

}  // namespace topo
