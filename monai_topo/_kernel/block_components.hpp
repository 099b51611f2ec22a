// One block of a binary image that is counted in parts: its components, and which of them reach which of its faces.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "betti_numbers.hpp"

namespace topo {

// The components of one value in a block. Those that reach a face are numbered from 1 and may go on beyond it; those
// inside are complete.
class BlockComponents : Components {
 public:
  BlockComponents(const Mask& block, Bit value, bool full) : Components(block, value, full, false) {}

  std::int64_t count(bool sizes) {
    const std::int64_t total = count_all([&](std::int64_t z, std::int64_t y, const Run& run) {
      if (mask_.border_row(z, y) || run.begin == 0 || run.end == mask_.length) surface_.push_back({z, y, run});
      if (sizes) run_voxels_.push_back(run.end - run.begin);  // without a frame labels are the runs' own numbers
    });
    number_.assign(parent_.size(), 0);
    for (SurfaceRun& at : surface_) {
      std::int32_t& number = number_[find(at.run.label)];
      if (number == 0) number = ++at_surface_;
    }
    return total;
  }

  std::int64_t at_surface() const { return at_surface_; }

  // Writes the numbers, times `sign`, into the faces: axis by axis the lower and the upper one, each in C order.
  void paint(std::int32_t sign, std::vector<std::int32_t>& faces) {
    const std::int64_t plane = mask_.volume ? mask_.rows * mask_.length : 0, side = mask_.planes * mask_.length;
    const std::int64_t rows_at = 2 * plane, length_at = rows_at + 2 * side, end = mask_.planes * mask_.rows;
    for (const auto& [z, y, run] : surface_) {
      const std::int32_t number = sign * number_[find(run.label)];
      const auto fill = [&, first = run.begin, last = run.end](std::int64_t row_at) {
        std::fill(faces.begin() + row_at + first, faces.begin() + row_at + last, number);
      };
      if (mask_.volume && z == 0) fill(y * mask_.length);
      if (mask_.volume && z == mask_.planes - 1) fill(plane + y * mask_.length);
      if (y == 0) fill(rows_at + z * mask_.length);
      if (y == mask_.rows - 1) fill(rows_at + side + z * mask_.length);
      if (run.begin == 0) faces[length_at + z * mask_.rows + y] = number;
      if (run.end == mask_.length) faces[length_at + end + z * mask_.rows + y] = number;
    }
  }

  // Voxels of each component: those at the surface by their numbers, then those inside.
  std::vector<std::int64_t> sizes() {
    std::vector<std::int64_t> of_root(parent_.size(), 0), sizes(at_surface_, 0);
    for (std::uint32_t label = 0; label < parent_.size(); ++label) of_root[find(label)] += run_voxels_[label];
    for (std::uint32_t label = 0; label < parent_.size(); ++label) {
      if (parent_[label] != label) continue;
      if (number_[label] > 0)
        sizes[number_[label] - 1] = of_root[label];
      else
        sizes.push_back(of_root[label]);
    }
    return sizes;
  }

 private:
  struct SurfaceRun {
    std::int64_t z, y;
    Run run;
  };
  std::vector<SurfaceRun> surface_;
  std::vector<std::int64_t> run_voxels_;
  std::vector<std::int32_t> number_;
  std::int32_t at_surface_ = 0;
};

struct Block {
  // Components inside: of the features, of the background; at the surface: likewise; Euler characteristic of the side
  // that is face-connected, of the cells that lie in the block.
  std::vector<std::int64_t> counts;
  std::vector<std::int32_t> faces;  // features positive, background negative
  std::vector<std::int64_t> sizes;  // voxels of the features' components, if asked for

  static Block count(const Mask& mask, bool full, bool sizes) {
    const std::int64_t plane = mask.volume ? mask.rows * mask.length : 0;
    Block block;
    block.faces.resize(2 * (plane + mask.planes * (mask.length + mask.rows)));
    BlockComponents features(mask, 1, full);
    const std::int64_t num_features = features.count(sizes);
    features.paint(1, block.faces);
    if (sizes) block.sizes = features.sizes();
    BlockComponents background(mask, 0, !full);
    const std::int64_t num_background = background.count(false);
    background.paint(-1, block.faces);
    block.counts = {num_features - features.at_surface(), num_background - background.at_surface(),
                    features.at_surface(), background.at_surface(), euler_characteristic(mask, full ? 0 : 1, false)};
    return block;
  }
};

}  // namespace topo
