// Where a joint gradient of a volume matches every cell along axis 0, as on a plateau, whose voxels enter in the order of
// their indices: V-paths go straight down there, and are followed by counting bits.
#pragma once

#include <algorithm>

#include "cells.hpp"
#include "parallel.hpp"

namespace topo {

class StraightRuns {
 public:
  // The codes of all cells of a corner, see CellCode: cells that extend along axis 0 are matched with their upper facet,
  // the others with the cell below.
  static constexpr std::uint32_t straight_codes = 0x10101010u;

  // `plane`: voxels of a plane across axis 0.
  void find(const RawArray<std::uint32_t>& codes, Voxel plane, std::size_t threads) {
    plane_ = Divisor(plane);
    size_ = plane;
    words_.assign((codes.size() / plane / 64 + 1) * plane, 0);
    for_each_slab(plane, threads, 0.5 * codes.size() / plane, [&](std::size_t begin, std::size_t end) {
      for (std::size_t first = 0, z = 0; first < codes.size(); first += plane, ++z) {
        std::uint64_t* const words = words_.data() + z / 64 * plane;
        for (std::size_t i = begin; i < end; ++i)
          words[i] |= std::uint64_t{codes[first + i] == straight_codes} << (z % 64);
      }
    });
  }

  // How many corners next to one another below a corner, along axis 0, are straight; 0 without find().
  Voxel below(Voxel corner) const {
    if (words_.empty()) return 0;
    const Voxel z = plane_.quotient(corner), column = corner - z * size_;
    Voxel count = 0;
    while (count < z) {
      const Voxel last = z - 1 - count, bits = last % 64 + 1;
      const std::uint64_t others = ~words_[last / 64 * size_ + column] << (64 - bits);
      const Voxel run = others == 0 ? bits : std::min(bits, static_cast<Voxel>(63 - highest_bit(others)));
      count += run;
      if (run < bits) break;
    }
    return count;
  }

  // How many from a corner on, upwards, are straight; 0 without find().
  Voxel above(Voxel corner) const {
    if (words_.empty()) return 0;
    const Voxel first = plane_.quotient(corner), column = corner - first * size_;
    Voxel z = first;
    for (std::size_t at = z / 64 * size_ + column; at < words_.size(); at = z / 64 * size_ + column) {
      const Voxel bits = 64 - z % 64;
      const std::uint64_t others = ~words_[at] >> (z % 64);
      if (others != 0) return z + lowest_bit(others) - first;
      z += bits;
    }
    return z - first;
  }

 private:
  Divisor plane_;
  Voxel size_ = 0;
  Array<std::uint64_t> words_;  // 64 corners along axis 0 each
};

}  // namespace topo
