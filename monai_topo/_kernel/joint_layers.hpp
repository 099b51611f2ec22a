// The joint gradient of a grid, layer by layer along axis 0: see joint_gradient.hpp.
//
// Cells are matched axis by axis, and along an axis first with all lower facets, then with all upper ones. Only axis 0 leads
// to another layer, so it suffices to keep two layers: one is finished when the next one has been matched along axis 0.
#pragma once

#include <type_traits>

#include "cells.hpp"
#include "joint_orders.hpp"

namespace topo {

// What the gradient does with a cell: four bits.
//
//   bit   3   2     1    0
//       +---+---------+-------+
//       | 0 |  axis   | upper |   matched: the partner lies along this axis, towards higher coordinates if `upper`: a
//       +---+---------+-------+   facet if the cell extends along the axis, else a cofacet
//       | 1 |   0    |   mark |   critical; the mark: an edge that is negative in all orders
//       +---+-----------------+
//       | 0 |    all ones     |   missing: never enters, or lies in a frame that enters first
//       +---+-----------------+
class CellCode {
 public:
  static constexpr std::uint32_t missing = 7, critical = 8, negative = 9;

  explicit CellCode(std::uint32_t bits) : bits_(bits) {}

  static constexpr std::uint32_t matched(int axis, bool upper) { return static_cast<std::uint32_t>(2 * axis + upper); }

  bool is_missing() const { return bits_ == missing; }
  bool is_critical() const { return bits_ >= critical; }
  int axis() const { return static_cast<int>(bits_ >> 1); }
  bool upper() const { return bits_ & 1; }
  bool is_negative() const { return bits_ == negative; }
  bool goes_down(int along) const { return bits_ == matched(along, false); }

 private:
  std::uint32_t bits_;
};

template <int D>
class JointLayers {
  using C = CellIndex<D>;
  using Types = std::uint8_t;  // cells of one corner: a bit for each type

 public:
  using Codes = std::conditional_t<D == 2, std::uint16_t, std::uint32_t>;  // of the cells of one corner
  using CriticalCells = std::array<Array<Cell>, D + 1>;                    // by dimension, in order

  explicit JointLayers(const JointOrders<D>& orders)
      : stride_(orders.grid().stride),
        orders_(orders),
        offset_(C::corner_offsets(stride_)),
        corners_(orders.grid().size() - offset_[C::top_type]) {
    for (Layer& layer : layers_) layer = Layer(stride_[0] + stride_[D == 3 ? 1 : 0]);
  }

  // Writes the codes of the layers in [begin, end), of `count`, and lists their critical cells.
  void match(std::size_t begin, std::size_t end, std::size_t count, Codes* codes, CriticalCells& critical,
             const StopFlag& stop) {
    const std::size_t first = begin == 0 ? 0 : begin - 1;
    for (std::size_t z = first; z < std::min(end + 1, count); ++z) {
      stop.check();
      start(z);
      if (z > first) match_along(0, true, z - 1);
      if (z > begin) finish(z - 1, codes, critical);
    }
    if (end == count) finish(count - 1, codes, critical);
  }

 private:
  static constexpr int code_bits = 3;
  static constexpr std::size_t block = D == 2 ? 256 : 64;  // the memory of compare_block fits into the nearest cache
  static constexpr Types all_types = static_cast<Types>((1 << C::types) - 1);

  // Arrays over the corners of a layer, and over some beyond, without cells, that a facet may seem to lie at.
  struct Layer {
    Layer() = default;
    explicit Layer(std::size_t size) : cells(size), critical(size) {
      for (auto& of_side : sides) of_side.resize(size);
      for (auto& bits : codes) bits.resize(size);
    }

    Array<Types> cells, critical;           // that exist, and that are critical
    std::array<Array<Types>, 2 * D> sides;  // see compare_tops
    std::array<Array<Types>, code_bits> codes;
  };

  // Types that extend along an axis.
  static constexpr Types types_along(int axis) {
    int types = 0;
    for (int t = 0; t < C::types; ++t)
      if (has_bit(t, axis)) types |= 1 << t;
    return static_cast<Types>(types);
  }

  Layer& layer(std::size_t z) { return layers_[z % 2]; }

  // Calls work(first corner, corners), from the beginning of a layer, for blocks of all corners whose cells lie in the grid.
  template <class Work>
  void for_each_block(std::size_t z, Work work) const {
    const std::size_t before = std::min<std::size_t>(z * stride_[0], corners_);
    const std::size_t count = std::min<std::size_t>(stride_[0], corners_ - before);
    const std::size_t blocks = (count + block - 1) / block;
    for (std::size_t i = 0; i < blocks; ++i) {
      const std::size_t first = i * count / blocks;
      work(first, (i + 1) * count / blocks - first);
    }
  }

