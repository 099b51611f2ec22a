// The working column of the reductions in saddle_saddle_pairs.hpp and joint_saddle_pairs.hpp: a chain of edges modulo 2.
#pragma once

#include "star_word.hpp"

namespace topo {

// An edge: its last voxel, then its direction from there.
using Edge = std::uint32_t;
inline constexpr int direction_bits = 3;
constexpr Edge edge_at(Voxel v, int direction) { return (v << direction_bits) | static_cast<Edge>(direction); }
constexpr Voxel voxel_of(Edge edge) { return edge >> direction_bits; }
constexpr int direction_of(Edge edge) { return static_cast<int>(edge & ((1u << direction_bits) - 1)); }

// Consumed from the latest voxel down.
//
// Edges are bits in an array of all voxels, where an edge that is added twice cancels at once. What is added never
// enters later than what was taken, so a radix heap of the voxels suffices: a voxel lies in the bucket of the highest
// bit in which its key differs from the key of the latest voxel, and moves on only when the bucket's turn comes.
// Alternatives that were slower: docs/benchmarks.md.
class WorkingColumn {
 public:
  enum class Edges : std::uint8_t {};
  using EdgesOfVoxels = Array<Edges>;

  // Voxels come by level, or rank, and index. `edges`: all 0, and again after every column that is consumed or moved.
  WorkingColumn(const std::int32_t* level, Voxel num_voxels, EdgesOfVoxels& edges)
      : level_(level), edges_((edges.resize(num_voxels), edges.data())) {}

  // Begins an empty column. No edge to come enters later than voxel v.
  void start(Voxel v) { latest_ = key(v); }

  void add(Voxel v, int direction) {
    const auto known = static_cast<CellBits>(edges_[v]);
    edges_[v] = static_cast<Edges>(known ^ (CellBits{1} << direction));
    if (known == 0) push(key(v));
  }

  void add(const Edge* begin, const Edge* end) {
    for (const Edge* edge = begin; edge != end; ++edge) add(voxel_of(*edge), direction_of(*edge));
  }

  Voxel latest_voxel() const { return static_cast<Voxel>(latest_); }

  // Takes the edges of the latest voxel that has any, as directions; none if the column is empty.
  CellBits take_latest() {
    for (;;) {
      if (const CellBits edges = take(latest_voxel())) return edges;
      if (filled_ == 0) return 0;
      auto& keys = bucket_[lowest_bit(filled_)];
      filled_ &= filled_ - 1;
      latest_ = *std::max_element(keys.begin(), keys.end());
      for (OrderKey key : keys) push(key);  // to lower buckets
      keys.clear();
    }
  }

  // Takes the edges of one voxel.
  CellBits take(Voxel v) {
    const auto edges = static_cast<CellBits>(edges_[v]);
    edges_[v] = Edges{};
    return edges;
  }

  // Appends all edges and leaves the column empty.
  void move_to(Array<Edge>& out) {
    const auto move = [&](Voxel v) {
      for (int direction : bits_of(take(v))) out.push_back(edge_at(v, direction));
    };
    move(latest_voxel());
    for (; filled_ != 0; filled_ &= filled_ - 1) {
      auto& keys = bucket_[lowest_bit(filled_)];
      for (OrderKey key : keys) move(static_cast<Voxel>(key));
      keys.clear();
    }
  }

 private:
  OrderKey key(Voxel v) const { return order_key(level_[v], v); }

  void push(OrderKey key) {
    const OrderKey difference = key ^ latest_;
    if (difference == 0) return;
    const int b = highest_bit(difference);
    bucket_[b].push_back(key);
    filled_ |= std::uint64_t{1} << b;
  }

  const std::int32_t* const level_;
  Edges* const edges_;
  std::array<Array<OrderKey>, 64> bucket_;
  std::uint64_t filled_ = 0;  // buckets that are not empty
  OrderKey latest_ = 0;
};

}  // namespace topo
