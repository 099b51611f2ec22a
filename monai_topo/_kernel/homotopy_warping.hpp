// Masks warped into one another by flips of simple points, which change no topology.
#pragma once

#include <functional>
#include <queue>
#include <tuple>

#include "neighborhood.hpp"
#include "parallel.hpp"

namespace topo {

// A mask in its frame, which can ask for simple points and flip voxels.
template <int D>
class FramedMask {
 public:
  // `framed`: everything outside the image is foreground.
  FramedMask(const Extent<D>& extent, bool full, bool framed)
      : grid_(extent, enters_first), full_(full), framed_(framed), offsets_(grid_.box_offsets()) {}

  const Grid<D>& grid() const { return grid_; }
  const std::array<Voxel, box_size<D>>& offsets() const { return offsets_; }

  void load(const std::uint8_t* mask) {
    value_.assign(grid_.size(), framed_);
    grid_.for_each_voxel([&](Voxel v) { value_[v] = *mask++; });
  }

  bool is_simple(Voxel v) const {
    typename Neighborhood<D>::Set foreground = 0;
    for (int p = 0; p < box_size<D>; ++p) foreground |= std::uint32_t{value_[v + offsets_[p]]} << p;
    if (!full_) foreground = ~foreground;
    return Neighborhood<D>::instance().is_simple(foreground & Neighborhood<D>::all_neighbors);
  }

  std::uint8_t operator[](Voxel v) const { return value_[v]; }
  void flip(Voxel v) { value_[v] ^= 1; }

 private:
  const Grid<D> grid_;
  const bool full_, framed_;
  const std::array<Voxel, box_size<D>> offsets_;
  Array<std::uint8_t> value_;
};

// Writes 1 at the simple points of a mask, 0 elsewhere.
template <int D>
void simple_points(const std::uint8_t* mask, const Extent<D>& extent, bool full, bool framed, std::uint8_t* simple) {
  FramedMask<D> framed_mask(extent, full, framed);
  framed_mask.load(mask);
  framed_mask.grid().for_each_voxel([&](Voxel v) { *simple++ = framed_mask.is_simple(v); });
}

// Flips voxels of `from` where it differs from `to`, simple ones only, until none is left. What still differs
// afterwards is where the topologies differ.
template <int D>
class HomotopyWarping {
 public:
  HomotopyWarping(const Extent<D>& extent, bool full, bool framed) : mask_(extent, full, framed) {}

  // Order of the flips: by the distance to where the masks agree, then lower `priority` first, then lower index. Writes
  // 1 to `critical` where the warped mask still differs; leaves it unchanged elsewhere.
  void run(const std::uint8_t* from, const std::uint8_t* to, const float* priority, std::uint8_t* critical,
           const StopFlag& stop) {
    mask_.load(from);
    Array<Differing> differing;
    std::size_t i = 0;
    mask_.grid().for_each_voxel([&](Voxel v) {
      if (from[i] != to[i]) differing.push_back({v, i});
      ++i;
    });
    const Array<std::uint32_t> layer = distances(differing);
    std::sort(differing.begin(), differing.end(), [&](const Differing& a, const Differing& b) {
      return std::tie(layer[a.voxel], priority[a.index], a.index) <
             std::tie(layer[b.voxel], priority[b.index], b.index);
    });
    flip_simple(differing, stop);
    for (const auto& [v, index] : differing)
      if (mask_[v] != to[index]) critical[index] = 1;
  }

 private:
  struct Differing {
    Voxel voxel;        // in the frame
    std::size_t index;  // in the image
  };
  static constexpr std::uint32_t unknown = UINT32_MAX;  // distance
  static constexpr std::uint32_t not_waiting = UINT32_MAX;

  // Steps through faces from the nearest voxel where the masks agree; the frame counts as such.
  Array<std::uint32_t> distances(const Array<Differing>& differing) const {
    const Grid<D>& grid = mask_.grid();
    Array<std::uint32_t> layer(grid.size(), 0);
    for (const auto& [v, index] : differing) layer[v] = unknown;
    Array<Voxel> front, next;
    for (const auto& [v, index] : differing)
      for (int direction = 0; direction < 2 * D; ++direction)
        if (layer[v] == unknown && layer[grid.neighbor(v, direction)] == 0) {
          layer[v] = 1;
          front.push_back(v);
        }
    for (std::uint32_t distance = 2; !front.empty(); ++distance, front.swap(next)) {
      next.clear();
      for (Voxel v : front)
        for (int direction = 0; direction < 2 * D; ++direction)
          if (const Voxel u = grid.neighbor(v, direction); layer[u] == unknown) {
            layer[u] = distance;
            next.push_back(u);
          }
    }
    return layer;
  }

  // Always flips the first simple voxel in order. A voxel that was not simple is tried again when a neighbor has
  // flipped.
  void flip_simple(const Array<Differing>& ordered, const StopFlag& stop) {
    Array<std::uint32_t> rank(mask_.grid().size(), not_waiting);
    Array<std::uint8_t> is_queued(ordered.size(), 1);
    std::priority_queue<std::uint32_t, Array<std::uint32_t>, std::greater<>> queue;
    for (std::uint32_t r = 0; r < ordered.size(); ++r) {
      rank[ordered[r].voxel] = r;
      queue.push(r);
    }
    for (std::size_t steps = 0; !queue.empty(); ++steps) {
      if (steps % 65536 == 0) stop.check();
      const std::uint32_t r = queue.top();
      queue.pop();
      is_queued[r] = 0;
      const Voxel v = ordered[r].voxel;
      if (!mask_.is_simple(v)) continue;
      mask_.flip(v);
      rank[v] = not_waiting;
      for (Voxel offset : mask_.offsets()) {
        const std::uint32_t neighbor = rank[v + offset];
        if (neighbor == not_waiting || is_queued[neighbor]) continue;
        is_queued[neighbor] = 1;
        queue.push(neighbor);
      }
    }
  }

  FramedMask<D> mask_;
};

// Writes 1 at the voxels where one of the masks still differs from the other after it was warped towards it, both ways.
template <int D>
void homotopy_warping_errors(const std::uint8_t* prediction, const std::uint8_t* label, const float* error,
                             const Extent<D>& extent, bool full, bool framed, std::uint8_t* critical,
                             const StopFlag& stop) {
  const std::size_t size = num_voxels(extent);
  std::fill(critical, critical + size, std::uint8_t{0});
  Array<float> priority(error, error + size);
  HomotopyWarping<D> warping(extent, full, framed);
  warping.run(prediction, label, priority.data(), critical, stop);  // least wrong first
  for (float& p : priority) p = -p;
  warping.run(label, prediction, priority.data(), critical, stop);  // most wrong first
}

}  // namespace topo
