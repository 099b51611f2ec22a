// Levels of doubles, which have more values than a level has: integers in the same order, equal where values are equal.
#pragma once

#include <limits>

#include "grid.hpp"

namespace topo {

// Writes the levels of the doubles rounded to floats. Returns whether all doubles are floats, as where a network
// computed in float32.
inline bool round_to_floats(const double* values, Levels& levels) {
  constexpr double most = std::numeric_limits<float>::max();
  bool exact = true;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const auto rounded = static_cast<float>(std::min(std::max(values[i], -most), most));
    exact &= static_cast<double>(rounded) == values[i];
    levels[i] = level_of(rounded);
  }
  return exact;
}

// The voxels of all levels that more than one voxel has, as order keys, and few others: those that share a slot of a
// hash table.
inline Array<OrderKey> keys_of_shared_levels(const Levels& levels) {
  const int slot_bits = std::min(highest_bit(std::uint64_t{levels.size()}) + 3, 32);
  const auto slot = [=](Level level) { return (static_cast<std::uint32_t>(level) * 0x9e3779b1u) >> (32 - slot_bits); };
  Array<std::uint64_t> found((std::size_t{1} << slot_bits) / 64 + 1), found_twice(found.size());
  for (Level level : levels) {
    const std::uint64_t bit = std::uint64_t{1} << (slot(level) % 64);
    std::uint64_t& word = found[slot(level) / 64];
    found_twice[slot(level) / 64] |= word & bit;
    word |= bit;
  }
  Array<OrderKey> keys;
  for (std::size_t i = 0; i < levels.size(); ++i)
    if (has_bit(found_twice[slot(levels[i]) / 64], static_cast<int>(slot(levels[i]) % 64)))
      keys.push_back(order_key(levels[i], static_cast<Voxel>(i)));
  return keys;
}

// Calls visit(voxel, is_new_level, is_new_value) for the voxels of the keys, sorted by value.
template <class Visit>
void visit_by_value(const double* values, Array<OrderKey>&& keys, Visit visit) {
  const auto value = [=](OrderKey key) { return values[static_cast<Voxel>(key)]; };
  radix_sort(keys, 32);
  for (auto next = keys.begin(); next != keys.end();) {
    const auto begin = next;
    while (next != keys.end() && *next >> 32 == *begin >> 32) ++next;
    if (std::any_of(begin, next, [&](OrderKey key) { return value(key) != value(*begin); }))
      std::sort(begin, next, [&](OrderKey a, OrderKey b) { return value(a) < value(b); });
    visit(static_cast<Voxel>(*begin), true, true);
    for (auto key = begin + 1; key != next; ++key)
      visit(static_cast<Voxel>(*key), false, value(*(key - 1)) < value(*key));
  }
}

// Levels of floats leave some of the 32 bits free. Spreads the levels over all `bits`, which makes room for different
// doubles that share a level, and separates these. Returns whether the room is enough; else levels are unchanged.
inline bool separate_by_value(const double* values, Levels& levels, int bits) {
  Level least = never_enters, greatest = enters_first;
  for (Level level : levels) {
    least = std::min(least, level);
    greatest = std::max(greatest, level);
  }
  int room_bits = 0;
  while ((std::int64_t{greatest} - least + 1) << (room_bits + 1) < (std::int64_t{1} << bits) - 4) ++room_bits;
  Array<std::pair<Voxel, Level>> separated;
  Level step = 0, largest_step = 0;
  visit_by_value(values, keys_of_shared_levels(levels), [&](Voxel v, bool is_new_level, bool is_new_value) {
    step = is_new_level ? 0 : step + is_new_value;
    largest_step = std::max(largest_step, step);
    if (step > 0) separated.emplace_back(v, step);
  });
  if (largest_step >> room_bits != 0) return false;
  // Neither the new levels nor their negatives are levels of the frame.
  const std::int64_t first = 2 - (std::int64_t{1} << (bits - 1));
  for (Level& level : levels) level = static_cast<Level>(((std::int64_t{level} - least) << room_bits) + first);
  for (const auto& [v, steps] : separated) levels[v] += steps;
  return true;
}

inline void rank_by_value(const double* values, Levels& levels) {
  Array<OrderKey> keys(levels.size());
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = order_key(levels[i], static_cast<Voxel>(i));
  Level rank = 0;
  visit_by_value(values, std::move(keys), [&](Voxel v, bool, bool is_new_value) { levels[v] = rank += is_new_value; });
}

// The levels themselves if all doubles are floats; no more than 2^29 doubles. Levels of doubles from 0 to 1 take `bits`,
// at least 31. Sorting all doubles takes up to twice as long as the rest of a smooth 2D image, hence the attempt to sort
// few: see docs/benchmarks.md.
inline Levels ranks_of(const double* values, std::size_t count, int bits = 32) {
  Levels levels(count);
  if (!round_to_floats(values, levels) && !separate_by_value(values, levels, bits)) rank_by_value(values, levels);
  return levels;
}

}  // namespace topo
