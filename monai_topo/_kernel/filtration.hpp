// From the values of an image to the grid of the complex that stands for the filtration of the caller.
#pragma once

#include "grid.hpp"

namespace topo {

// How a filtration of the caller's image becomes a sublevel filtration of the face-connected complex.
struct Filtration {
  bool negate = false;  // take -values
  bool dual = false;    // full connectivity: dimensions, births and deaths, and the order of ties are exchanged
  bool framed = false;  // the frame enters first
  unsigned dims = 0;    // bit k: report dimension k of the caller's filtration
  double min_persistence = 0.0;

  bool reports(int dim) const { return (dims >> dim) & 1u; }
  Level frame() const { return framed ? enters_first : never_enters; }

  // The dimension of the complex that a dimension of the filtration is found in, and back.
  template <int D>
  int complex_dim(int dim) const {
    return dual ? D - 1 - dim : dim;
  }

  // The same for the dimensions to report, as bits.
  template <int D>
  unsigned complex_dims() const {
    unsigned mask = 0;
    for (int dim = 0; dim < D; ++dim)
      if (reports(dim)) mask |= 1u << complex_dim<D>(dim);
    return mask;
  }
};

// The image of the dual filtration is read backwards, which reverses its order of ties.
template <int D>
Grid<D> make_grid(const float* values, const Extent<D>& extent, const Filtration& filtration,
                  std::vector<Level> memory = {}) {
  Grid<D> grid(extent, filtration.frame(), std::move(memory));
  if (filtration.negate)
    grid.set_levels(values, filtration.dual, [](float value) { return level_of(-value); });
  else
    grid.set_levels(values, filtration.dual, [](float value) { return level_of(value); });
  return grid;
}

template <int D>
Grid<D> make_grid(const double* values, const Extent<D>& extent, const Filtration& filtration,
                  std::vector<Level> memory = {}) {
  Grid<D> grid(extent, filtration.frame(), std::move(memory));
  const Level sign = filtration.negate ? -1 : 1;
  grid.set_levels(ranks_of(values, num_voxels(extent)).data(), filtration.dual,
                  [sign](Level rank) { return sign * rank; });
  return grid;
}

// Radix sort. It is stable, so voxels that come in index order are in filtration order afterwards.
template <int D>
void sort_by_level(const Grid<D>& grid, std::vector<Voxel>& voxels) {
  constexpr int digit_bits = 11, digits = 3;
  constexpr std::size_t base = std::size_t{1} << digit_bits;
  const auto digit = [&](Voxel v, int d) { return (grid.key(v) >> (32 + d * digit_bits)) & (base - 1); };
  std::array<std::array<std::uint32_t, base + 1>, digits> start{};
  for (Voxel v : voxels)
    for (int d = 0; d < digits; ++d) ++start[d][digit(v, d) + 1];
  std::vector<Voxel> sorted(voxels.size());
  for (int d = 0; d < digits; ++d) {
    std::partial_sum(start[d].begin(), start[d].end(), start[d].begin());
    for (Voxel v : voxels) sorted[start[d][digit(v, d)]++] = v;
    voxels.swap(sorted);
  }
}

}  // namespace topo
