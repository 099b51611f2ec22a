// Cells of a whole grid, and the byte that keeps the partner of each in a joint gradient.
#pragma once

#include "bits.hpp"
#include "grid.hpp"

namespace topo {

enum Order : int { of_prediction, of_label, of_comparison };
inline constexpr int num_orders = 3;
inline constexpr Order all_orders[] = {of_prediction, of_label, of_comparison};

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
};

// What the gradient does with a cell.
//
//   bit   7   6     3   2     1    0
//       +---+---------+--------+-------+
//       | 0 |    0    |  axis  | upper |   matched: the partner lies along this axis, towards higher coordinates if
//       +---+---------+--------+-------+   `upper`: a facet if the cell extends along the axis, else a cofacet
//       | 1 |    0    |     marks      |   critical: one mark for each order in which the cell is paired in
//       +---+---------+----------------+   dimension 0 or D - 1
//       |           all ones           |   missing: never enters, or lies in a frame that enters first
//       +------------------------------+
struct CellCode {
  std::uint8_t bits = 0xff;

  static constexpr CellCode matched(int axis, bool upper) { return {static_cast<std::uint8_t>(2 * axis + upper)}; }
  static constexpr CellCode critical() { return {0x80}; }
  static constexpr CellCode missing() { return {0xff}; }

  bool is_missing() const { return bits == missing().bits; }
  bool is_critical() const { return has_bit(bits, 7) && !is_missing(); }
  int axis() const { return bits >> 1; }
  bool upper() const { return bits & 1; }
  void mark(Order order) { bits |= static_cast<std::uint8_t>(1u << order); }
  bool is_marked(Order order) const { return has_bit(bits, order); }
};

// For every axis along which a cell extends: whether the last voxel of the cell (its top) lies on the lower or on the
// upper side in all orders compared so far. Neither, if orders differ.
//
//   bit  7 6   4 3 2   0
//       +-+-----+-+-----+
//       |0|lower|0|upper|   one bit per axis
//       +-+-----+-+-----+
struct TopSides {
  static constexpr std::uint8_t all = 0x77;
  static constexpr std::uint8_t upper(int axis) { return static_cast<std::uint8_t>(1u << axis); }
  static constexpr std::uint8_t lower(int axis) { return static_cast<std::uint8_t>(16u << axis); }
};

}  // namespace topo
