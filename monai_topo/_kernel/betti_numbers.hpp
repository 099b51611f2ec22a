// Betti numbers of a binary image by counting components and cells, without persistence.
//
// Components of the foreground and of the background give dimensions 0 and D - 1 (Alexander duality); the Euler
// characteristic gives dimension 1 in 3D.
#pragma once

#include "run_components.hpp"

namespace topo {

// Euler characteristic of the face-connected complex of the voxels of one value: cells whose voxels all have it. With
// `framed` a layer of such voxels around the image is counted too.
inline std::int64_t euler_characteristic(const Mask& mask, Bit value, bool framed) {
  const std::int64_t length = mask.length + 3;  // a layer on both sides, and one voxel beyond that never has the value
  Array<Bit> buffer[2][2];
  for (auto& plane : buffer)
    for (auto& row : plane) row.assign(length, 0);
  const auto load = [&](std::int64_t z, std::int64_t y, Array<Bit>& row) {
    const bool inside = z >= 0 && z < mask.planes && y >= 0 && y < mask.rows;
    const bool beyond = y > mask.rows || z > mask.planes || (!mask.volume && z != 0);
    std::fill(row.begin(), row.end() - 1, framed && !beyond ? 1 : 0);
    if (!inside) return;
    const Bit* voxels = mask.row(z, y);
    for (std::int64_t x = 0; x < mask.length; ++x) row[x + 1] = voxels[x] == value;
  };

  std::int64_t total = 0;
  const std::int64_t first_plane = mask.volume ? -1 : 0, last_plane = mask.volume ? mask.planes : 0;
  for (std::int64_t z = first_plane; z <= last_plane; ++z) {
    load(z, -1, buffer[0][1]);
    load(z + 1, -1, buffer[1][1]);
    for (std::int64_t y = -1; y <= mask.rows; ++y) {
      for (auto& plane : buffer) plane[0].swap(plane[1]);
      load(z, y + 1, buffer[0][1]);
      load(z + 1, y + 1, buffer[1][1]);
      const Bit *a = buffer[0][0].data(), *b = buffer[0][1].data();
      const Bit *c = buffer[1][0].data(), *d = buffer[1][1].data();
      std::int32_t row_total = 0;
      for (std::int64_t x = 0; x + 1 < length; ++x) {
        const int ab = a[x] & b[x], ac = a[x] & c[x], abcd = ab & c[x] & d[x];
        const int next_ab = a[x + 1] & b[x + 1], next_ac = a[x + 1] & c[x + 1],
                  next_abcd = next_ab & c[x + 1] & d[x + 1];
        const int edges = (a[x] & a[x + 1]) + ab + ac, squares = (ab & next_ab) + (ac & next_ac) + abcd;
        row_total += a[x] - edges + squares - (abcd & next_abcd);
      }
      total += row_total;
    }
  }
  return total;
}

struct BettiNumbers {
  std::int64_t components, loops, holes;  // dimension 0, dimension 1 of a volume, dimension D - 1
};

// `framed`: everything outside the image is foreground.
inline BettiNumbers betti_numbers(const Mask& mask, bool full, bool framed) {
  const std::int64_t foreground = RunComponents(mask, 1, full, framed).count();
  const std::int64_t background = RunComponents(mask, 0, !full, !framed).count();
  BettiNumbers betti{};
  betti.components = framed ? foreground - 1 : foreground;
  betti.holes = background > 1 ? background - 1 : 0;
  if (mask.volume) {
    // Counted on the side that is face-connected; the dual side has the same loops.
    const bool side_is_framed = full != framed;
    const std::int64_t euler = euler_characteristic(mask, full ? 0 : 1, side_is_framed);
    betti.loops = foreground + background - euler - (side_is_framed ? 0 : 1);
  }
  return betti;
}

}  // namespace topo
