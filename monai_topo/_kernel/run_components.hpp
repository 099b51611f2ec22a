// Connected components of the voxels of one value in a binary image, by union-find on runs of a row.
//
// Memory is two planes of runs and a label for each run, not one for each voxel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "union_find.hpp"

namespace topo {

using Bit = std::uint8_t;  // 0 or 1

// Rows of a 2D or 3D mask; a 2D image is one plane.
struct Mask {
  const Bit* data;
  std::int64_t planes, rows, length;
  bool volume;  // 3D: the first and the last plane are border too

  std::int64_t size() const { return planes * rows * length; }
  const Bit* row(std::int64_t z, std::int64_t y) const { return data + (z * rows + y) * length; }
  bool is_border_row(std::int64_t z, std::int64_t y) const {
    return y == 0 || y == rows - 1 || (volume && (z == 0 || z == planes - 1));
  }
};

// Voxels begin to end of a row; the component that `label` belongs to is known after the count.
struct Run {
  std::int64_t begin, end;
  Node label;
};

class RunComponents {
 public:
  // `framed`: everything outside the image has this value too and is one component, which counts; its label is 0.
  RunComponents(const Mask& mask, Bit value, bool full, bool framed)
      : mask_(mask), value_(value), full_(full), framed_(framed) {}

  // Counts the components. Calls visit(z, y, run) once for every run.
  template <class Visit>
  std::int64_t count(Visit visit) {
    if (framed_) new_label();
    std::vector<Row> plane(mask_.rows), previous(mask_.rows);
    for (std::int64_t z = 0; z < mask_.planes; ++z) {
      for (std::int64_t y = 0; y < mask_.rows; ++y) {
        find_runs(z, y, plane[y]);
        for (const Run& run : plane[y]) visit(z, y, run);
        if (y > 0) join_adjacent_runs(plane[y], plane[y - 1], full_);
        if (z == 0) continue;
        join_adjacent_runs(plane[y], previous[y], full_);
        if (full_ && y > 0) join_adjacent_runs(plane[y], previous[y - 1], true);
        if (full_ && y + 1 < mask_.rows) join_adjacent_runs(plane[y], previous[y + 1], true);
      }
      plane.swap(previous);
    }
    return components_;
  }
  std::int64_t count() {
    return count([](std::int64_t, std::int64_t, const Run&) {});
  }

  // After the count. The root of a component is its least label.
  std::size_t num_labels() const { return labels_.size(); }
  Node root(Node label) { return labels_.find(label); }

 private:
  using Row = std::vector<Run>;

  void find_runs(std::int64_t z, std::int64_t y, Row& runs) {
    runs.clear();
    const Bit* row = mask_.row(z, y);
    const bool is_border = framed_ && mask_.is_border_row(z, y);
    for (std::int64_t x = 0; x < mask_.length;) {
      if (row[x] != value_) {
        ++x;
        continue;
      }
      const std::int64_t begin = x;
      while (x < mask_.length && row[x] == value_) ++x;
      const bool touches_frame = is_border || (framed_ && (begin == 0 || x == mask_.length));
      runs.push_back({begin, x, touches_frame ? 0 : new_label()});
    }
  }

  // Joins the runs of two neighboring rows that share a column or, where diagonals connect, an adjacent one.
  void join_adjacent_runs(const Row& runs, const Row& others, bool diagonal) {
    const std::int64_t reach = diagonal ? 1 : 0;
    std::size_t j = 0;
    for (const Run& run : runs) {
      while (j < others.size() && others[j].end + reach <= run.begin) ++j;
      for (std::size_t k = j; k < others.size() && others[k].begin < run.end + reach; ++k)
        join(run.label, others[k].label);
    }
  }

  Node new_label() {
    ++components_;
    return labels_.add();
  }

  void join(Node a, Node b) {
    a = labels_.find(a);
    b = labels_.find(b);
    if (a == b) return;
    labels_.attach(std::max(a, b), std::min(a, b));
    --components_;
  }

  const Mask mask_;
  const Bit value_;
  const bool full_, framed_;
  std::int64_t components_ = 0;
  UnionFind labels_;
};

}  // namespace topo
