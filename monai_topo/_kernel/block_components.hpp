// One block of a binary image that is counted in parts: its components, and which of them reach which of its faces.
#pragma once

#include "betti_numbers.hpp"

namespace topo {

// The components of one value in a block. Those that reach a face are numbered from 1 and may continue beyond it; those
// inside are complete.
class BlockComponents {
 public:
  BlockComponents(const Mask& block, Bit value, bool full, bool with_sizes)
      : block_(block), components_(block, value, full, false) {
    total_ = components_.count([&](std::int64_t z, std::int64_t y, const Run& run) {
      if (block.is_border_row(z, y) || run.begin == 0 || run.end == block.length) surface_.push_back({z, y, run});
      if (with_sizes) run_voxels_.push_back(run.end - run.begin);  // without a frame every run has a label of its own
    });
    number_.assign(components_.num_labels(), 0);
    for (const SurfaceRun& at : surface_) {
      std::int32_t& number = number_[components_.root(at.run.label)];
      if (number == 0) number = ++at_surface_;
    }
  }

  std::int64_t inside() const { return total_ - at_surface_; }
  std::int64_t at_surface() const { return at_surface_; }

  // Writes the numbers, times `sign`, into the faces: axis by axis the lower and the upper one, each in C order.
  void write_faces(std::int32_t sign, Array<std::int32_t>& faces) {
    const std::int64_t plane = block_.volume ? block_.rows * block_.length : 0, side = block_.planes * block_.length;
    const std::int64_t rows_at = 2 * plane, length_at = rows_at + 2 * side, end = block_.planes * block_.rows;
    for (const auto& [z, y, run] : surface_) {
      const std::int32_t number = sign * number_[components_.root(run.label)];
      const auto fill = [&, first = run.begin, last = run.end](std::int64_t row_at) {
        std::fill(faces.begin() + row_at + first, faces.begin() + row_at + last, number);
      };
      if (block_.volume && z == 0) fill(y * block_.length);
      if (block_.volume && z == block_.planes - 1) fill(plane + y * block_.length);
      if (y == 0) fill(rows_at + z * block_.length);
      if (y == block_.rows - 1) fill(rows_at + side + z * block_.length);
      if (run.begin == 0) faces[length_at + z * block_.rows + y] = number;
      if (run.end == block_.length) faces[length_at + end + z * block_.rows + y] = number;
    }
  }

  // Voxels of each component: those at the surface by their numbers, then those inside. Needs `with_sizes`.
  Array<std::int64_t> sizes() {
    Array<std::int64_t> size_of_root(number_.size(), 0), sizes(at_surface_, 0);
    for (Node label = 0; label < number_.size(); ++label) size_of_root[components_.root(label)] += run_voxels_[label];
    for (Node label = 0; label < number_.size(); ++label) {
      if (components_.root(label) != label) continue;
      if (number_[label] > 0)
        sizes[number_[label] - 1] = size_of_root[label];
      else
        sizes.push_back(size_of_root[label]);
    }
    return sizes;
  }

 private:
  struct SurfaceRun {
    std::int64_t z, y;
    Run run;
  };

  const Mask block_;
  RunComponents components_;
  std::int64_t total_ = 0;
  Array<SurfaceRun> surface_;
  Array<std::int64_t> run_voxels_;
  Array<std::int32_t> number_;  // of a root; 0 inside
  std::int32_t at_surface_ = 0;
};

struct Block {
  // Components inside: of the foreground, of the background; at the surface: of the foreground, of the background;
  // Euler characteristic of the cells in the block, of the side that is face-connected.
  Array<std::int64_t> counts;
  Array<std::int32_t> faces;  // foreground positive, background negative
  Array<std::int64_t> sizes;  // voxels of the foreground's components, if asked for
};

inline Block block_components(const Mask& mask, bool full, bool with_sizes) {
  const std::int64_t plane = mask.volume ? mask.rows * mask.length : 0;
  Block block;
  block.faces.resize(2 * (plane + mask.planes * (mask.length + mask.rows)));
  BlockComponents foreground(mask, 1, full, with_sizes), background(mask, 0, !full, false);
  foreground.write_faces(1, block.faces);
  background.write_faces(-1, block.faces);
  if (with_sizes) block.sizes = foreground.sizes();
  block.counts = {foreground.inside(), background.inside(), foreground.at_surface(), background.at_surface(),
                  euler_characteristic(mask, full ? 0 : 1, false)};
  return block;
}

}  // namespace topo
