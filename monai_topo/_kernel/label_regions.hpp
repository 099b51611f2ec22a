// The regions of a label's features: its components or holes, and how many predicted features may match each of them.
//
// In dimension 0 the regions are the components of the label and in dimension D - 1 its holes, the components of the
// background that are not connected with the outside; each has room for one feature. In dimension 1 of a volume they are
// the components again, each with room for as many loops as it has itself.
#pragma once

#include <array>
#include <numeric>
#include <optional>

#include "region_euler.hpp"

namespace topo {

// By the number of a region plus one, as ComponentMap numbers them: first the frame, then the voxels in no region.
using Capacity = Array<std::int64_t>;
using Capacities = std::array<Capacity, 3>;  // by dimension
inline constexpr std::int64_t ignored_region = -1;

class LabelRegions {
 public:
  // `full`: connectivity of the foreground. `framed`: everything outside is foreground. Regions of fewer voxels than
  // `min_size` are ignored.
  LabelRegions(const Mask& mask, bool full, bool framed, double min_size)
      : mask_(mask), full_(full), framed_(framed), min_size_(min_size) {}

  int top_dim() const { return mask_.volume ? 2 : 1; }
  const ComponentMap& components() { return made(components_, Bit{1}, full_, framed_); }
  const ComponentMap& holes() { return made(holes_, Bit{0}, !full_, !framed_); }
  std::int64_t num_loops() { return sum(loops()); }  // of a volume
  const ComponentMap& of_dim(int dim) { return dim == top_dim() ? holes() : components(); }

  // Of the dimensions in `dims`, a bit for each.
  Capacities capacities(unsigned dims) {
    Capacities found;
    for (int dim = 0; dim <= top_dim(); ++dim)
      if (has_bit(dims, dim)) found[dim] = capacity(dim);
    return found;
  }

  // The room of every region of one dimension.
  Capacity capacity(int dim) {
    const ComponentMap& regions = of_dim(dim);
    Capacity capacity(static_cast<std::size_t>(regions.count()) + 2, 1);
    capacity[0] = capacity[1] = 0;
    if (dim != 0 && dim != top_dim()) capacity = loops();
    if (min_size_ > 1) ignore_small(regions, capacity);
    return capacity;
  }

 private:
  const ComponentMap& made(std::optional<ComponentMap>& map, Bit value, bool full, bool framed) {
    if (!map) map.emplace(mask_, value, full, framed);
    return *map;
  }

  static std::int64_t sum(const Capacity& numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), std::int64_t{0});
  }

  // The frame and what lies in no region are never that small.
  void ignore_small(const ComponentMap& regions, Capacity& capacity) const {
    Array<std::int64_t> voxels(capacity.size(), 0);
    regions.for_each_run(
        [&](std::int64_t, const Run& run, std::int32_t number) { voxels[number + 1] += run.end - run.begin; });
    for (std::size_t r = 2; r < capacity.size(); ++r)
      if (static_cast<double>(voxels[r]) < min_size_) capacity[r] = ignored_region;
  }

  // Loops of every component: b1 = b0 - chi + b2. Those that are left of the loops of the label go through the frame. The
  // label has as many loops as its background, of which every component is a hole then.
  Capacity loops() {
    const Capacity euler = euler_characteristics(components(), mask_, full_), inside = cavities();
    Capacity loops(euler.size(), 0);
    for (std::size_t r = 2; r < loops.size(); ++r) loops[r] = 1 - euler[r] + inside[r];
    if (framed_) {
      const Capacity background = euler_characteristics(holes(), mask_, !full_);
      loops[0] = holes().count() - sum(background) + components().count() - sum(loops);
    }
    return loops;
  }

  // Cavities of every component. The voxel just before the first voxel of a cavity, in C order and along the first axis,
  // lies in the component around it: from there a ray leads outwards that does not meet the cavity again, and the outer
  // boundary of a cavity is connected.
  Capacity cavities() {
    Capacity cavities(static_cast<std::size_t>(components().count()) + 2, 0);
    std::int32_t last = 0;
    holes().for_each_run([&](std::int64_t row, const Run& run, std::int32_t number) {
      if (number <= last) return;
      last = number;
      const std::int64_t before = (row - mask_.rows) * mask_.length + run.begin;
      ++cavities[(before < 0 ? -1 : components().at(static_cast<std::uint32_t>(before))) + 1];
    });
    return cavities;
  }

  const Mask mask_;
  const bool full_, framed_;
  const double min_size_;
  std::optional<ComponentMap> components_, holes_;
};

}  // namespace topo
