// Patches of a batch of likelihoods and labels, read from the whole images; what lies outside of the support, and what
// is saturated, becomes a plateau on the way.
#pragma once

#include "compiler.hpp"
#include "divisor.hpp"
#include "grid.hpp"
#include "parallel.hpp"
#include "run_components.hpp"

namespace topo {

template <int D>
Mask make_mask(const Bit* data, const Extent<D>& extent) {
  return {data, D == 3 ? extent[0] : 1, extent[D - 2], extent[D - 1], D == 3};
}

// Which voxels keep their value. The others are set to 0 or 1, and have no gradient.
template <class T>
struct Plateaus {
  T support = 0;     // where neither likelihood nor label exceeds it, the value is 0
  T saturation = 0;  // values up to this are 0, those from one minus it on 1
  T high = 1;        // one minus the saturation, rounded as the caller does

  bool any() const { return support > 0 || saturation > 0; }
  bool keeps(T value, T label) const {
    return std::max(value, label) > support && (saturation == 0 || (value > saturation && value < high));
  }
  T apply(T value, T label) const {
    return keeps(value, label) ? value : static_cast<T>(saturation > 0 && value >= high);
  }
};

// A box of an image.
template <int D>
class Patch {
 public:
  Patch(const Extent<D>& image, const Extent<D>& patch_extent, const std::array<Voxel, D>& start)
      : extent(patch_extent), is_whole_image_(std::equal(image.begin(), image.end(), patch_extent.begin())) {
    std::size_t stride = 1;
    for (int a = D - 1; a >= 0; stride *= image[a--]) {
      stride_[a] = stride;
      first_ += start[a] * stride;
      extent_[a] = Divisor(extent[a]);
    }
  }

  const Extent<D> extent;
  bool is_whole_image() const { return is_whole_image_; }

  // C-order index into the image of a voxel of the patch, given by its index into the patch.
  std::size_t in_image(Voxel voxel) const {
    if (is_whole_image_) return voxel;
    std::size_t index = first_;
    for (int a = D - 1; a > 0; --a) {
      const Voxel rest = extent_[a].quotient(voxel);
      index += (voxel - rest * extent[a]) * stride_[a];
      voxel = rest;
    }
    return index + voxel * stride_[0];
  }

  // Calls visit(index into the image, index into the patch) for the first voxel of every row, on threads.
  template <class Visit>
  void for_each_row(std::size_t threads, Visit visit) const {
    const std::size_t length = extent[D - 1], rows = num_voxels(extent) / length;
    for_each_slab(rows, threads, 2.0 * static_cast<double>(length), [&](std::size_t first, std::size_t last) {
      for (std::size_t row = first; row < last; ++row) visit(in_image(static_cast<Voxel>(row * length)), row * length);
    });
  }

 private:
  const bool is_whole_image_;
  std::size_t first_ = 0;  // the first voxel of the patch
  std::array<std::size_t, D> stride_;
  std::array<Divisor, D> extent_;
};

// A likelihood and its label, one after another in C order.
template <class T>
struct PatchValues {
  const T* values;
  const Bit* label;
};

// The memory of a patch.
template <class T>
struct PatchMemory {
  RawArray<T> values;
  RawArray<Bit> label;
};

// Rows, in loops that compilers turn into vector code.
template <class T>
void read_bits(const T* label, std::size_t length, Bit* TOPO_RESTRICT out) {
  for (std::size_t x = 0; x < length; ++x) out[x] = label[x] != 0;
}
template <class T>
void apply_plateaus(const T* values, const T* label, std::size_t length, const Plateaus<T> plateaus,
                    T* TOPO_RESTRICT out) {
  for (std::size_t x = 0; x < length; ++x) out[x] = plateaus.apply(values[x], label[x]);
}

template <int D, class T>
PatchValues<T> read_patch(const T* image, const T* label, const Patch<D>& patch, const Plateaus<T>& plateaus,
                          std::size_t threads, PatchMemory<T>& memory) {
  const bool is_copied = plateaus.any() || !patch.is_whole_image();
  memory.label.resize(num_voxels(patch.extent));
  if (is_copied) memory.values.resize(num_voxels(patch.extent));
  patch.for_each_row(threads, [&](std::size_t from, std::size_t to) {
    const std::size_t length = patch.extent[D - 1];
    read_bits(label + from, length, memory.label.data() + to);
    if (!is_copied) return;
    if (plateaus.any())
      apply_plateaus(image + from, label + from, length, plateaus, memory.values.data() + to);
    else
      std::copy_n(image + from, length, memory.values.data() + to);
  });
  return {is_copied ? memory.values.data() : image, memory.label.data()};
}

}  // namespace topo
