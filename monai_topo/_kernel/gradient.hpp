// The gradient of a loss that depends on few voxels of every patch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "array.hpp"

namespace topo {

// The terms of the gradient of one patch: voxels of the batch and derivatives of the loss of the patch by them.
template <class T>
struct GradientTerms {
  const std::int64_t* voxel;
  const T* derivative;
  std::size_t first, last;
};

// Adds terms times a factor. The first two terms, of the essential class, come last: sums then have the order, and the
// bits, that the automatic differentiation of a gather gives them.
template <class T, class Add>
void for_each_term(const GradientTerms<T>& terms, T factor, Add add) {
  const auto visit = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i)
      if (terms.derivative[i] != 0) add(terms.voxel[i], factor * terms.derivative[i]);
  };
  visit(terms.first + 2, terms.last);
  visit(terms.first, terms.first + 2);
}

// Adds the gradient of a patch that shares voxels with other patches: its own sum first, then that to the others.
template <class T>
void add_overlapping(const GradientTerms<T>& terms, T factor, T* gradient, Array<T>& own) {
  for_each_term(terms, factor, [&](std::int64_t v, T value) { own[v] += value; });
  for_each_term(terms, factor, [&](std::int64_t v, T) {
    gradient[v] += own[v];
    own[v] = 0;
  });
}

}  // namespace topo
