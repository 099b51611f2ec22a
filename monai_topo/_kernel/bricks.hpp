// An order of cells in which what is near in space is near in time, so that it is still in the cache.
#pragma once

#include <numeric>

#include "grid.hpp"

namespace topo {

// Bricks of 16^3 voxels along a Z-curve: the 2^3 of a group one after another, then the next of 2^3 such groups, ...
class Bricks {
 public:
  explicit Bricks(const Grid<3>& grid) : grid_(grid) {
    std::uint32_t count = 1;
    for (int a = 0; a < 3; ++a) count *= along_[a] = ((grid.extent[a] - 1) >> side_bits) + 1;
    Array<std::uint64_t> keys(count);
    for (std::uint32_t brick = 0; brick < count; ++brick) keys[brick] = z_order(brick) << 32 | brick;
    radix_sort(keys, 32);
    place_.resize(count);
    for (std::uint32_t place = 0; place < count; ++place) place_[static_cast<std::uint32_t>(keys[place])] = place;
  }

  std::size_t count() const { return place_.size(); }

  // The place along the curve of the brick that holds a voxel.
  std::uint32_t place_of(Voxel v) const {
    const Voxel in_plane = v % grid_.stride[0];
    const Voxel z = v / grid_.stride[0] - 1, y = in_plane / grid_.stride[1] - 1, x = in_plane % grid_.stride[1] - 1;
    return place_[((z >> side_bits) * along_[1] + (y >> side_bits)) * along_[2] + (x >> side_bits)];
  }

  // Items brick by brick, those of a brick as they come. Those of the brick at place p begin at first[p].
  template <class Item, class VoxelOf>
  Array<Item> sort(const Array<Item>& items, VoxelOf voxel_of, Array<std::size_t>& first) const {
    first.assign(count() + 1, 0);
    for (const Item& item : items) ++first[place_of(voxel_of(item)) + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    Array<Item> sorted(items.size());
    Array<std::size_t> next = first;
    for (const Item& item : items) sorted[next[place_of(voxel_of(item))]++] = item;
    return sorted;
  }

 private:
  static constexpr int side_bits = 4;

  // The bits of the three coordinates in turn, from the highest.
  std::uint64_t z_order(std::uint32_t brick) const {
    const std::uint32_t at[] = {brick / along_[2] / along_[1], brick / along_[2] % along_[1], brick % along_[2]};
    std::uint64_t order = 0;
    for (int bit = 31; bit >= 0; --bit)
      for (int a = 0; a < 3; ++a)
        if ((along_[a] - 1) >> bit != 0) order = order << 1 | ((at[a] >> bit) & 1u);
    return order;
  }

  const Grid<3>& grid_;
  std::array<std::uint32_t, 3> along_;  // bricks
  Array<std::uint32_t> place_;          // of every brick, in C order
};

}  // namespace topo
