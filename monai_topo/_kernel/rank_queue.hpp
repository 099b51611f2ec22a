// A set of ranks from which the greatest is taken: a tree of bits, 64 at each node.
#pragma once

#include <cstddef>
#include <cstdint>

#include "array.hpp"
#include "bits.hpp"

namespace topo {

class RankQueue {
 public:
  // For ranks below `size`.
  explicit RankQueue(std::size_t size) {
    do {
      size = (size + 63) / 64;
      level_.emplace_back(size, 0);
    } while (size > 1);
  }

  bool empty() const { return level_.back()[0] == 0; }

  void insert(std::size_t rank) {
    for (auto& words : level_) {
      std::uint64_t& word = words[rank / 64];
      const bool is_known = word != 0;
      word |= std::uint64_t{1} << (rank % 64);
      if (is_known) return;
      rank /= 64;
    }
  }

  std::size_t greatest() const {
    std::size_t rank = 0;
    for (std::size_t level = level_.size(); level-- > 0;)
      rank = 64 * rank + static_cast<std::size_t>(highest_bit(level_[level][rank]));
    return rank;
  }

  void erase(std::size_t rank) {
    for (auto& words : level_) {
      std::uint64_t& word = words[rank / 64];
      word &= ~(std::uint64_t{1} << (rank % 64));
      if (word != 0) return;
      rank /= 64;
    }
  }

 private:
  Array<Array<std::uint64_t>> level_;
};

}  // namespace topo
