// One discrete gradient for three filtrations of the same grid: of two images, and of their comparison.
//
// Two cells are matched only if they enter together in all three orders, so the critical cells left over hold the
// persistence of each order and the maps between them. A cell enters with its last voxel, its top. A facet enters with
// the cell if it holds the top, so the cells that share all three tops are those around the smallest cell that holds
// these tops: a link, as around a vertex. They are matched direction by direction (element matchings one after another
// are acyclic: Jonsson, "Simplicial Complexes of Graphs", 2008, section 4.1), for the whole grid at once in loops that
// compilers turn into vector code.
#pragma once

#include <type_traits>

#include "cells.hpp"
#include "joint_orders.hpp"
#include "parallel.hpp"
#include "straight_runs.hpp"

namespace topo {

// What the gradient does with a cell: four bits.
//
//   bit   3   2     1    0
//       +---+---------+-------+
//       | 0 |  axis   | upper |   matched: the partner lies along this axis, towards higher coordinates if `upper`: a
//       +---+---------+-------+   facet if the cell extends along the axis, else a cofacet
//       | 1 |     marks       |   critical: one mark for each order in which the cell is paired in dimension 0 or D - 1
//       +---+-----------------+
//       | 0 |    all ones     |   missing: never enters, or lies in a frame that enters first
//       +---+-----------------+
class CellCode {
 public:
  static constexpr std::uint32_t missing = 7, critical = 8;

  explicit CellCode(std::uint32_t bits) : bits_(bits) {}

  static constexpr std::uint32_t matched(int axis, bool upper) { return static_cast<std::uint32_t>(2 * axis + upper); }

  bool is_missing() const { return bits_ == missing; }
  bool is_critical() const { return bits_ >= critical; }
  int axis() const { return static_cast<int>(bits_ >> 1); }
  bool upper() const { return bits_ & 1; }
  bool is_marked(int order_index) const { return has_bit(bits_, order_index); }
  bool goes_down(int along) const { return bits_ == matched(along, false); }

 private:
  std::uint32_t bits_;
};

template <int D>
class JointGradient {
  using C = CellIndex<D>;
  using Types = std::uint8_t;  // cells of one corner: a bit for each type

 public:
  JointGradient(const JointOrders<D>& orders, const StopFlag& stop)
      : stride(orders.grid().stride), orders_(orders), size_(orders.grid().size()), offset_(C::corner_offsets(stride)) {
    Array<Types> cells(size_), critical;  // cells that exist, and those that are critical
    std::array<Array<Types>, 2 * D> top_sides;
    for (auto& sides : top_sides) sides.resize(size_);
    compare_tops(cells, top_sides, stop);
    critical = cells;
    std::array<Array<Types>, code_bits> codes;
    for (auto& bits : codes) bits.resize(size_);
    match_cells(critical, top_sides, codes, stop);
    pack_codes(cells, critical, codes);
    if constexpr (D == 3)
      if (orders_.interior().exists()) straight_runs_.find(codes_, stride[0]);
    find_critical_cells(critical);
  }

  const std::array<Voxel, D> stride;
  const JointOrders<D>& orders() const { return orders_; }
  Voxel size() const { return size_; }

  CellCode code(Voxel corner, int type) const { return CellCode((codes_[corner] >> (4 * type)) & 15u); }
  void mark(Cell c, int order_index) {
    codes_[C::corner(c)] |= static_cast<Codes>(1u << (4 * C::type(c) + order_index));
  }

  const StraightRuns& straight_runs() const { return straight_runs_; }

  // Critical cells of one dimension, in order.
  const Array<Cell>& critical_cells(int dim) const { return critical_[dim]; }

  // The voxel with which a cell enters.
  Voxel top(Cell c, int order_index) const {
    const Array<Rank>& rank = orders_.ranks(order_index);
    const auto type = static_cast<std::uint32_t>(C::type(c));
    Voxel last = C::corner(c);
    for (std::uint32_t rest = type; rest != 0; rest = (rest - 1) & type)
      if (const Voxel v = C::corner(c) + offset_[rest]; rank[v] > rank[last]) last = v;
    return last;
  }

 private:
  using Codes = std::conditional_t<D == 2, std::uint16_t, std::uint32_t>;  // of the cells of one corner
  static constexpr int code_bits = 3;
  static constexpr std::size_t block = 64;

  // Types that extend along an axis.
  static constexpr Types types_along(int axis) {
    int types = 0;
    for (int t = 0; t < C::types; ++t)
      if (has_bit(t, axis)) types |= 1 << t;
    return static_cast<Types>(types);
  }

