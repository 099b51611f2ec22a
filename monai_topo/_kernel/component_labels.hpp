// The components of a binary image, numbered voxel by voxel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "betti_numbers.hpp"

namespace topo {

class ComponentLabels : Components {
 public:
  // Writes for every voxel 0 outside the features, else the number of its component: 1, 2, ... in the order of first
  // voxels. With `frame` everything outside the image is feature too, and what hangs together with it gets -1.
  static void write(const Mask& mask, bool full, bool frame, std::int32_t* out) {
    ComponentLabels(mask, full, frame).write_all(out);
  }

 private:
  ComponentLabels(const Mask& mask, bool full, bool frame) : Components(mask, 1, full, frame) {}

  void write_all(std::int32_t* out) {
    const std::int64_t size = mask_.planes * mask_.rows * mask_.length;
    std::fill(out, out + size, 0);
    count_all([&](std::int64_t z, std::int64_t y, const Run& run) {
      std::int32_t* row = out + (z * mask_.rows + y) * mask_.length;
      std::fill(row + run.begin, row + run.end, static_cast<std::int32_t>(run.label) + 1);
    });
    const std::vector<std::int32_t> number = numbers();
    for (std::int64_t v = 0; v < size; ++v) out[v] = number[out[v]];
  }

  // Number of the component of each provisional label, which is shifted by one: 0 stays 0. A root is the least label of
  // its component, so it has its number before the others ask for it.
  std::vector<std::int32_t> numbers() {
    std::vector<std::int32_t> number(parent_.size() + 1, 0);
    std::int32_t last = 0;
    for (std::uint32_t label = 0; label < parent_.size(); ++label) {
      const std::uint32_t root = find(label);
      if (root != label)
        number[label + 1] = number[root + 1];
      else
        number[label + 1] = frame_ && label == 0 ? -1 : ++last;
    }
    return number;
  }
};

}  // namespace topo
