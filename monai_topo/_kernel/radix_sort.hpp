// Radix sort of 64-bit keys, least significant digits first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>

#include "array.hpp"
#include "bits.hpp"

namespace topo {

// Sorts keys by their bits from `low` on; those that agree in them keep their order. Only the digits in which keys differ
// are sorted. `memory` may become as large as the keys.
inline void radix_sort(Array<std::uint64_t>& keys, int low, Array<std::uint64_t>& memory) {
  if (keys.size() < 256) {
    std::stable_sort(keys.begin(), keys.end(), [=](std::uint64_t a, std::uint64_t b) { return a >> low < b >> low; });
    return;
  }
  std::uint64_t varying = 0;
  for (std::uint64_t key : keys) varying |= key ^ keys.front();
  varying = varying >> low << low;
  if (varying == 0) return;
  // The widest digits whose counters stay in the cache that many keys leave to them.
  const int widest = keys.size() < 4096 ? 8 : keys.size() < 65536 ? 11 : 14;
  const int first = lowest_bit(varying), width = highest_bit(varying) + 1 - first;
  const int passes = (width + widest - 1) / widest, digit_bits = (width + passes - 1) / passes;
  const std::uint64_t mask = (std::uint64_t{1} << digit_bits) - 1;
  Array<std::size_t> start(mask + 2);
  memory.resize(keys.size());
  for (int shift = first; shift < first + width; shift += digit_bits) {
    const auto digit = [=](std::uint64_t key) { return (key >> shift) & mask; };
    if (digit(varying) == 0) continue;
    start.assign(mask + 2, 0);
    for (std::uint64_t key : keys) ++start[digit(key) + 1];
    std::partial_sum(start.begin(), start.end(), start.begin());
    for (std::uint64_t key : keys) memory[start[digit(key)]++] = key;
    keys.swap(memory);
  }
}

inline void radix_sort(Array<std::uint64_t>& keys, int low = 0) {
  Array<std::uint64_t> memory;
  radix_sort(keys, low, memory);
}

}  // namespace topo
