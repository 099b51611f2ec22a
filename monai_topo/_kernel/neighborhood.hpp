// Simple points: voxels of a binary image whose flip changes no component, loop or cavity.
//
// Whether a voxel is simple depends on the 3 x 3 (x 3) voxels around it: the foreground there must be one component,
// and so must the part of the background that touches a face of the voxel (Malandain, Bertrand, "Fast characterization
// of 3D simple points", 1992); full and face connectivity may be exchanged. A neighborhood is one word of bits, and a
// component is found by spreading a bit: no table of 2^26 entries.
#pragma once

#include <cstdlib>

#include "bits.hpp"
#include "grid.hpp"

namespace topo {

// Sets of voxels around a voxel; bit p is the p-th voxel of the box in C order.
template <int D>
class Neighborhood {
 public:
  using Set = std::uint32_t;
  static constexpr int size = box_size<D>, center = box_center<D>;
  static constexpr Set all_neighbors = ((Set{1} << size) - 1) & ~(Set{1} << center);

  Neighborhood() {
    for (int p = 0; p < size; ++p)
      for (int q = 0; q < size; ++q) {
        if (p == q || p == center || q == center) continue;
        const auto [chessboard, city_block] = distances(p, q);
        if (chessboard == 1) full_[p] |= Set{1} << q;
        if (city_block == 1) face_[p] |= Set{1} << q;
      }
    for (int p = 0; p < size; ++p) {
      const int city_block = distances(p, center).second;
      if (city_block == 1) face_neighbors_ |= Set{1} << p;
      if (city_block == 1 || city_block == 2) near_ |= Set{1} << p;
    }
  }

  // Takes a component of full connectivity out of a set that is not empty.
  Set take_full(Set& set) const { return take(set, set & (~set + 1), full_); }

  // Takes a component of face connectivity that touches a face of the center out of a set; 0 if there is none. Corners
  // of the box in 3D are dropped: a component is connected around the center without them.
  Set take_face(Set& set) const {
    set &= near_;
    const Set touching = set & face_neighbors_;
    return touching == 0 ? 0 : take(set, touching & (~touching + 1), face_);
  }

  // `set`: the neighbors of the value with full connectivity. The center may have either value.
  bool is_simple(Set set) const {
    Set complement = ~set & all_neighbors;
    if (set == 0 || take_face(complement) == 0 || (complement & face_neighbors_) != 0) return false;
    take_full(set);
    return set == 0;
  }

  static const Neighborhood& instance() {
    static const Neighborhood tables;
    return tables;
  }

 private:
  using Adjacency = std::array<Set, size>;

  static Set take(Set& set, Set seed, const Adjacency& adjacent) {
    Set component = 0;
    for (Set front = seed; front != 0;) {
      component |= front;
      Set next = 0;
      for (int p : bits_of(front)) next |= adjacent[p];
      front = next & set & ~component;
    }
    set &= ~component;
    return component;
  }

  static std::pair<int, int> distances(int p, int q) {  // chessboard and city block
    int chessboard = 0, city_block = 0;
    for (int a = 0; a < D; ++a, p /= 3, q /= 3) {
      const int step = std::abs(p % 3 - q % 3);
      chessboard = std::max(chessboard, step);
      city_block += step;
    }
    return {chessboard, city_block};
  }

  Adjacency full_{}, face_{};
  Set face_neighbors_ = 0, near_ = 0;
};

}  // namespace topo
