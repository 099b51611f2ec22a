// Persistence pairs of dimensions 0 and D - 1: basins of extrema, merged at saddles by union-find.
//
// Dimension 0: from every voxel a V-path descends to a minimum. A critical edge merges the basins of two minima, and by
// the elder rule the younger minimum dies. Dimension D - 1 is the same on the dual grid: from every top cell a V-path
// ascends to a maximum or out of the image. A critical facet, taken from the last to the first, separates two of them,
// and the younger one in this order, the maximum that enters earlier, is the death of the class born with the facet.
//
// All V-paths are followed first, in the order of indices, which neighbors in memory profit from; then saddles are
// sorted, and union-find works on extrema alone.
#pragma once

#include "lower_stars.hpp"

namespace topo {

using Node = std::uint32_t;  // of a basin

// A critical cell and the basins on its two sides.
struct Saddle {
  static constexpr int number_bits = 3;
  std::uint32_t cell;  // its voxel, then its number among the critical cells of that dimension of the voxel
  Node sides[2];

  Voxel voxel() const { return cell >> number_bits; }
  int number() const { return static_cast<int>(cell & ((1u << number_bits) - 1)); }
  // Paired where it merges two basins.
  bool is_paired() const { return sides[0] == paired; }
  void pair() { sides[0] = paired; }

 private:
  static constexpr Node paired = UINT32_MAX;
};

// Down from vertex to vertex through edges. The stars alone give the way: levels would be more to read.
template <int D>
struct DescendingPath {
  static constexpr bool ascends = false;
  const Grid<D>& grid;
  const StarArray<D>& star;

  // The next vertex; `no_voxel` behind the frame, where only a frame that enters first ends a path.
  Voxel step(Voxel v) const {
    const CellBits roots = LowerStarGradient<D>::instance().roots(star[v]);
    return roots == 0 ? no_voxel : grid.neighbor(v, lowest_bit(roots));
  }
  static Array<Voxel>& extrema(CriticalVoxels& voxels) { return voxels.minima; }
  static std::size_t num_saddles(const CriticalVoxels& voxels) { return voxels.num_edges; }
  Voxel start(Voxel minimum) const { return minimum; }
  CellBits saddles(Voxel v) const { return LowerStarGradient<D>::instance().critical_edges(star[v]); }
  std::pair<Voxel, Voxel> sides(Voxel v, int edge) const { return {v, grid.neighbor(v, edge)}; }
};

// Up from top cell to top cell through facets. A top cell is named by its corner of lowest coordinates.
template <int D>
struct AscendingPath {
  static constexpr bool ascends = true;
  const Grid<D>& grid;
  const StarArray<D>& star;

  // The next top cell; `no_voxel` outside.
  Voxel step(Voxel corner) const {
    // Of the cell's voxels, the one whose lower star holds it. Seen from there the cell lies in the opposite direction.
    int top_cell = -1;
    for (int t = 0; t <= last; ++t) top_cell = star[corner + corner_offset(last - t)].has_top_cell(t) ? t : top_cell;
    if (top_cell < 0) return no_voxel;
    const Voxel v = corner + corner_offset(last - top_cell);
    const int axis = LowerStarGradient<D>::instance().exit_axis(star[v], top_cell);
    const bool extends_up = has_bit(top_cell, D - 1 - axis);  // from v: its facet at v is the lower one
    return extends_up ? corner - grid.stride[axis] : corner + grid.stride[axis];
  }
  static Array<Voxel>& extrema(CriticalVoxels& voxels) { return voxels.maxima; }
  static std::size_t num_saddles(const CriticalVoxels& voxels) { return voxels.num_facets; }
  // The critical top cell of a maximum.
  Voxel start(Voxel maximum) const {
    int top_cell = 0;
    while (LowerStarGradient<D>::instance().exit_axis(star[maximum], top_cell) != no_axis) ++top_cell;
    return maximum - corner_offset(last - top_cell);
  }
  CellBits saddles(Voxel v) const { return LowerStarGradient<D>::instance().critical_facets(star[v]); }

