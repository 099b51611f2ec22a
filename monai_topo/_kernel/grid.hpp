// An image as ordered integer levels inside a frame one voxel thick.
//
// Persistence and Betti matching work on one object: the face-connected cubical complex of a sublevel filtration. Voxels
// are its vertices. They are ordered by (level, index), so no two are equal. The frame makes border cases unnecessary. Its
// voxels either never enter (no cell contains one), or enter first and act as one vertex at infinity. Merge trees and
// saddle paths use the same grid with either connectivity.
//
// Terms of the literature as this kernel uses them:
//
//   V-construction         voxels are the vertices of the complex; a cell enters with the last of its voxels to enter
//   lower star             the cells that enter with a voxel
//   discrete gradient      (vector field) pairs of a cell and one of its facets, without cycles: both enter together
//   critical cell          a cell without a partner: minimum, 1-saddle (edge), 2-saddle (square of a 3D image), maximum
//   V-path                 facet, its partner, another facet of that, its partner, ...: the flow of the gradient
//   elder rule             where two components merge, the younger one dies
//   positive, negative     a critical cell is positive if it gives birth to a class, negative if a class dies with it
//   clearing               the column of a cell known to be positive is zero after the reduction and is not computed
//   working column         the chain of edges under reduction (mod 2); its last edge that can be paired is the pivot
//   essential class        the one class without a pair: the oldest component, or outside
//   comparison filtration  the union of the sublevel sets of two images at every level
//   image persistence      persistence of the map from an image to the comparison: births in one order, deaths in the
//                          other
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#include "array.hpp"
#include "divisor.hpp"
#include "parallel.hpp"
#include "radix_sort.hpp"

namespace topo {

using Voxel = std::uint32_t;  // index into the framed image
using Level = std::int32_t;   // order-preserving integer of a value
using Levels = RawArray<Level>;
using OrderKey = std::uint64_t;  // position in the order of a filtration: level, then voxel

inline constexpr Voxel no_voxel = UINT32_MAX;

// Levels of the frame.
inline constexpr Level never_enters = INT32_MAX;
inline constexpr Level enters_first = INT32_MIN;

// Voxels along each axis of an image.
template <int D>
struct Extent : std::array<Voxel, D> {};

template <int D>
std::size_t num_voxels(const Extent<D>& extent) {
  std::size_t count = 1;
  for (Voxel length : extent) count *= length;
  return count;
}

// Order-preserving integer of a finite float; -0.0 and 0.0 are the same. Never a level of the frame.
inline Level level_of(float value) {
  value += 0.0f;
  std::int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits ^ ((bits >> 31) & INT32_MAX);
}

constexpr OrderKey order_key(Level level, Voxel v) {
  return (OrderKey{static_cast<std::uint32_t>(level) ^ 0x80000000u} << 32) | v;
}

// The 3^D voxels around a voxel and itself, in C order.
template <int D>
inline constexpr int box_size = D == 3 ? 27 : 9;
template <int D>
inline constexpr int box_center = box_size<D> / 2;

template <int D>
struct Grid {
  Extent<D> extent;             // of the image, without the frame
  std::array<Voxel, D> stride;  // in the framed image
  std::array<Divisor, D> by_stride;
  Level frame;
  Levels level;  // of the framed image, after set_levels

  // `memory` may be the level array of an earlier grid, for reuse.
  Grid(const Extent<D>& image_extent, Level level_of_frame, Levels memory = {})
      : extent(image_extent), frame(level_of_frame), level(std::move(memory)) {
    Voxel size = 1;
    for (int a = D - 1; a >= 0; --a) {
      stride[a] = size;
      by_stride[a] = Divisor(size);
      size *= extent[a] + 2;
    }
    level.resize(size);
  }

  Voxel size() const { return static_cast<Voxel>(level.size()); }
  OrderKey key(Voxel v) const { return order_key(level[v], v); }
  bool before(Voxel u, Voxel v) const { return level[u] < level[v] || (level[u] == level[v] && u < v); }
  bool in_frame(Voxel v) const { return level[v] == never_enters || level[v] == enters_first; }

  // The neighbor in direction 2 * axis + (1 towards higher coordinates).
  Voxel neighbor(Voxel v, int direction) const {
    return direction % 2 ? v + stride[direction / 2] : v - stride[direction / 2];
  }

