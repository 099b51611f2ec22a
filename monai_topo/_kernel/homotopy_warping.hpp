// Voxels of a binary image that can change without a change of topology, and masks warped into one another by them.
//
// A voxel is simple if its flip changes no component, loop or cavity. It shows in the 3 x 3 (x 3) voxels around it: the
// foreground there must be one component, and so must the part of the background that touches the voxel's faces
// (Malandain, Bertrand, "Fast characterization of 3D simple points", 1992); full and face connectivity may be exchanged.
// A neighborhood is one word of bits, and a component is found by spreading a bit: no table of 2^26 entries.
#pragma once

#include <queue>

#include "grid.hpp"
#include "parallel.hpp"

namespace topo {

// Sets of voxels around a voxel as bits; bit p is the p-th of the 3^D voxels in C order.
template <int D>
class Neighborhood {
 public:
  using Set = std::uint32_t;
  static constexpr int size = D == 3 ? 27 : 9;
  static constexpr int center = size / 2;

  Neighborhood() {
    for (int p = 0; p < size; ++p)
      for (int q = 0; q < size; ++q) {
        if (p == q || p == center || q == center) continue;
        const auto [largest, total] = distance(p, q);
        if (largest == 1) full_[p] |= Set{1} << q;
        if (total == 1) face_[p] |= Set{1} << q;
      }
    for (int p = 0; p < size; ++p) {
      const int total = distance(p, center).second;
      if (total == 1) faces_ |= Set{1} << p;
      if (total == 1 || total == 2) near_ |= Set{1} << p;
    }
  }

  // A component of full connectivity in a set, taken out of it.
  Set take_full(Set& set) const { return take(set, set & (~set + 1), full_); }

  // A component of face connectivity that touches a face of the center, taken out of a set; 0 if there is none. In 3D
  // corners join nothing: they touch what is 6-connected to the center by edges only.
  Set take_face(Set& set) const {
    set &= near_;
    const Set touching = set & faces_;
    return touching == 0 ? 0 : take(set, touching & (~touching + 1), face_);
  }

  // `set`: the neighbors of the value with full connectivity. The center may have either value.
  bool is_simple(Set set) const {
    Set others = ~set & all_others;
    if (set == 0 || take_face(others) == 0 || (others & faces_) != 0) return false;
    take_full(set);
    return set == 0;
  }

  static constexpr Set all_others = ((Set{1} << size) - 1) & ~(Set{1} << center);

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
      for (; front != 0; front &= front - 1) next |= adjacent[__builtin_ctz(front)];
      front = next & set & ~component;
    }
    set &= ~component;
    return component;
  }

  static std::pair<int, int> distance(int p, int q) {  // chessboard and city block
    int largest = 0, total = 0;
    for (int a = 0; a < D; ++a, p /= 3, q /= 3) {
      const int step = std::abs(p % 3 - q % 3);
      largest = std::max(largest, step);
      total += step;
    }
    return {largest, total};
  }

  Adjacency full_{}, face_{};
  Set faces_ = 0, near_ = 0;
};

// Flips voxels of `from` where it differs from `to`, simple ones only, until none is left. What still differs afterwards
// is where the topologies differ.
template <int D>
class Warp {
 public:
  Warp(const std::array<Voxel, D>& extent, bool full, bool outside) : frame_(extent, outside), full_(full) {
    for (int p = 0; p < Neighborhood<D>::size; ++p) {
      Voxel offset = 0;
      for (int a = D - 1, digits = p; a >= 0; --a, digits /= 3)
        offset += static_cast<Voxel>(digits % 3 - 1) * frame_.stride[a];  // wraps around where it is negative
      offset_[p] = offset;
    }
  }

  // `key`: among voxels at the same distance from where the masks agree, the lower key first, then the lower index.
  // Writes 1 to `critical` where the warped mask still differs; leaves it alone elsewhere.
  void run(const std::uint8_t* from, const std::uint8_t* to, const float* key, std::uint8_t* critical,
           const StopFlag& stop) {
    value_.assign(frame_.size(), static_cast<std::uint8_t>(frame_.level[0]));
    std::vector<std::pair<Voxel, std::size_t>> differing;  // in the frame, in the image
    std::size_t at = 0;
    for (Voxel first : frame_.rows())
      for (Voxel v = first; v < first + frame_.extent[D - 1]; ++v, ++at) {
        value_[v] = from[at];
        if (from[at] != to[at]) differing.push_back({v, at});
      }
    const std::vector<std::uint32_t> layer = distances(differing);
    std::sort(differing.begin(), differing.end(), [&](const auto& a, const auto& b) {
      return std::tie(layer[a.first], key[a.second], a.second) < std::tie(layer[b.first], key[b.second], b.second);
    });
    flip(differing, stop);
    for (const auto& [v, index] : differing)
      if (value_[v] != to[index]) critical[index] = 1;
  }

