// The components of one value of a mask as runs, and the component of any voxel: no array of the size of the mask.
#pragma once

#include "component_labels.hpp"
#include "divisor.hpp"

namespace topo {

class ComponentMap {
 public:
  // `framed`: everything outside the image has this value too.
  ComponentMap(const Mask& mask, Bit value, bool full, bool framed)
      : length_(static_cast<std::uint32_t>(mask.length)), by_length_(length_) {
    RunComponents components(mask, value, full, framed);
    rows_ = components.keep_runs();
    const Array<std::int32_t> numbers = component_numbers(components, framed);
    for (Run& run : rows_.runs()) {
      const std::int32_t number = numbers[run.label];
      count_ = std::max(count_, number);
      run.label = static_cast<Node>(number);
    }
  }

  // Numbers are 1, 2, ... in the order of first voxels, and -1 for what is connected with the frame.
  std::int32_t count() const { return count_; }  // without that of the frame

  // The number of a voxel's component, given by its index in C order; 0 if it has another value.
  std::int32_t at(std::uint32_t voxel) const {
    const std::uint32_t row = by_length_.quotient(voxel), x = voxel - row * length_;
    const RunsOfRows::Row runs = rows_.row(row);
    if (runs.begin() == runs.end()) return 0;
    // The last run that begins up to x, or the first; branches could not be predicted.
    const Run* last = runs.begin();
    for (std::size_t count = runs.end() - runs.begin(); count > 1;) {
      const std::size_t half = count / 2;
      last = last[half].begin <= x ? last + half : last;
      count -= half;
    }
    return last->begin <= x && x < last->end ? number_of(*last) : 0;
  }

  // Calls visit(row, run, number) for every run, in C order.
  template <class Visit>
  void for_each_run(Visit visit) const {
    for (std::int64_t row = 0; row < rows_.size(); ++row)
      for (const Run& run : rows_.row(row)) visit(row, run, number_of(run));
  }

  // Writes the number of every voxel of a row.
  void write_row(std::int64_t row, std::int32_t* out) const {
    std::fill(out, out + length_, 0);
    for (const Run& run : rows_.row(row)) std::fill(out + run.begin, out + run.end, number_of(run));
  }

  RunsOfRows::Row row(std::int64_t i) const { return rows_.row(i); }  // its runs, with numbers in place of labels
  static std::int32_t number_of(const Run& run) { return static_cast<std::int32_t>(run.label); }

 private:
  const std::uint32_t length_;
  const Divisor by_length_;
  RunsOfRows rows_;  // with numbers in place of labels
  std::int32_t count_ = 0;
};

}  // namespace topo
