// The components of a binary image, numbered voxel by voxel.
#pragma once

#include "run_components.hpp"

namespace topo {

// After the count: the number of the component of every label, 1, 2, ... in the order of first voxels. With a frame the
// component of label 0, which is connected to it, has -1.
inline Array<std::int32_t> component_numbers(RunComponents& components, bool framed) {
  // A root is the least label of its component, so it has its number before the others ask for it.
  Array<std::int32_t> number(components.num_labels());
  std::int32_t last = 0;
  for (Node label = 0; label < number.size(); ++label) {
    const Node root = components.root(label);
    if (root != label)
      number[label] = number[root];
    else
      number[label] = framed && label == 0 ? -1 : ++last;
  }
  return number;
}

// Writes for every voxel 0 in the background, else the number of its component. With `framed` everything outside the
// image is foreground too.
inline void component_labels(const Mask& mask, bool full, bool framed, std::int32_t* out) {
  std::fill(out, out + mask.size(), 0);
  RunComponents components(mask, 1, full, framed);
  components.count([&](std::int64_t z, std::int64_t y, const Run& run) {
    std::int32_t* row = out + (z * mask.rows + y) * mask.length;
    std::fill(row + run.begin, row + run.end, static_cast<std::int32_t>(run.label) + 1);
  });
  // Labels are shifted by one: 0 stays 0.
  Array<std::int32_t> number = component_numbers(components, framed);
  number.insert(number.begin(), 0);
  for (std::int64_t v = 0; v < mask.size(); ++v) out[v] = number[out[v]];
}

}  // namespace topo
