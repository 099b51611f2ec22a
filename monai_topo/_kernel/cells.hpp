// Cells of a whole grid.
#pragma once

#include "bits.hpp"
#include "grid.hpp"

namespace topo {

// A cell: its corner of lowest coordinates and, as a bit set (its type), the axes along which it extends.
//
//   bit  31                    D D-1    0
//       +-----------------------+--------+          vertex: type 0, top cell: all D bits set
//       | corner                | type   |
//       +-----------------------+--------+
using Cell = std::uint32_t;
inline constexpr Cell no_cell = UINT32_MAX;

template <int D>
struct CellIndex {
  static constexpr int types = 1 << D;
  static constexpr int top_type = types - 1;
  static constexpr Cell cell(Voxel corner, int type) { return (corner << D) | static_cast<Cell>(type); }
  static constexpr Voxel corner(Cell cell) { return cell >> D; }
  static constexpr int type(Cell cell) { return static_cast<int>(cell & top_type); }

  // Index differences from the lowest corner of a cell to its highest one, by type.
  static std::array<Voxel, types> corner_offsets(const std::array<Voxel, D>& stride) {
    std::array<Voxel, types> offsets{};
    for (int type = 0; type < types; ++type)
      for (int a : bits_of(static_cast<std::uint32_t>(type))) offsets[type] += stride[a];
    return offsets;
  }
};

}  // namespace topo