  // Calls work(first corner, corners) for blocks of all corners whose cells lie in the grid.
  template <class Work>
  void for_each_block(const StopFlag& stop, Work work) const {
    const std::size_t corners = size_ - offset_[C::top_type];
    for (std::size_t first = 0; first < corners; first += block) {
      if (first % (block << 10) == 0) stop.check();
      work(first, std::min(block, corners - first));
    }
  }

  // Finds which cells exist and for every axis along which a cell extends whether its top lies on the lower, or on the
  // upper, side in all orders. Neither, if orders differ. `top_sides` by 2 * axis + upper.
  void compare_tops(Array<Types>& cells, std::array<Array<Types>, 2 * D>& top_sides, const StopFlag& stop) const {
    for_each_block(stop, [&](std::size_t first, std::size_t count) {
      orders_.interior().for_each_corner_run(first, first + count,
                                             [&](std::size_t begin, std::size_t corners, bool is_inside) {
                                               if (is_inside)
                                                 return fill_straight(begin, begin + corners, cells, top_sides);
                                               std::array<Types*, 2 * D> sides;
                                               for (int k = 0; k < 2 * D; ++k) sides[k] = top_sides[k].data() + begin;
                                               compare_block(begin, corners, cells.data() + begin, sides);
                                             });
    });
  }

  // Inside a plateau voxels enter in the order of their indices: all tops lie on the upper side.
  static void fill_straight(std::size_t begin, std::size_t end, Array<Types>& cells,
                            std::array<Array<Types>, 2 * D>& top_sides) {
    std::fill(cells.begin() + begin, cells.begin() + end, static_cast<Types>((1 << C::types) - 1));
    for (int a = 0; a < D; ++a)
      std::fill(top_sides[2 * a + 1].begin() + begin, top_sides[2 * a + 1].begin() + end, types_along(a));
  }

  // The rank of a cell is that of its top, the greater one of two opposite facets. tops[c][s]: ranks of the cells of type
  // s at the corner that lies on the upper side along the axes c, which are none of s.
  TOPO_ALSO_FOR_AVX2 void compare_block(std::size_t first, std::size_t count, Types* TOPO_RESTRICT cells,
                                        const std::array<Types*, 2 * D>& sides) const {
    Rank memory[C::types][C::types][block];
    std::uint32_t lower[D][block], upper[D][block], exist[block];
    for (int o = 0; o < orders_.num_distinct(); ++o) {
      const Rank* tops[C::types][C::types];
      for (int c = 0; c < C::types; ++c) tops[c][0] = orders_.ranks(o).data() + first + offset_[c];
      for (int s = 1; s < C::types; ++s)
        for (int c = 0; c < C::types; ++c) {
          if ((c & s) != 0) continue;
          const int a = s & -s;
          const Rank *below = tops[c][s ^ a], *above = tops[c | a][s ^ a];
          Rank* const out = memory[c][s];
          for (std::size_t x = 0; x < count; ++x) out[x] = above[x] > below[x] ? above[x] : below[x];
          tops[c][s] = out;
        }
      for (int a = 0; a < D; ++a) {
        std::uint32_t is_upper[block];
        std::fill_n(is_upper, count, 0u);
        for (int t = 1; t < C::types; ++t) {
          if (!has_bit(t, a)) continue;
          const Rank *below = tops[0][t ^ (1 << a)], *above = tops[1 << a][t ^ (1 << a)];
          const std::uint32_t bit = 1u << t;
          for (std::size_t x = 0; x < count; ++x) is_upper[x] |= above[x] > below[x] ? bit : 0u;
        }
        const std::uint32_t along = types_along(a);
        for (std::size_t x = 0; x < count; ++x) {
          upper[a][x] = o == 0 ? is_upper[x] : upper[a][x] & is_upper[x];
          lower[a][x] = o == 0 ? is_upper[x] ^ along : lower[a][x] & (is_upper[x] ^ along);
        }
      }
      if (o > 0) continue;
      std::fill_n(exist, count, 0u);
      const Rank frame = orders_.frame_rank();
      for (int t = 0; t < C::types; ++t) {
        const Rank* top = tops[0][t];
        const std::uint32_t bit = 1u << t;
        for (std::size_t x = 0; x < count; ++x) exist[x] |= top[x] != frame ? bit : 0u;
      }
    }
    narrow(exist, count, cells);
    for (int a = 0; a < D; ++a) {
      narrow(lower[a], count, sides[2 * a]);
      narrow(upper[a], count, sides[2 * a + 1]);
    }
  }