  // 1 at the simple voxels of a mask, 0 elsewhere.
  void mark_simple(const std::uint8_t* mask, std::uint8_t* simple) {
    value_.assign(frame_.size(), static_cast<std::uint8_t>(frame_.level[0]));
    for (Voxel first : frame_.rows())
      for (Voxel v = first; v < first + frame_.extent[D - 1]; ++v) value_[v] = *mask++;
    for (Voxel first : frame_.rows())
      for (Voxel v = first; v < first + frame_.extent[D - 1]; ++v) *simple++ = is_simple(v);
  }

 private:
  static constexpr std::uint32_t none = UINT32_MAX;

  // Steps through faces from the nearest voxel where the masks agree; the frame counts as such.
  std::vector<std::uint32_t> distances(const std::vector<std::pair<Voxel, std::size_t>>& differing) const {
    std::vector<std::uint32_t> layer(frame_.size(), 0);
    for (const auto& [v, index] : differing) layer[v] = none;
    std::vector<Voxel> front, next;
    const auto spread = [&](Voxel v, std::uint32_t distance) {
      for (int a = 0; a < D; ++a)
        for (const Voxel u : {v - frame_.stride[a], v + frame_.stride[a]})
          if (layer[u] == none) {
            layer[u] = distance;
            next.push_back(u);
          }
    };
    for (const auto& [v, index] : differing)
      for (int a = 0; a < D; ++a)
        if (layer[v] == none && (layer[v - frame_.stride[a]] == 0 || layer[v + frame_.stride[a]] == 0)) {
          layer[v] = 1;
          front.push_back(v);
        }
    for (std::uint32_t distance = 2; !front.empty(); ++distance, front.swap(next)) {
      next.clear();
      for (Voxel v : front) spread(v, distance);
    }
    return layer;
  }

  // Always the first simple voxel in order; a voxel that was none is looked at again when a neighbor has flipped.
  void flip(const std::vector<std::pair<Voxel, std::size_t>>& ordered, const StopFlag& stop) {
    std::vector<std::uint32_t> rank(frame_.size(), none);  // of a voxel that waits
    std::vector<std::uint8_t> queued(ordered.size(), 1);
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> queue;
    for (std::uint32_t r = 0; r < ordered.size(); ++r) {
      rank[ordered[r].first] = r;
      queue.push(r);
    }
    for (std::size_t steps = 0; !queue.empty(); ++steps) {
      if (steps % 65536 == 0) stop.check();
      const std::uint32_t r = queue.top();
      queue.pop();
      queued[r] = 0;
      const Voxel v = ordered[r].first;
      if (!is_simple(v)) continue;
      value_[v] ^= 1;
      rank[v] = none;
      for (Voxel offset : offset_) {
        const std::uint32_t other = rank[v + offset];
        if (other == none || queued[other]) continue;
        queued[other] = 1;
        queue.push(other);
      }
    }
  }

  bool is_simple(Voxel v) const {
    std::uint32_t ones = 0;
    for (int p = 0; p < Neighborhood<D>::size; ++p) ones |= std::uint32_t{value_[v + offset_[p]]} << p;
    if (!full_) ones = ~ones;
    return Neighborhood<D>::instance().is_simple(ones & Neighborhood<D>::all_others);
  }

  const Grid<D> frame_;  // its level is the value outside
  const bool full_;
  std::array<Voxel, Neighborhood<D>::size> offset_;
  std::vector<std::uint8_t> value_;
};

// 1 at the voxels where one of the masks still differs from the other after being warped towards it, both ways.
template <int D>
void homotopy_warping_errors(const std::uint8_t* prediction, const std::uint8_t* label, const float* error,
                         const std::array<Voxel, D>& extent, bool full, bool outside, std::uint8_t* critical,
                         const StopFlag& stop) {
  std::size_t size = 1;
  for (Voxel e : extent) size *= e;
  std::fill(critical, critical + size, std::uint8_t{0});
  std::vector<float> key(error, error + size);
  Warp<D> warp(extent, full, outside);
  warp.run(prediction, label, key.data(), critical, stop);  // least wrong first
  for (float& k : key) k = -k;
  warp.run(label, prediction, key.data(), critical, stop);  // most wrong first
}

}  // namespace topo
