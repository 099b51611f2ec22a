// From the values of an image to the grid of the complex that stands for the filtration of the caller.
#pragma once

#include "double_levels.hpp"
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
// Of float values, or of a mask.
template <int D, class Value>
Grid<D> make_grid(const Value* values, const Extent<D>& extent, const Filtration& filtration, Levels memory = {},
                  std::size_t threads = 1) {
  Grid<D> grid(extent, filtration.frame(), std::move(memory));
  if (filtration.negate)
    grid.set_levels(values, filtration.dual, [](float value) { return level_of(-value); }, threads);
  else
    grid.set_levels(values, filtration.dual, [](float value) { return level_of(value); }, threads);
  return grid;
}

template <int D>
Grid<D> make_grid(const double* values, const Extent<D>& extent, const Filtration& filtration, Levels memory = {},
                  std::size_t threads = 1) {
  Grid<D> grid(extent, filtration.frame(), std::move(memory));
  const Level sign = filtration.negate ? -1 : 1;
  grid.set_levels(
      ranks_of(values, num_voxels(extent)).data(), filtration.dual, [sign](Level rank) { return sign * rank; },
      threads);
  return grid;
}

// Sorts voxels by level. The sort is stable, so voxels that come in index order are in filtration order afterwards.
template <int D>
void sort_by_level(const Grid<D>& grid, Array<Voxel>& voxels) {
  Array<OrderKey> keys(voxels.size());
  for (std::size_t i = 0; i < voxels.size(); ++i) keys[i] = order_key(grid.level[voxels[i]], static_cast<Voxel>(i));
  radix_sort(keys, 32);
  Array<Voxel> sorted(voxels.size());
  for (std::size_t i = 0; i < voxels.size(); ++i) sorted[i] = voxels[static_cast<Voxel>(keys[i])];
  voxels.swap(sorted);
}

}  // namespace topo
