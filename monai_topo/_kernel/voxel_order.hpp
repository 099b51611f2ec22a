// The order in which the voxels of an image enter: the voxel of every rank, and the rank of every voxel.
#pragma once

#include <algorithm>
#include <numeric>

#include "array.hpp"
#include "grid.hpp"
#include "parallel.hpp"

namespace topo {

// Position of a voxel in an order, from 1 on. An image has at most 2^29 voxels with its frame, so three bits are left.
using Rank = std::int32_t;
inline constexpr Rank greatest_rank = (Rank{1} << 29) - 1;  // of a frame that never enters

// Voxels on a plateau that enter one after another, by index, need no list: in their range of ranks, each has the rank that
// its index gives it. Such a range has one rank for every voxel of the grid, so some ranks belong to no voxel.
class VoxelOrder {
 public:
  VoxelOrder() = default;

  // `listed`: all voxels in order, but of a plateau only `stand_in`, or no_voxel without a plateau.
  template <int D>
  VoxelOrder(RawArray<Voxel>&& listed, Voxel stand_in, const Grid<D>& grid, Rank frame_rank, std::size_t threads)
      : listed_(std::move(listed)), rank_(grid.size()), begin_(listed_.size()) {
    if (stand_in != no_voxel) {
      begin_ = static_cast<std::size_t>(std::find(listed_.begin(), listed_.end(), stand_in) - listed_.begin());
      length_ = grid.size();
    }
    const Voxel length = grid.extent[D - 1] + 2;
    for_each_slab(grid.size() / length, threads, 0.3 * length, [&](std::size_t first, std::size_t end) {
      std::fill(rank_.begin() + first * length, rank_.begin() + end * length, frame_rank);
      if (length_ == 0) return;
      for (std::size_t row = first; row < end; ++row) {
        const auto v = static_cast<Voxel>(row * length);
        if (!grid.in_frame(v + 1)) std::iota(&rank_[v + 1], &rank_[v] + length - 1, static_cast<Rank>(begin_ + v + 2));
      }
    });
    for_each_slab(listed_.size(), threads, 2.0, [&](std::size_t first, std::size_t end) {
      for (std::size_t i = first; i < end; ++i)
        if (i != begin_) rank_[listed_[i]] = static_cast<Rank>(i < begin_ ? i + 1 : i + length_);
    });
  }

  const RawArray<Voxel>& listed() const { return listed_; }
  const RawArray<Rank>& ranks() const { return rank_; }

  Voxel voxel(Rank rank) const {
    const std::size_t i = static_cast<std::size_t>(rank) - 1;
    if (i < begin_) return listed_[i];
    return i < begin_ + length_ ? static_cast<Voxel>(i - begin_) : listed_[i - length_ + 1];
  }

 private:
  RawArray<Voxel> listed_;
  RawArray<Rank> rank_;
  std::size_t begin_ = 0, length_ = 0;  // of the range of the plateau; of the list, without a plateau
};

}  // namespace topo