  // Matches the cells of a layer with lower facets along axis 0.
  void start(std::size_t z) {
    Layer& here = layer(z);
    std::fill(here.cells.begin(), here.cells.end(), Types{0});
    for (auto& bits : here.codes) std::fill(bits.begin(), bits.end(), Types{0});
    compare_tops(z);
    here.critical = here.cells;
    match_along(0, false, z);
  }

  // What is left once the cells of this layer, and of the one before, have been matched along axis 0.
  void finish(std::size_t z, Codes* codes, CriticalCells& critical) {
    for (int a = 1; a < D; ++a)
      for (const bool upper : {false, true}) match_along(a, upper, z);
    pack_codes(layer(z), codes + z * stride_[0]);
    list_critical(layer(z), static_cast<Voxel>(z * stride_[0]), critical);
  }

  // Finds which cells exist and for every axis along which a cell extends whether its top lies on the lower, or on the
  // upper, side in all orders. Neither, if orders differ. `sides` by 2 * axis + upper.
  void compare_tops(std::size_t z) {
    Layer& here = layer(z);
    const std::size_t origin = z * stride_[0];
    for_each_block(z, [&](std::size_t first, std::size_t count) {
      orders_.interior().for_each_corner_run(origin + first, origin + first + count,
                                             [&](std::size_t begin, std::size_t corners, bool is_inside) {
                                               std::array<Types*, 2 * D> sides;
                                               for (int k = 0; k < 2 * D; ++k)
                                                 sides[k] = here.sides[k].data() + (begin - origin);
                                               Types* const cells = here.cells.data() + (begin - origin);
                                               if (is_inside)
                                                 fill_straight(corners, cells, sides);
                                               else
                                                 compare_block(begin, corners, cells, sides);
                                             });
    });
  }

  // Inside a plateau voxels enter in the order of their indices: all tops lie on the upper side.
  static void fill_straight(std::size_t count, Types* cells, const std::array<Types*, 2 * D>& sides) {
    std::fill_n(cells, count, all_types);
    for (int a = 0; a < D; ++a) {
      std::fill_n(sides[2 * a], count, Types{0});
      std::fill_n(sides[2 * a + 1], count, types_along(a));
    }
  }

  // The top of every cell is the greatest of its corners' ranks, each with the number of its corner in the low bits: these
  // say on which side along every axis the top lies.
  TOPO_ALSO_FOR_AVX2 void compare_block(std::size_t first, std::size_t count, Types* TOPO_RESTRICT cells,
                                        const std::array<Types*, 2 * D>& sides) const {
    std::uint32_t lower[D][block], upper[D][block], exist[block];
    for (int o = 0; o < orders_.num_distinct(); ++o) {
      const Rank* const rank = orders_.ranks(o).data() + first;
      const auto frame = static_cast<std::uint32_t>(orders_.frame_rank());
      for (std::size_t x = 0; x < count; ++x) {
        std::uint32_t corner[C::types], top[C::types];
        for (int c = 0; c < C::types; ++c)
          corner[c] = static_cast<std::uint32_t>(rank[x + offset_[c]]) << D | static_cast<std::uint32_t>(c);
        find_tops(corner, top);
        for (int a = 0; a < D; ++a) {
          std::uint32_t is_upper = 0;
          for (int t = 1; t < C::types; ++t)
            if (has_bit(t, a)) is_upper |= (top[t] >> a & 1u) << t;
          upper[a][x] = o == 0 ? is_upper : upper[a][x] & is_upper;
          lower[a][x] = o == 0 ? is_upper ^ types_along(a) : lower[a][x] & ~is_upper;
        }
        if (o > 0) continue;
        std::uint32_t exists = 0;
        for (int t = 0; t < C::types; ++t) exists |= (top[t] >> D) != frame ? 1u << t : 0u;
        exist[x] = exists;
      }
    }
    narrow(exist, count, cells);
    for (int a = 0; a < D; ++a) {
      narrow(lower[a], count, sides[2 * a]);
      narrow(upper[a], count, sides[2 * a + 1]);
    }
  }

