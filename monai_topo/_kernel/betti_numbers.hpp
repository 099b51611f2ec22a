// Betti numbers of a binary image by counting components and cells, without persistence.
//
// Components of the features and of the background give dimensions 0 and D - 1 (Alexander duality); the Euler
// characteristic gives dimension 1 in 3D. Memory is two planes of runs and a label for each run, not one for each voxel.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace topo {

using Bit = std::uint8_t;  // 0 or 1

// Rows of a 2D or 3D mask; a 2D image is one plane.
struct Mask {
  const Bit* data;
  std::int64_t planes, rows, length;
  bool volume;  // 3D: the first and the last plane are border too

  const Bit* row(std::int64_t z, std::int64_t y) const { return data + (z * rows + y) * length; }
  bool border_row(std::int64_t z, std::int64_t y) const {
    return y == 0 || y == rows - 1 || (volume && (z == 0 || z == planes - 1));
  }
};

// Counts the components of the voxels of one value by union-find on runs of a row.
class Components {
 public:
  struct Run {
    std::int64_t begin, end;
    std::uint32_t label;
  };

  // `frame`: everything outside the image has this value too and is one component, which counts.
  static std::int64_t count(const Mask& mask, Bit value, bool full, bool frame) {
    return Components(mask, value, full, frame).count_all([](std::int64_t, std::int64_t, const Run&) {});
  }

 protected:
  using Row = std::vector<Run>;

  Components(const Mask& mask, Bit value, bool full, bool frame)
      : mask_(mask), value_(value), full_(full), frame_(frame) {}

  // Every run is shown to see(z, y, run) once; find() tells its component after the count.
  template <class See>
  std::int64_t count_all(See see) {
    if (frame_) new_label();
    std::vector<Row> plane(mask_.rows), previous(mask_.rows);
    for (std::int64_t z = 0; z < mask_.planes; ++z) {
      for (std::int64_t y = 0; y < mask_.rows; ++y) {
        scan(z, y, plane[y]);
        for (const Run& run : plane[y]) see(z, y, run);
        if (y > 0) touch(plane[y], plane[y - 1], full_);
        if (z == 0) continue;
        touch(plane[y], previous[y], full_);
        if (full_ && y > 0) touch(plane[y], previous[y - 1], true);
        if (full_ && y + 1 < mask_.rows) touch(plane[y], previous[y + 1], true);
      }
      plane.swap(previous);
    }
    return components_;
  }

  void scan(std::int64_t z, std::int64_t y, Row& runs) {
    runs.clear();
    const Bit* row = mask_.row(z, y);
    const bool border = frame_ && mask_.border_row(z, y);
    for (std::int64_t x = 0; x < mask_.length;) {
      if (row[x] != value_) {
        ++x;
        continue;
      }
      const std::int64_t begin = x;
      while (x < mask_.length && row[x] == value_) ++x;
      const bool outside = border || (frame_ && (begin == 0 || x == mask_.length));
      runs.push_back({begin, x, outside ? 0 : new_label()});
    }
  }

  // Joins the runs of two neighboring rows that share a column, or with full connectivity the next one.
  void touch(const Row& runs, const Row& others, bool diagonal) {
    const std::int64_t reach = diagonal ? 1 : 0;
    std::size_t j = 0;
    for (const Run& run : runs) {
      while (j < others.size() && others[j].end + reach <= run.begin) ++j;
      for (std::size_t k = j; k < others.size() && others[k].begin < run.end + reach; ++k)
        join(run.label, others[k].label);
    }
  }

  std::uint32_t new_label() {
    ++components_;
    parent_.push_back(static_cast<std::uint32_t>(parent_.size()));
    return parent_.back();
  }

  std::uint32_t find(std::uint32_t label) {
    while (parent_[label] != label) label = parent_[label] = parent_[parent_[label]];
    return label;
  }

  void join(std::uint32_t a, std::uint32_t b) {
    a = find(a);
    b = find(b);
    if (a == b) return;
    parent_[a > b ? a : b] = a > b ? b : a;
    --components_;
  }

  const Mask mask_;
  const Bit value_;
  const bool full_, frame_;
  std::int64_t components_ = 0;
  std::vector<std::uint32_t> parent_;
};

// Euler characteristic of the face-connected complex of the voxels of one value: cells whose voxels all have it. With
// `frame` a layer of such voxels is laid around the image and counted.
inline std::int64_t euler_characteristic(const Mask& mask, Bit value, bool frame) {
  const std::int64_t length = mask.length + 3;  // frame on both sides, and one voxel beyond that is never there
  std::vector<Bit> buffer[2][2];
  for (auto& plane : buffer)
    for (auto& row : plane) row.assign(length, 0);
  const auto load = [&](std::int64_t z, std::int64_t y, std::vector<Bit>& row) {
    const bool inside = z >= 0 && z < mask.planes && y >= 0 && y < mask.rows;
    const bool beyond = y > mask.rows || z > mask.planes || (!mask.volume && z != 0);
    std::fill(row.begin(), row.end() - 1, frame && !beyond ? 1 : 0);
    if (!inside) return;
    const Bit* voxels = mask.row(z, y);
    for (std::int64_t x = 0; x < mask.length; ++x) row[x + 1] = voxels[x] == value;
  };

  std::int64_t total = 0;
  const std::int64_t first_plane = mask.volume ? -1 : 0, last_plane = mask.volume ? mask.planes : 0;
  for (std::int64_t z = first_plane; z <= last_plane; ++z) {
    load(z, -1, buffer[0][1]);
    load(z + 1, -1, buffer[1][1]);
    for (std::int64_t y = -1; y <= mask.rows; ++y) {
      for (auto& plane : buffer) plane[0].swap(plane[1]);
      load(z, y + 1, buffer[0][1]);
      load(z + 1, y + 1, buffer[1][1]);
      const Bit *a = buffer[0][0].data(), *b = buffer[0][1].data();
      const Bit *c = buffer[1][0].data(), *d = buffer[1][1].data();
      std::int32_t row_total = 0;
      for (std::int64_t x = 0; x + 1 < length; ++x) {
        const int ab = a[x] & b[x], ac = a[x] & c[x], abcd = ab & c[x] & d[x];
        const int next_ab = a[x + 1] & b[x + 1], next_ac = a[x + 1] & c[x + 1], next_abcd = next_ab & c[x + 1] & d[x + 1];
        const int edges = (a[x] & a[x + 1]) + ab + ac, squares = (ab & next_ab) + (ac & next_ac) + abcd;
        row_total += a[x] - edges + squares - (abcd & next_abcd);
      }
      total += row_total;
    }
  }
  return total;
}

struct BettiNumbers {
  std::int64_t components, loops, holes;  // dimension 0, dimension 1 of a volume, dimension D - 1
};

inline BettiNumbers betti_numbers(const Mask& mask, bool full, bool foreground_border) {
  const std::int64_t features = Components::count(mask, 1, full, foreground_border);
  const std::int64_t background = Components::count(mask, 0, !full, !foreground_border);
  BettiNumbers betti{};
  betti.components = foreground_border ? features - 1 : features;
  betti.holes = background > 1 ? background - 1 : 0;
  if (mask.volume) {
    // Counted on the side that is face-connected; the dual side has the same loops.
    const bool framed = full != foreground_border;
    const std::int64_t euler = euler_characteristic(mask, full ? 0 : 1, framed);
    betti.loops = features + background - euler - (framed ? 0 : 1);
  }
  return betti;
}

}  // namespace topo