  // The two top cells that share a facet of the star of voxel v.
  std::pair<Voxel, Voxel> sides(Voxel v, int facet) const {
    Voxel corner = v;
    int axis;
    if (D == 2) {
      axis = 1 - facet / 2;
      if (facet % 2 == 0) corner -= grid.stride[facet / 2];
    } else {
      using L = Link<3>;
      axis = L::third_axis(facet);
      if (L::first_sign(facet) == 0) corner -= grid.stride[L::first_axis(facet)];
      if (L::second_sign(facet) == 0) corner -= grid.stride[L::second_axis(facet)];
    }
    return {corner, corner - grid.stride[axis]};
  }

 private:
  static constexpr int last = Link<D>::top_cells - 1;

  // From the lowest corner of a top cell to the corner with these coordinates, bits in C order.
  Voxel corner_offset(int coordinates) const {
    Voxel offset = 0;
    for (int a = 0; a < D; ++a)
      if (has_bit(coordinates, D - 1 - a)) offset += grid.stride[a];
    return offset;
  }
};

// Numbers of cells, from 1, that can be forgotten all at once. Several threads may use them.
class CellNumbers {
 public:
  SharedNumbers memory;  // for other use: 0 again afterwards

  // Forgets all numbers. No number to come is larger than `largest`.
  void restart(std::size_t cells, std::uint32_t largest) {
    if (memory.size() < cells || largest > UINT32_MAX - last_) {
      memory = SharedNumbers(std::max(cells, memory.size()));
      last_ = 0;
    }
    forgotten_ = last_;
    last_ += largest;
  }

  // 0 if it has none.
  std::uint32_t get(Voxel cell) const {
    const std::uint32_t number = memory[cell].load(std::memory_order_relaxed);
    return number > forgotten_ ? number - forgotten_ : 0;
  }
  void set(Voxel cell, std::uint32_t number) { memory[cell].store(forgotten_ + number, std::memory_order_relaxed); }

