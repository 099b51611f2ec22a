// Reduced columns of the reduction in saddle_saddle_pairs.hpp, which several threads write and read at the same time.
#pragma once

#include <memory>
#include <mutex>
#include <new>

#include "parallel.hpp"
#include "working_column.hpp"

namespace topo {

// Where a column lies in the store; 0 for none.
using Address = std::uint32_t;

// A reduced column without its pivot. It does not change any more once other threads can see it.
//
//   word  0       1        2       3                4 ...
//        +-------+----------------+----------------+---------+
//        | next  | owner's key    | size and pivot | edges   |   next: another column with a pivot at the same voxel,
//        +-------+----------------+----------------+---------+   or one that this column has replaced
class ReducedColumn {
 public:
  static constexpr std::size_t header = 4;

  explicit ReducedColumn(const std::uint32_t* words = nullptr) : words_(words) {}

  explicit operator bool() const { return words_ != nullptr; }
  Address next() const { return words_[0]; }
  OrderKey owner() const { return (OrderKey{words_[1]} << 32) | words_[2]; }
  int pivot() const { return direction_of(words_[3]); }
  const Edge* begin() const { return words_ + header; }
  const Edge* end() const { return begin() + (words_[3] >> direction_bits); }

 private:
  const std::uint32_t* words_;
};

// Blocks of words that never move.
class ColumnStore {
 public:
  static constexpr int block_bits = 14;
  static constexpr std::size_t block_size = std::size_t{1} << block_bits;

  // Only the part of the table that is used is ever touched, so it is not filled with anything.
  ColumnStore() : block_(new std::uint32_t*[most_blocks]) {}

  std::uint32_t* words(Address address) const { return block_[address >> block_bits] + (address & (block_size - 1)); }

  // Of the columns from this one on, the first with the pivot; none if there is none.
  ReducedColumn find(Address address, int pivot) const {
    while (address != 0) {
      const ReducedColumn column(words(address));
      if (column.pivot() == pivot) return column;
      address = column.next();
    }
    return ReducedColumn();
  }

  // The first word of consecutive blocks for this many words.
  Address add_blocks(std::size_t words) {
    const std::size_t count = (words + block_size - 1) >> block_bits;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (num_blocks_ + count > most_blocks) throw std::bad_alloc();
    memory_.emplace_back(new std::uint32_t[count << block_bits]);
    const auto address = static_cast<Address>(num_blocks_ << block_bits);
    for (std::size_t i = 0; i < count; ++i) block_[num_blocks_++] = memory_.back().get() + (i << block_bits);
    return address;
  }

 private:
  static constexpr std::size_t most_blocks = std::size_t{1} << (32 - block_bits);

  std::mutex mutex_;
  Array<std::unique_ptr<std::uint32_t[]>> memory_;
  const std::unique_ptr<std::uint32_t*[]> block_;
  std::size_t num_blocks_ = 1;  // no column has address 0
};

// The end of the store at which one thread writes.
class ColumnWriter {
 public:
  explicit ColumnWriter(ColumnStore& store) : store_(store) {}

  Address write(OrderKey owner, int pivot, const Array<Edge>& edges) {
    const Address address = allocate(ReducedColumn::header + edges.size());
    std::uint32_t* const words = store_.words(address);
    words[1] = static_cast<std::uint32_t>(owner >> 32);
    words[2] = static_cast<std::uint32_t>(owner);
    words[3] = edge_at(static_cast<std::uint32_t>(edges.size()), pivot);
    std::copy(edges.begin(), edges.end(), words + ReducedColumn::header);
    return address;
  }

  // Before other threads can see the column.
  void set_next(Address column, Address next) { store_.words(column)[0] = next; }

 private:
  Address allocate(std::size_t words) {
    if (words > ColumnStore::block_size) return store_.add_blocks(words);
    if (words > left_) {
      next_ = store_.add_blocks(1);
      left_ = ColumnStore::block_size;
    }
    next_ += static_cast<Address>(words);
    left_ -= words;
    return next_ - static_cast<Address>(words);
  }

  ColumnStore& store_;
  Address next_ = 0;
  std::size_t left_ = 0;
};

}  // namespace topo