  TOPO_INTO_CALLER static void narrow(const std::uint32_t* words, std::size_t count, Types* TOPO_RESTRICT out) {
    for (std::size_t x = 0; x < count; ++x) out[x] = static_cast<Types>(words[x]);
  }

  // Matches cells that extend along an axis with their lower or upper facet along it, where the facet holds all tops.
  // The types of the facets are those of the cells without the axis: their bits, shifted.
  void match_cells(Array<Types>& critical, const std::array<Array<Types>, 2 * D>& top_sides,
                   std::array<Array<Types>, code_bits>& codes, const StopFlag& stop) const {
    for (int a = 0; a < D; ++a)
      for (const bool upper : {false, true}) {
        const int shift = 1 << a;
        const std::size_t to_facet = upper ? stride[a] : 0;
        // The facet is on one side of the cell, so the cell is on the other side of the facet.
        const std::uint32_t code_of_cell = CellCode::matched(a, upper), code_of_facet = CellCode::matched(a, !upper);
        for_each_block(stop, [&](std::size_t first, std::size_t count) {
          Types matched[block];
          Types *cell = critical.data() + first, *facet = cell + to_facet;
          const Types* sides = top_sides[2 * a + upper].data() + first;
          for (std::size_t x = 0; x < count; ++x)
            matched[x] = static_cast<Types>(sides[x] & cell[x] & (facet[x] << shift));
          remove(cell, matched, count, 0);
          remove(facet, matched, count, shift);
          for (int bit = 0; bit < code_bits; ++bit) {
            Types* const out = codes[bit].data() + first;
            if (has_bit(code_of_cell, bit)) add(out, matched, count, 0);
            if (has_bit(code_of_facet, bit)) add(out + to_facet, matched, count, shift);
          }
        });
      }
  }

  static void remove(Types* out, const Types* TOPO_RESTRICT types, std::size_t count, int shift) {
    for (std::size_t x = 0; x < count; ++x) out[x] = static_cast<Types>(out[x] & ~(types[x] >> shift));
  }
  static void add(Types* out, const Types* TOPO_RESTRICT types, std::size_t count, int shift) {
    for (std::size_t x = 0; x < count; ++x) out[x] = static_cast<Types>(out[x] | (types[x] >> shift));
  }

  // One bit for each type to every fourth bit.
  static std::uint32_t spread(std::uint32_t types) {
    types = (types | (types << 12)) & 0x000f000fu;
    types = (types | (types << 6)) & 0x03030303u;
    return (types | (types << 3)) & 0x11111111u;
  }

  void pack_codes(const Array<Types>& cells, const Array<Types>& critical,
                  const std::array<Array<Types>, code_bits>& codes) {
    codes_.resize(size_);
    constexpr Types all = static_cast<Types>((1 << C::types) - 1);
    for (std::size_t v = 0; v < size_;) {
      if (v + 8 <= size_ && repeats(cells, v, all) && repeats(critical, v, 0) && repeats(codes[0], v, types_along(0)) &&
          repeats(codes[1], v, 0) && repeats(codes[2], v, 0)) {
        std::fill_n(codes_.begin() + static_cast<std::ptrdiff_t>(v), 8, static_cast<Codes>(spread(types_along(0))));
        v += 8;
        continue;
      }
      const std::uint32_t missing = spread(static_cast<Types>(~cells[v]));
      std::uint32_t word = missing * CellCode::missing + spread(critical[v]) * CellCode::critical;
      for (int bit = 0; bit < code_bits; ++bit) word |= spread(codes[bit][v]) << bit;
      codes_[v++] = static_cast<Codes>(word);
    }
  }

  void find_critical_cells(const Array<Types>& critical) {
    for (Voxel v = 0; v < size_; ++v) {
      while (v + 8 <= size_ && repeats(critical, v, 0)) v += 8;
      if (v == size_) return;
      for (int t : bits_of(critical[v])) critical_[count_bits(static_cast<std::uint32_t>(t))].push_back(C::cell(v, t));
    }
  }

  // Whether eight corners have the same types.
  static bool repeats(const Array<Types>& types, std::size_t first, Types wanted) {
    std::uint64_t word;
    std::memcpy(&word, types.data() + first, sizeof word);
    return word == 0x0101010101010101u * std::uint64_t{wanted};
  }

  const JointOrders<D>& orders_;
  const Voxel size_;
  const std::array<Voxel, C::types> offset_;  // from the lowest corner of a cell to the highest
  Array<Codes> codes_;
  StraightRuns straight_runs_;
  std::array<Array<Cell>, D + 1> critical_;
};

}  // namespace topo