  // Index differences to the voxels of the box around a voxel; negative ones wrap around, as sums with them do.
  std::array<Voxel, box_size<D>> box_offsets() const {
    std::array<Voxel, box_size<D>> offsets{};
    for (int p = 0; p < box_size<D>; ++p)
      for (int a = D - 1, digits = p; a >= 0; --a, digits /= 3)
        offsets[p] += static_cast<Voxel>(digits % 3 - 1) * stride[a];
    return offsets;
  }

  // The same for the neighbors of full or of face connectivity only. Axis 0 runs fastest, unlike in C order, because
  // the sweep of merge_tree.hpp is faster so: see docs/benchmarks.md.
  Array<Voxel> neighbor_offsets(bool full) const {
    Array<Voxel> offsets;
    for (int p = 0; p < box_size<D>; ++p) {
      Voxel offset = 0;
      int moved = 0;
      for (int a = 0, digits = p; a < D; ++a, digits /= 3) {
        offset += static_cast<Voxel>(digits % 3 - 1) * stride[a];
        moved += digits % 3 != 1;
      }
      if (moved == 1 || (moved > 1 && full)) offsets.push_back(offset);
    }
    return offsets;
  }

  // The first voxel of every row along the last axis, in order.
  Array<Voxel> rows() const {
    Array<Voxel> first;
    const Voxel planes = D == 3 ? extent[0] : 1;
    for (Voxel z = 0; z < planes; ++z)
      for (Voxel y = 1; y <= extent[D - 2]; ++y)
        first.push_back((D == 3 ? (z + 1) * stride[0] : 0) + y * stride[D - 2] + 1);
    return first;
  }

  // Calls visit(v) for every voxel of the image, in C order.
  template <class Visit>
  void for_each_voxel(Visit visit) const {
    for (Voxel first : rows())
      for (Voxel v = first; v < first + extent[D - 1]; ++v) visit(v);
  }

  // Sets the levels of the image from values in C order, or in the reverse of that, and those of the frame.
  template <class Value, class LevelOf>
  void set_levels(const Value* values, bool reversed, LevelOf level_of, std::size_t threads = 1) {
    const std::size_t length = extent[D - 1], framed_length = length + 2, framed_rows = extent[D - 2] + 2;
    const std::size_t rows = level.size() / framed_length, rows_of_image = num_voxels(extent) / length;
    const auto set_row = [&](std::size_t row) {
      Level* const to = level.data() + row * framed_length;
      const std::size_t y = row % framed_rows, z = row / framed_rows;  // in 2D, z is 0
      const bool in_frame = y == 0 || y + 1 == framed_rows || (D == 3 && (z == 0 || z > extent[0]));
      if (in_frame) {
        std::fill(to, to + framed_length, frame);
        return;
      }
      const std::size_t row_of_image = (D == 3 ? (z - 1) * extent[D - 2] : 0) + y - 1;
      const Value* from = values + (reversed ? rows_of_image - 1 - row_of_image : row_of_image) * length;
      to[0] = to[length + 1] = frame;
      if (reversed)
        for (std::size_t x = 0; x < length; ++x) to[x + 1] = level_of(from[length - 1 - x]);
      else
        for (std::size_t x = 0; x < length; ++x) to[x + 1] = level_of(from[x]);
    };
    for_each_slab(rows, threads, 0.4 * static_cast<double>(framed_length), [&](std::size_t first, std::size_t last) {
      for (std::size_t row = first; row < last; ++row) set_row(row);
    });
  }

  // Coordinates in the framed image: the frame begins at 0, the image at 1.
  std::array<std::int64_t, D> coordinates(Voxel v) const {
    std::array<std::int64_t, D> at;
    for (int a = 0; a < D; v %= stride[a++]) at[a] = v / stride[a];
    return at;
  }

  // C-order index into the image of a voxel that is not in the frame, and back.
  Voxel image_index(Voxel v) const {
    Voxel index = 0;
    for (int a = 0; a < D - 1; ++a) {
      const Voxel at = by_stride[a].quotient(v);
      index = index * extent[a] + at - 1;
      v -= at * stride[a];
    }
    return index * extent[D - 1] + v - 1;
  }
  Voxel framed_index(std::int64_t image_index) const {
    Voxel v = 0;
    for (int a = D - 1; a >= 0; image_index /= extent[a--])
      v += static_cast<Voxel>(image_index % extent[a] + 1) * stride[a];
    return v;
  }
};

}  // namespace topo
