// Reduced columns of the reduction in joint_saddle_pairs.hpp.
#pragma once

#include <algorithm>
#include <memory>

#include "working_column.hpp"

namespace topo {

// Reduced columns that one thread writes and others read: each the index of its square, the number of its edges but for the
// pivot, the pivot and these. They lie in blocks that never move.
class JointColumns {
 public:
  using Entry = Edge;
  static constexpr std::size_t header = 3;

  static Entry owner(const Entry* column) { return column[0]; }
  static Edge pivot(const Entry* column) { return column[2]; }
  static const Edge* begin(const Entry* column) { return column + header; }
  static const Edge* end(const Entry* column) { return begin(column) + column[1]; }

  const Entry* add(Entry owner, Edge pivot, const Array<Edge>& edges) {
    if (left_ < edges.size() + header) {
      const std::size_t size = std::max(edges.size() + header, block_);
      blocks_.push_back(std::unique_ptr<Entry[]>(new Entry[size]));
      next_ = blocks_.back().get();
      left_ = size;
      block_ = std::min(2 * block_, largest_block);
    }
    Entry* const column = next_;
    column[0] = owner;
    column[1] = static_cast<Entry>(edges.size());
    column[2] = pivot;
    next_ = std::copy(edges.begin(), edges.end(), column + header);
    left_ -= edges.size() + header;
    return column;
  }

 private:
  static constexpr std::size_t largest_block = std::size_t{1} << 16;

  Array<std::unique_ptr<Entry[]>> blocks_;
  std::size_t block_ = 1024, left_ = 0;  // size of the next block, entries left in the current one
  Entry* next_ = nullptr;
};

}  // namespace topo
