// The regions of a label's features: its components or holes, and how many predicted features may match each of them.
//
// In dimension 0 the regions are the components of the label and in dimension D - 1 its holes, the components of the
// background that are not connected with the outside; each has room for one feature. In dimension 1 of a volume they are
// the components again, each with room for as many loops as it has itself.
#pragma once

#include <array>
#include <optional>

#include "betti_numbers.hpp"
#include "component_map.hpp"

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
  std::int64_t num_loops() const { return betti_numbers(mask_, full_, framed_).loops; }  // of a volume
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

  // The frame and what lies in no region are never that small.
  void ignore_small(const ComponentMap& regions, Capacity& capacity) const {
    Array<std::int64_t> voxels(capacity.size(), 0);
    regions.for_each_run(
        [&](std::int64_t, const Run& run, std::int32_t number) { voxels[number + 1] += run.end - run.begin; });
    for (std::size_t r = 2; r < capacity.size(); ++r)
      if (static_cast<double>(voxels[r]) < min_size_) capacity[r] = ignored_region;
  }

  // Loops of every component: b1 = b0 - chi + b2. What is left of the loops of the label goes through the frame.
  Capacity loops() {
    Capacity loops(static_cast<std::size_t>(components().count()) + 2, 0);
    std::int64_t total = num_loops();
    if (total == 0) return loops;
    const Capacity euler = euler_characteristics(), inside = cavities();
    for (std::size_t r = 2; r < loops.size(); ++r) {
      loops[r] = 1 - euler[r] + inside[r];
      total -= loops[r];
    }
    loops[0] = total;
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

  // Euler characteristic of every component of a volume. With full connectivity voxels are closed cubes, and a face of
  // the grid is present if any voxel around it is. With face connectivity voxels are points, and a cell is present if
  // all its voxels are. In both cases the voxels around a cell that is present belong to one component, so that of the
  // cell is the greatest or the least of their numbers.
  Capacity euler_characteristics() {
    Capacity euler(static_cast<std::size_t>(components().count()) + 2, 0);
    // Two planes of rows, inside a layer of zeros.
    const Array<Row> zeros(mask_.rows + 2, Row(mask_.length + 2, 0));
    std::array<Array<Row>, 2> plane{zeros, zeros};
    std::array<Array<char>, 2> has_runs{Array<char>(mask_.rows + 2, 0), Array<char>(mask_.rows + 2, 0)};
    for (std::int64_t z = 0; z <= mask_.planes; ++z) {
      plane[0].swap(plane[1]);
      has_runs[0].swap(has_runs[1]);
      if (z == mask_.planes) {
        plane[1] = zeros;
        std::fill(has_runs[1].begin(), has_runs[1].end(), 0);
      } else {
        for (std::int64_t y = 0; y < mask_.rows; ++y)
          has_runs[1][y + 1] = components().write_row(z * mask_.rows + y, plane[1][y + 1].data() + 1);
      }
      for (std::int64_t y = 0; y <= mask_.rows; ++y)
        if (has_runs[0][y] || has_runs[0][y + 1] || has_runs[1][y] || has_runs[1][y + 1])
          add_cells({&plane[0][y], &plane[0][y + 1], &plane[1][y], &plane[1][y + 1]}, euler);
    }
    return euler;
  }

  using Row = Array<std::int32_t>;  // numbers of components

  // Adds the cells between four rows, each with its sign, to the components that they belong to.
  void add_cells(const std::array<const Row*, 4>& rows, Capacity& euler) const {
    const auto combine = [full = full_](std::int32_t a, std::int32_t b) {
      return full ? std::max(a, b) : std::min(a, b);
    };
    const std::int64_t sign = full_ ? 1 : -1;  // of the cells at a corner of the voxels, and of those in a face of them
    const auto at = [&](int row, std::size_t x) { return (*rows[row])[x]; };
    const auto add_corner = [&](std::size_t x) {
      const std::int32_t here = at(3, x), below = combine(here, at(3, x - 1));
      const std::int32_t y = combine(at(2, x), here), z = combine(at(1, x), here);
      const std::int32_t yx = combine(y, combine(at(2, x - 1), at(3, x - 1)));
      const std::int32_t zx = combine(z, combine(at(1, x - 1), at(3, x - 1)));
      const std::int32_t zy = combine(combine(at(0, x), at(1, x)), y);
      const std::int32_t all = combine(zy, combine(combine(at(0, x - 1), at(1, x - 1)), combine(at(2, x - 1), below)));
      euler[here + 1] -= sign;
      for (const std::int32_t face : {below, y, z}) euler[face + 1] += sign;
      for (const std::int32_t edge : {yx, zx, zy}) euler[edge + 1] -= sign;
      euler[all + 1] += sign;
    };
    constexpr std::size_t block = 16;
    for (std::size_t begin = 1, end; begin < rows[0]->size(); begin = end) {
      end = std::min(begin + block, rows[0]->size());
      if (are_empty(rows, begin - 1, end)) continue;  // most of a label of vessels
      for (std::size_t x = begin; x < end; ++x) add_corner(x);
    }
  }

  // Whether no voxel of these columns lies in a component.
  static bool are_empty(const std::array<const Row*, 4>& rows, std::size_t begin, std::size_t end) {
    std::int32_t any = 0;
    for (std::size_t x = begin; x < end; ++x) any |= (*rows[0])[x] | (*rows[1])[x] | (*rows[2])[x] | (*rows[3])[x];
    return any == 0;
  }

  const Mask mask_;
  const bool full_, framed_;
  const double min_size_;
  std::optional<ComponentMap> components_, holes_;
};

}  // namespace topo
