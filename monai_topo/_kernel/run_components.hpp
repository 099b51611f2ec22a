// Connected components of the voxels of one value in a binary image, by union-find on runs of a row.
//
// Memory is two planes of runs and a label for each run, not one for each voxel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "array.hpp"
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
  std::uint32_t begin, end;
  Node label;
};

// The runs of several rows in one array: an array for every row would be as many allocations.
class RunsOfRows {
 public:
  struct Row {
    const Run *first, *last;
    const Run* begin() const { return first; }
    const Run* end() const { return last; }
  };

  void clear() {
    runs_.clear();
    first_.clear();
  }
  void begin_row() { first_.push_back(runs_.size()); }
  void add(const Run& run) { runs_.push_back(run); }  // to the last row

  Row row(std::int64_t i) const {
    const auto next = static_cast<std::size_t>(i) + 1;
    return {runs_.data() + first_[i], runs_.data() + (next < first_.size() ? first_[next] : runs_.size())};
  }
  std::int64_t size() const { return static_cast<std::int64_t>(first_.size()); }
  Array<Run>& runs() { return runs_; }

 private:
  Array<Run> runs_;
  Array<std::size_t> first_;  // of every row
};

class RunComponents {
 public:
  // `framed`: everything outside the image has this value too and is one component, which counts; its label is 0.
  RunComponents(const Mask& mask, Bit value, bool full, bool framed)
      : mask_(mask), value_(value), full_(full), framed_(framed) {}

  // Counts the components. Calls visit(z, y, run) once for every run.
  template <class Visit>
  std::int64_t count(Visit visit) {
    RunsOfRows plane, previous;
    if (framed_) new_label();
    for (std::int64_t z = 0; z < mask_.planes; ++z) {
      plane.clear();
      for (std::int64_t y = 0; y < mask_.rows; ++y) {
        add_row(z, y, plane, y, previous);
        for (const Run& run : plane.row(y)) visit(z, y, run);
      }
      std::swap(plane, previous);
    }
    return components_;
  }
  std::int64_t count() {
    return count([](std::int64_t, std::int64_t, const Run&) {});
  }

  // The same, with the runs of all rows kept, those of a plane after those of the plane before.
  RunsOfRows keep_runs() {
    RunsOfRows runs;
    if (framed_) new_label();
    for (std::int64_t z = 0; z < mask_.planes; ++z)
      for (std::int64_t y = 0; y < mask_.rows; ++y) add_row(z, y, runs, z * mask_.rows + y, runs);
    return runs;
  }

  // After the count. The root of a component is its least label.
  std::size_t num_labels() const { return labels_.size(); }
  Node root(Node label) { return labels_.find(label); }

 private:
  // Finds the runs of a row, the `at`-th of `rows`, and joins them with those of its neighbors. `previous` holds the
  // plane before, which may be the end of `rows`.
  void add_row(std::int64_t z, std::int64_t y, RunsOfRows& rows, std::int64_t at, const RunsOfRows& previous) {
    rows.begin_row();
    find_runs(z, y, rows);
    if (y > 0) join_adjacent_runs(rows.row(at), rows.row(at - 1), full_);
    if (z == 0) return;
    const std::int64_t below = &rows == &previous ? at - mask_.rows : y;
    join_adjacent_runs(rows.row(at), previous.row(below), full_);
    if (full_ && y > 0) join_adjacent_runs(rows.row(at), previous.row(below - 1), true);
    if (full_ && y + 1 < mask_.rows) join_adjacent_runs(rows.row(at), previous.row(below + 1), true);
  }

  void find_runs(std::int64_t z, std::int64_t y, RunsOfRows& rows) {
    const Bit* row = mask_.row(z, y);
    const bool is_border = framed_ && mask_.is_border_row(z, y);
    for (std::int64_t x = 0;;) {
      const std::int64_t begin = skip(row, x, static_cast<Bit>(1 - value_));
      if (begin == mask_.length) return;
      x = skip(row, begin, value_);
      const bool touches_frame = is_border || (framed_ && (begin == 0 || x == mask_.length));
      rows.add({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(x), touches_frame ? 0 : new_label()});
    }
  }

  // The first voxel from x on that does not have this value. Eight at a time, since most runs are long.
  std::int64_t skip(const Bit* row, std::int64_t x, Bit value) const {
    const std::uint64_t all = value * 0x0101010101010101u;
    for (std::uint64_t word; x + 8 <= mask_.length; x += 8) {
      std::memcpy(&word, row + x, sizeof word);
      if (word != all) break;
    }
    while (x < mask_.length && row[x] == value) ++x;
    return x;
  }

  // Joins the runs of two neighboring rows that share a column or, where diagonals connect, an adjacent one.
  void join_adjacent_runs(RunsOfRows::Row runs, RunsOfRows::Row others, bool diagonal) {
    const std::uint32_t reach = diagonal ? 1 : 0;
    const Run* from = others.begin();
    for (const Run& run : runs) {
      while (from != others.end() && from->end + reach <= run.begin) ++from;
      for (const Run* other = from; other != others.end() && other->begin < run.end + reach; ++other)
        join(run.label, other->label);
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
