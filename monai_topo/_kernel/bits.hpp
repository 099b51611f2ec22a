// Bit operations of GCC, Clang and MSVC under one name, flags as the bits of a word, and the set bits of a mask as a range.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef _MSC_VER
#include <intrin.h>
#endif

namespace topo {

// Positions of the lowest and of the highest set bit. The mask must not be 0.
#ifdef _MSC_VER
inline int lowest_bit(std::uint64_t mask) {
  unsigned long position;
  _BitScanForward64(&position, mask);
  return static_cast<int>(position);
}
inline int highest_bit(std::uint64_t mask) {
  unsigned long position;
  _BitScanReverse64(&position, mask);
  return static_cast<int>(position);
}
inline int lowest_bit(std::uint32_t mask) { return lowest_bit(std::uint64_t{mask}); }
inline int highest_bit(std::uint32_t mask) { return highest_bit(std::uint64_t{mask}); }
#else
inline int lowest_bit(std::uint32_t mask) { return __builtin_ctz(mask); }
inline int lowest_bit(std::uint64_t mask) { return __builtin_ctzll(mask); }
inline int highest_bit(std::uint32_t mask) { return 31 - __builtin_clz(mask); }
inline int highest_bit(std::uint64_t mask) { return 63 - __builtin_clzll(mask); }
#endif

// Faster than the library function that GCC calls where processors may lack the instruction.
inline int count_bits(std::uint32_t mask) {
  mask -= (mask >> 1) & 0x55555555u;
  mask = (mask & 0x33333333u) + ((mask >> 2) & 0x33333333u);
  return static_cast<int>((((mask + (mask >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24);
}

template <class Word>
constexpr bool has_bit(Word word, int position) {
  return ((word >> position) & 1u) != 0;
}

// Position of the n-th set bit, from 0.
inline int nth_bit(std::uint32_t mask, int n) {
  for (; n > 0; --n) mask &= mask - 1;
  return lowest_bit(mask);
}

// The bits k below 64 for which is(k). Processors compare many values at once, but shift them one by one; so eight flags
// of a byte each (little endian) are moved next to one another by a product.
template <class Is>
std::uint64_t word_of(Is is) {
  std::uint8_t flags[64];
  for (int k = 0; k < 64; ++k) flags[k] = is(k);
  std::uint64_t word = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
  for (int k = 0; k < 64; ++k) word |= std::uint64_t{flags[k]} << k;
#else
  for (int k = 0; k < 64; k += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, flags + k, sizeof eight);
    word |= (eight * 0x0102040810204080u) >> 56 << k;
  }
#endif
  return word;
}

// Positions of the set bits of a mask, from the lowest: `for (int i : bits_of(mask))`.
class bits_of {
 public:
  explicit bits_of(std::uint32_t mask) : mask_(mask) {}

  struct Iterator {
    std::uint32_t rest;
    int operator*() const { return lowest_bit(rest); }
    Iterator& operator++() {
      rest &= rest - 1;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return rest != other.rest; }
  };
  Iterator begin() const { return {mask_}; }
  Iterator end() const { return {0}; }

 private:
  std::uint32_t mask_;
};

}  // namespace topo