  // By type, of the cells at the lowest of these corners.
  TOPO_INTO_CALLER static void find_tops(const std::uint32_t* corner, std::uint32_t* top) {
    const auto greater = [](std::uint32_t a, std::uint32_t b) { return a > b ? a : b; };
    top[0] = corner[0];
    top[1] = greater(corner[0], corner[1]);
    top[2] = greater(corner[0], corner[2]);
    top[3] = greater(top[1], greater(corner[2], corner[3]));
    if constexpr (D == 3) {
      const std::uint32_t edge = greater(corner[4], corner[5]);
      top[4] = greater(corner[0], corner[4]);
      top[5] = greater(top[1], edge);
      top[6] = greater(top[2], greater(corner[4], corner[6]));
      top[7] = greater(top[3], greater(edge, greater(corner[6], corner[7])));
    }
  }

  TOPO_INTO_CALLER static void narrow(const std::uint32_t* words, std::size_t count, Types* TOPO_RESTRICT out) {
    for (std::size_t x = 0; x < count; ++x) out[x] = static_cast<Types>(words[x]);
  }

  // Matches cells of a layer that extend along an axis with their lower or upper facet along it, where the facet holds all
  // tops. The types of the facets are those of the cells without the axis: their bits, shifted.
  void match_along(int a, bool upper, std::size_t z) {
    const int shift = 1 << a;
    Layer &here = layer(z), &there = layer(a == 0 && upper ? z + 1 : z);
    const std::size_t to_facet = a > 0 && upper ? stride_[a] : 0;
    // The facet is on one side of the cell, so the cell is on the other side of the facet.
    const std::uint32_t code_of_cell = CellCode::matched(a, upper), code_of_facet = CellCode::matched(a, !upper);
    for_each_block(z, [&](std::size_t first, std::size_t count) {
      Types matched[block];
      Types *cell = here.critical.data() + first, *facet = there.critical.data() + first + to_facet;
      const Types* sides = here.sides[2 * a + upper].data() + first;
      for (std::size_t x = 0; x < count; ++x) matched[x] = static_cast<Types>(sides[x] & cell[x] & (facet[x] << shift));
      remove(cell, matched, count, 0);
      remove(facet, matched, count, shift);
      for (int bit = 0; bit < code_bits; ++bit) {
        if (has_bit(code_of_cell, bit)) add(here.codes[bit].data() + first, matched, count, 0);
        if (has_bit(code_of_facet, bit)) add(there.codes[bit].data() + first + to_facet, matched, count, shift);
      }
    });
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

  TOPO_ALSO_FOR_AVX2 void pack_codes(const Layer& layer, Codes* TOPO_RESTRICT out) const {
    constexpr std::size_t lanes = 8;
    const auto code = [&](std::size_t v) {
      std::uint32_t word = spread(static_cast<Types>(~layer.cells[v])) * CellCode::missing;
      word += spread(layer.critical[v]) * CellCode::critical;
      for (int bit = 0; bit < code_bits; ++bit) word |= spread(layer.codes[bit][v]) << bit;
      return static_cast<Codes>(word);
    };
    std::size_t v = 0;
    for (; v + lanes <= stride_[0]; v += lanes)
      if (is_straight(layer, v))
        std::fill_n(out + v, lanes, static_cast<Codes>(spread(types_along(0))));
      else
        for (std::size_t x = v; x < v + lanes; ++x) out[x] = code(x);
    for (; v < stride_[0]; ++v) out[v] = code(v);
  }

  // Whether eight corners have the codes of the inside of a plateau.
  static bool is_straight(const Layer& layer, std::size_t first) {
    return repeats(layer.critical, first, 0) && repeats(layer.cells, first, all_types) &&
           repeats(layer.codes[0], first, types_along(0)) && repeats(layer.codes[1], first, 0) &&
           repeats(layer.codes[2], first, 0);
  }

  void list_critical(const Layer& layer, Voxel origin, CriticalCells& critical) const {
    for (Voxel v = 0; v < stride_[0]; ++v) {
      while (v + 8 <= stride_[0] && repeats(layer.critical, v, 0)) v += 8;
      if (v == stride_[0]) return;
      for (int t : bits_of(layer.critical[v]))
        critical[count_bits(static_cast<std::uint32_t>(t))].push_back(C::cell(origin + v, t));
    }
  }

  // Whether eight corners have the same types.
  static bool repeats(const Array<Types>& types, std::size_t first, Types wanted) {
    std::uint64_t word;
    std::memcpy(&word, types.data() + first, sizeof word);
    return word == 0x0101010101010101u * std::uint64_t{wanted};
  }

  const std::array<Voxel, D> stride_;
  const JointOrders<D>& orders_;
  const std::array<Voxel, C::types> offset_;  // from the lowest corner of a cell to the highest
  const std::size_t corners_;                 // those whose cells lie in the grid
  std::array<Layer, 2> layers_;
};

}  // namespace topo
