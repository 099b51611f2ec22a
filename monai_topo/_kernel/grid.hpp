// An image as ordered integer levels inside a frame one voxel thick.
//
// Every algorithm of the kernel works on one object: the face-connected (vertex-built) cubical complex of a sublevel
// filtration. Voxels are its vertices, a cell enters with its last vertex. Voxels are ordered by (level, index), so no
// two are equal. The frame makes borders disappear from the code: its voxels are either `absent` (later than all, so no
// cell holding one exists) or `present` (earlier than all: one vertex at infinity).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

namespace topo {

using Voxel = std::uint32_t;  // index into the framed image
using Level = std::int32_t;   // order-preserving image of a value

using Place = std::uint64_t;  // in the order of a filtration: level, then voxel

constexpr Level absent = INT32_MAX;
constexpr Level present = INT32_MIN;

// Order-preserving integer of a finite float; -0.0 and 0.0 are the same. Never `absent` nor `present`.
inline Level level_of(float value) {
  value += 0.0f;
  std::int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits ^ ((bits >> 31) & INT32_MAX);
}

// A double holds more values than a level: dense ranks of the values of a whole image instead.
inline std::vector<Level> ranks_of(const double* values, std::size_t count) {
  std::vector<Voxel> order(count);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] < values[b]; });
  std::vector<Level> ranks(count);
  Level rank = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0 && values[order[i]] > values[order[i - 1]]) ++rank;
    ranks[order[i]] = rank;
  }
  return ranks;
}

// Gives an array's memory back.
template <class T>
void release(std::vector<T>& array) {
  std::vector<T>().swap(array);
}

template <int D>
struct Grid {
  std::array<Voxel, D> extent;  // of the image, without the frame
  std::array<Voxel, D> stride;  // in the framed image
  std::vector<Level> level;     // of the framed image

  // `memory` may bring what an earlier grid has left.
  Grid(const std::array<Voxel, D>& image_extent, Level frame, std::vector<Level> memory = {})
      : extent(image_extent), level(std::move(memory)) {
    Voxel size = 1;
    for (int a = D - 1; a >= 0; --a) {
      stride[a] = size;
      size *= extent[a] + 2;
    }
    level.assign(size, frame);
  }

  Voxel size() const { return static_cast<Voxel>(level.size()); }
  Place place(Voxel v) const { return Place{static_cast<std::uint32_t>(level[v]) ^ 0x80000000u} << 32 | v; }
  bool before(Voxel u, Voxel v) const { return level[u] < level[v] || (level[u] == level[v] && u < v); }

  // The first voxel of every row along the last axis, in order.
  std::vector<Voxel> rows() const {
    std::vector<Voxel> first;
    const Voxel planes = D == 3 ? extent[0] : 1;
    for (Voxel z = 0; z < planes; ++z)
      for (Voxel y = 1; y <= extent[D - 2]; ++y)
        first.push_back((D == 3 ? (z + 1) * stride[0] : 0) + y * stride[D - 2] + 1);
    return first;
  }

  // Fills the image with level(value) of its values in C order, or in the reverse of that.
  template <class Value, class LevelOf>
  void fill(const Value* values, bool reversed, LevelOf level_of) {
    const std::vector<Voxel> first = rows();
    const std::size_t length = extent[D - 1];
    for (std::size_t r = 0; r < first.size(); ++r) {
      const Value* from = values + (reversed ? first.size() - 1 - r : r) * length;
      Level* to = level.data() + first[r];
      if (reversed)
        for (std::size_t x = 0; x < length; ++x) to[x] = level_of(from[length - 1 - x]);
      else
        for (std::size_t x = 0; x < length; ++x) to[x] = level_of(from[x]);
    }
  }

  // Place in the framed image: 0 is the frame.
  std::array<std::int64_t, D> coordinates(Voxel v) const {
    std::array<std::int64_t, D> at;
    for (int a = 0; a < D; v %= stride[a++]) at[a] = v / stride[a];
    return at;
  }

  // C-order index into the image of a voxel that is not in the frame.
  Voxel image_index(Voxel v) const {
    Voxel index = 0;
    for (int a = 0; a < D - 1; v %= stride[a++]) index = index * extent[a] + v / stride[a] - 1;
    return index * extent[D - 1] + v - 1;
  }
};

}  // namespace topo