 private:
  std::uint32_t last_ = 0, forgotten_ = 0;
};

// The basins of extrema and all saddles between them. Basin 0 is the outside, then come those of the extrema.
struct Basins {
  Array<Voxel> extrema;
  Array<Saddle> saddles;
};

// Follows the V-path from a cell. Every cell passed on the way keeps the result, so all walks together are linear in the
// number of cells. Threads may walk the same path at the same time, to the same end.
template <class Path>
Node basin_of(const Path& path, Voxel cell, CellNumbers& basin_after, Array<Voxel>& walked) {
  walked.clear();
  std::uint32_t number = 1;  // outside
  for (; cell != no_voxel; cell = path.step(cell)) {
    const std::uint32_t known = basin_after.get(cell);
    if (known != 0) {
      number = known;
      break;
    }
    walked.push_back(cell);
  }
  for (Voxel passed : walked) basin_after.set(passed, number);
  return number - 1;
}

// Takes the extrema of the path out of the critical voxels.
template <class Path>
Basins find_basins(const Path& path, Array<CriticalVoxels>& critical, CellNumbers& numbers, std::size_t threads,
                   const StopFlag& stop) {
  Basins basins;
  Array<std::size_t> first{0};  // saddle of a part
  for (CriticalVoxels& voxels : critical) {
    Array<Voxel>& extrema = path.extrema(voxels);
    basins.extrema.insert(basins.extrema.end(), extrema.begin(), extrema.end());
    release(extrema);
    first.push_back(first.back() + path.num_saddles(voxels));
  }
  basins.saddles.resize(first.back());
  // The number of a basin plus one.
  numbers.restart(path.grid.size(), static_cast<std::uint32_t>(basins.extrema.size() + 1));
  for (std::size_t i = 0; i < basins.extrema.size(); ++i)
    numbers.set(path.start(basins.extrema[i]), static_cast<std::uint32_t>(i + 2));
  threads = useful_threads(threads, 3.0 * path.grid.size());
  parallel_for<Array<Voxel>>(critical.size(), threads, [&](std::size_t part, Array<Voxel>& walked) {
    Saddle* saddle = basins.saddles.data() + first[part];
    stop.check();
    for (Voxel v : critical[part].all) {
      std::uint32_t cell = v << Saddle::number_bits;
      for (int direction : bits_of(path.saddles(v))) {
        const auto [side, other] = path.sides(v, direction);
        *saddle++ = {cell++, {basin_of(path, side, numbers, walked), basin_of(path, other, numbers, walked)}};
      }
    }
  });
  return basins;
}

// The saddles between two different basins in the order of the filtration, from the last one down where paths ascend: keys
// of their levels and indices.
template <class Path>
Array<OrderKey> sorted_saddles(const Path& path, const Basins& basins) {
  Array<OrderKey> keys;
  keys.reserve(basins.saddles.size());
  for (std::size_t i = 0; i < basins.saddles.size(); ++i)
    if (const Saddle& saddle = basins.saddles[i]; saddle.sides[0] != saddle.sides[1])
      keys.push_back(order_key(path.grid.level[saddle.voxel()], static_cast<std::uint32_t>(i)));
  radix_sort(keys, 32);
  if (Path::ascends) std::reverse(keys.begin(), keys.end());
  return keys;
}

using VoxelPairs = Array<std::pair<Voxel, Voxel>>;  // birth, death

// Merges basins at saddles, from the first saddle to the last, or down from the last where paths ascend. Returns the
// pairs and marks the saddles that are in one. Calls on_merge(elder, younger, voxel of the saddle) for every pair.
template <class Path, class OnMerge>
VoxelPairs pair_extrema(const Path& path, Basins& basins, const StopFlag& stop, OnMerge on_merge) {
  struct Tree {
    Level level;  // of the extremum of a basin
    Node parent;
  };
  const auto& level = path.grid.level;
  Array<Tree> trees{{Path::ascends ? never_enters : enters_first, 0}};  // the outside, older than all
  trees.reserve(basins.extrema.size() + 1);
  for (Voxel v : basins.extrema) trees.push_back({level[v], static_cast<Node>(trees.size())});
  const auto root_of = [&](Node node) {
    while (trees[node].parent != node) node = trees[node].parent = trees[trees[node].parent].parent;
    return node;
  };
  const auto older = [&](Node a, Node b) {
    return Path::ascends ? std::make_pair(trees[b].level, b) < std::make_pair(trees[a].level, a)
                         : std::make_pair(trees[a].level, a) < std::make_pair(trees[b].level, b);
  };

  const Array<OrderKey> keys = sorted_saddles(path, basins);
  VoxelPairs pairs;
  pairs.reserve(basins.extrema.size());
  // The sides of several saddles are looked up at once, since most are not in the cache.
  constexpr std::size_t block = 32;
  Node sides[block][2];
  for (std::size_t begin = 0; begin < keys.size(); begin += block) {
    if (begin % 4096 == 0) stop.check();
    const std::size_t count = std::min(block, keys.size() - begin);
    const auto saddle_at = [&](std::size_t i) -> Saddle& {
      return basins.saddles[static_cast<std::uint32_t>(keys[begin + i])];
    };
    for (std::size_t i = 0; i < count; ++i)
      for (int side : {0, 1}) sides[i][side] = saddle_at(i).sides[side];
    for (std::size_t i = 0; i < count; ++i) {
      Node elder = root_of(sides[i][0]), younger = root_of(sides[i][1]);
      if (elder == younger) continue;
      if (older(younger, elder)) std::swap(elder, younger);
      trees[younger].parent = elder;
      Saddle& saddle = saddle_at(i);
      saddle.pair();
      const Voxel extremum = basins.extrema[younger - 1];
      if (Path::ascends)
        pairs.emplace_back(saddle.voxel(), extremum);
      else
        pairs.emplace_back(extremum, saddle.voxel());
      on_merge(elder, younger, saddle.voxel());
    }
  }
  return pairs;
}
template <class Path>
VoxelPairs pair_extrema(const Path& path, Basins& basins, const StopFlag& stop) {
  return pair_extrema(path, basins, stop, [](Node, Node, Voxel) {});
}

}  // namespace topo
