// Radix sort of 64-bit keys, least significant digits first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "array.hpp"
#include "bits.hpp"
#include "parallel.hpp"

namespace topo {

// Sorts keys by their bits from `low` on; those that agree in them keep their order. Only the digits in which keys differ
// are sorted. `memory` may become as large as the keys. Keys: an array of std::uint64_t.
template <class Keys>
void radix_sort(Keys& keys, int low, Keys& memory, std::size_t threads = 1) {
  if (keys.size() < 48) {  // by insertion
    for (std::size_t i = 1; i < keys.size(); ++i) {
      const std::uint64_t key = keys[i];
      std::size_t to = i;
      for (; to > 0 && key >> low < keys[to - 1] >> low; --to) keys[to] = keys[to - 1];
      keys[to] = key;
    }
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
  const std::size_t slabs = useful_threads(threads, 3.0 * keys.size());
  Array<Array<std::size_t>> next(slabs, Array<std::size_t>(mask + 1));  // place of the next key of a slab, by digit
  memory.resize(keys.size());
  for (int shift = first; shift < first + width; shift += digit_bits) {
    const auto digit = [=](std::uint64_t key) { return (key >> shift) & mask; };
    if (digit(varying) == 0) continue;
    const auto for_each_key = [&](auto visit) {
      parallel_for(slabs, slabs, [&](std::size_t slab) {
        std::size_t* const of_slab = next[slab].data();
        const std::uint64_t* const end = keys.data() + (slab + 1) * keys.size() / slabs;
        for (const std::uint64_t* key = keys.data() + slab * keys.size() / slabs; key != end; ++key)
          visit(*key, of_slab[digit(*key)]);
      });
    };
    for (auto& of_slab : next) of_slab.assign(mask + 1, 0);
    for_each_key([](std::uint64_t, std::size_t& count) { ++count; });
    std::size_t place = 0;
    for (std::size_t d = 0; d <= mask; ++d)
      for (auto& of_slab : next) place += std::exchange(of_slab[d], place);
    for_each_key([&](std::uint64_t key, std::size_t& to) { memory[to++] = key; });
    keys.swap(memory);
  }
}

template <class Keys>
void radix_sort(Keys& keys, int low = 0) {
  Keys memory;
  radix_sort(keys, low, memory);
}

}  // namespace topo
