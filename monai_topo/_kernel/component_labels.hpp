// The components of a binary image, numbered voxel by voxel.
#pragma once

#include "run_components.hpp"

namespace topo {

// Writes for every voxel 0 in the background, else the number of its component: 1, 2, ... in the order of first voxels.
// With `framed` everything outside the image is foreground too, and the component connected to it gets -1.
inline void component_labels(const Mask& mask, bool full, bool framed, std::int32_t* out) {
  std::fill(out, out + mask.size(), 0);
  RunComponents components(mask, 1, full, framed);
  components.count([&](std::int64_t z, std::int64_t y, const Run& run) {
    std::int32_t* row = out + (z * mask.rows + y) * mask.length;
    std::fill(row + run.begin, row + run.end, static_cast<std::int32_t>(run.label) + 1);
  });
  // Number of the component of each label, which is shifted by one: 0 stays 0. A root is the least label of its
  // component, so it has its number before the others ask for it.
  std::vector<std::int32_t> number(components.num_labels() + 1, 0);
  std::int32_t last = 0;
  for (Node label = 0; label < components.num_labels(); ++label) {
    const Node root = components.root(label);
    if (root != label)
      number[label + 1] = number[root + 1];
    else
      number[label + 1] = framed && label == 0 ? -1 : ++last;
  }
  for (std::int64_t v = 0; v < mask.size(); ++v) out[v] = number[out[v]];
}

}  // namespace topo
