// The working column of the reduction in saddle_saddle_pairs.hpp, and the store of reduced columns.
#pragma once

#include <memory>

#include "star_word.hpp"

namespace topo {

// An edge: its last voxel, then its direction from there.
using Edge = std::uint32_t;
inline constexpr int direction_bits = 3;
constexpr Edge edge_at(Voxel v, int direction) { return (v << direction_bits) | static_cast<Edge>(direction); }
constexpr Voxel voxel_of(Edge edge) { return edge >> direction_bits; }
constexpr int direction_of(Edge edge) { return static_cast<int>(edge & ((1u << direction_bits) - 1)); }

// A chain of edges modulo 2, consumed from its latest voxel down.
//
// Edges are kept in the stars of their last voxels, in the bits of the discarded cubes, where an edge that is added
// twice cancels at once. What is added never enters later than what was taken, so a radix heap of the voxels suffices:
// a voxel lies in the bucket of the highest bit in which its key differs from the key of the latest voxel, and moves on
// only when the bucket's turn comes. Alternatives that were slower: docs/benchmarks.md.
class WorkingColumn {
 public:
  WorkingColumn(const Grid<3>& grid, StarArray<3>& star) : grid_(grid), star_(star) {}

  // Begins an empty column. No edge to come enters later than voxel v.
  void start(Voxel v) { latest_ = grid_.key(v); }

  void add(Voxel v, int direction) {
    const bool is_known = star_[v].has_column();
    star_[v].toggle_column_edge(direction);
    if (!is_known) push(grid_.key(v));
  }

  Voxel latest_voxel() const { return static_cast<Voxel>(latest_); }

  // Takes the edges of the latest voxel that has any, as directions; none if the column is empty.
  CellBits take_latest() {
    for (;;) {
      if (const CellBits edges = star_[latest_voxel()].take_column()) return edges;
      if (filled_ == 0) return 0;
      auto& keys = bucket_[lowest_bit(filled_)];
      filled_ &= filled_ - 1;
      latest_ = *std::max_element(keys.begin(), keys.end());
      for (OrderKey key : keys) push(key);  // to lower buckets
      keys.clear();
    }
  }

  // Appends all edges and leaves the column empty.
  void move_to(std::vector<Edge>& out) {
    const auto move = [&](Voxel v) {
      for (int direction : bits_of(star_[v].take_column())) out.push_back(edge_at(v, direction));
    };
    move(latest_voxel());
    for (; filled_ != 0; filled_ &= filled_ - 1) {
      auto& keys = bucket_[lowest_bit(filled_)];
      for (OrderKey key : keys) move(static_cast<Voxel>(key));
      keys.clear();
    }
  }

 private:
  void push(OrderKey key) {
    const OrderKey difference = key ^ latest_;
    if (difference == 0) return;
    const int b = highest_bit(difference);
    bucket_[b].push_back(key);
    filled_ |= std::uint64_t{1} << b;
  }

  const Grid<3>& grid_;
  StarArray<3>& star_;
  std::array<std::vector<OrderKey>, 64> bucket_;
  std::uint64_t filled_ = 0;  // buckets that are not empty
  OrderKey latest_ = 0;
};

// Reduced columns: lists of edges, each after its length, in blocks that never move.
class ColumnStore {
 public:
  using Entry = Edge;  // or the number of edges that follow

  const Entry* add(const std::vector<Edge>& edges) {
    if (left_ < edges.size() + 1) {
      const std::size_t size = std::max(edges.size() + 1, block_);
      blocks_.emplace_back(new Entry[size]);
      next_ = blocks_.back().get();
      left_ = size;
      block_ = std::min(2 * block_, largest_block);
    }
    Entry* const column = next_;
    *next_++ = static_cast<Entry>(edges.size());
    for (Edge edge : edges) *next_++ = edge;
    left_ -= edges.size() + 1;
    return column;
  }

 private:
  static constexpr std::size_t largest_block = std::size_t{1} << 16;

  std::vector<std::unique_ptr<Entry[]>> blocks_;
  std::size_t block_ = 1024, left_ = 0;  // size of the next block, entries left in the current one
  Entry* next_ = nullptr;
};

}  // namespace topo
