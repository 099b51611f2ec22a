// Persistence pairs of one image: levels -> lower stars -> dimensions 0 and D - 1 by union-find -> dimension 1 of 3D.
#pragma once

#include <cmath>
#include <tuple>

#include "extrema.hpp"
#include "saddles.hpp"

namespace topo {

// How a filtration of the user's image becomes a sublevel filtration of the face-connected complex.
struct Filtration {
  bool negate;      // take -values
  bool dual;        // full connectivity: dimensions exchange, birth and death exchange, and so does the order of ties
  bool framed;      // the frame is there from the start
  unsigned dims;    // bit k: report dimension k (of the user's filtration)
  double min_persistence;
};

// Stable, so voxels that come in index order are in filtration order afterwards.
template <int D>
void sort_by_level(const Grid<D>& grid, std::vector<Voxel>& voxels) {
  constexpr int digit_bits = 11;
  std::vector<Voxel> sorted(voxels.size());
  for (int shift = 0; shift < 32; shift += digit_bits) {
    std::array<std::uint32_t, (1u << digit_bits) + 1> start{};
    const auto digit = [&](Voxel v) {
      return (static_cast<std::uint32_t>(grid.level[v]) ^ 0x80000000u) >> shift & ((1u << digit_bits) - 1);
    };
    for (Voxel v : voxels) ++start[digit(v) + 1];
    std::partial_sum(start.begin(), start.end(), start.begin());
    for (Voxel v : voxels) sorted[start[digit(v)]++] = v;
    voxels.swap(sorted);
  }
}

// Calls emit(dim, birth, death) for the pairs of the face-connected complex in every dimension asked for.
template <int D, class Emit>
void pair_cells(const Grid<D>& grid, unsigned dims, Emit emit) {
  const auto& matching = Matching<D>::instance();
  Stars<D> stars(grid);
  auto& star = stars.star;
  CriticalCells cells{std::move(stars.critical), {}};
  sort_by_level(grid, cells.voxel);
  const std::size_t count = cells.voxel.size();
  const bool middle = D == 3 && (dims >> 1 & 1);  // needs to know what the other dimensions have paired
  cells.born_squares.resize(middle ? count : 0);

  if (middle || (dims & 1)) {
    const Descent<D> flow{grid, star};
    Extrema<Descent<D>> minima(flow, grid.size());
    for (std::size_t r = 0; r < count; ++r) {
      const Voxel v = cells.voxel[r];
      for (Star edges = matching.critical_edges(star[v]); edges != 0; edges &= edges - 1) {
        const int edge = lowest_bit(edges);
        const Voxel younger = minima.join(v, flow.neighbour(v, edge));
        if (younger == minima.none) continue;
        if (middle) star[v] |= 1u << (dead_shift + edge);
        emit(0, younger, v);
      }
    }
  }
  if (middle || (dims >> (D - 1) & 1)) {
    const Ascent<D> flow{grid, star};
    Extrema<Ascent<D>> maxima(flow, grid.size());
    for (std::size_t r = count; r-- > 0;) {
      const Voxel v = cells.voxel[r];
      for (Star facets = matching.critical_facets(star[v]); facets != 0;) {
        const int facet = highest_bit(facets);
        facets &= ~(1u << facet);
        const auto [corner, other] = flow.sides(v, facet);
        const Voxel younger = maxima.join(corner, other);
        if (younger == maxima.none) continue;
        if (middle) cells.born_squares[r] |= static_cast<std::uint16_t>(1u << facet);
        emit(D - 1, v, younger);
      }
    }
  }
  if constexpr (D == 3)
    if (middle) SaddleReduction(grid, star, cells).pair_all([&](Voxel birth, Voxel death) { emit(1, birth, death); });
}

template <int D, class T>
Grid<D> make_grid(const T* values, const std::array<Voxel, D>& extent, const Filtration& filtration) {
  Grid<D> grid(extent, filtration.framed ? present : absent);
  std::size_t count = 1;
  for (Voxel e : extent) count *= e;
  std::vector<Level> levels(count);
  levels_of(values, count, filtration.negate, levels.data());
  // Read backwards, the image orders its ties the other way round.
  if (filtration.dual) std::reverse(levels.begin(), levels.end());
  grid.for_each_row([&](Voxel first, Voxel index) {
    std::copy_n(levels.begin() + index, extent[D - 1], grid.level.begin() + first);
  });
  return grid;
}

// Pairs of one image, as indices into it, sorted by (dim, birth, death); pairs of equal value are left out.
struct Pair {
  std::int64_t dim, birth, death;
};

template <int D, class T>
std::vector<Pair> persistence_pairs(const T* values, const std::array<Voxel, D>& extent, const Filtration& filtration) {
  const Grid<D> grid = make_grid<D>(values, extent, filtration);
  std::int64_t last = 1;
  for (Voxel e : extent) last *= e;
  --last;
  unsigned dims = 0;
  for (int k = 0; k < D; ++k)
    if (filtration.dims >> k & 1) dims |= 1u << (filtration.dual ? D - 1 - k : k);

  std::vector<Pair> pairs;
  pair_cells(grid, dims, [&](int dim, Voxel birth, Voxel death) {
    if (!(dims >> dim & 1) || grid.level[birth] == grid.level[death]) return;
    Pair pair{dim, grid.image_index(birth), grid.image_index(death)};
    if (filtration.dual) pair = {D - 1 - dim, last - pair.death, last - pair.birth};
    const double persistence = static_cast<double>(values[pair.birth]) - static_cast<double>(values[pair.death]);
    if (std::abs(persistence) > filtration.min_persistence) pairs.push_back(pair);
  });
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::tie(a.dim, a.birth, a.death) < std::tie(b.dim, b.birth, b.death);
  });
  return pairs;
}

}  // namespace topo
