// The inside of a plateau that two images share, such as the background of a vessel likelihood and of its label: voxels
// all of whose neighbors lie on it too. They enter in the order of their indices, so nothing there needs to be compared.
#pragma once

#include <algorithm>
#include <array>

#include "array.hpp"
#include "bits.hpp"
#include "grid.hpp"

namespace topo {

template <int D>
class PlateauInterior {
 public:
  static constexpr std::size_t word_bits = 64;

  PlateauInterior() = default;

  // Of the voxels at these levels, one for each image.
  PlateauInterior(const std::array<Grid<D>, 2>& grids, const std::array<Level, 2>& levels, std::size_t threads)
      : size_(grids[0].size()), margin_(grids[0].stride[0] + word_bits) {
    Words inside = make_words(threads, [&](std::size_t i) {
      const auto is_on_plateau = [&, prediction = grids[0].level.data(), label = grids[1].level.data()](std::size_t v) {
        return (prediction[v] == levels[0]) & (label[v] == levels[1]);
      };
      const std::size_t bit = i * word_bits;
      if (bit >= margin_ && bit + word_bits <= margin_ + size_)
        return word_of([&](int k) { return is_on_plateau(bit - margin_ + k); });
      const auto exists = [&](std::size_t b) { return b >= margin_ && b < margin_ + size_; };
      return word_of([&](int k) { return exists(bit + k) && is_on_plateau(bit + k - margin_); });
    });
    for (const Voxel stride : grids[0].stride) inside = with_neighbors(inside, stride, true, threads);
    voxels_ = inside;
    for (const Voxel stride : grids[0].stride) inside = with_neighbors(inside, stride, false, threads);
    corners_ = std::move(inside);
  }

  bool exists() const { return !voxels_.empty(); }

  // Calls visit(first, count, whether all lie inside) for runs of voxels in [begin, end), in order; or of corners, which lie
  // inside if all voxels of their cells do.
  template <class Visit>
  void for_each_voxel_run(std::size_t begin, std::size_t end, Visit visit) const {
    for_each_run(voxels_, begin, end, visit);
  }
  template <class Visit>
  void for_each_corner_run(std::size_t begin, std::size_t end, Visit visit) const {
    for_each_run(corners_, begin, end, visit);
  }

 private:
  using Words = Array<std::uint64_t>;

  static std::uint64_t word_at(const Words& words, std::size_t bit) {
    const std::size_t i = bit / word_bits, shift = bit % word_bits;
    return shift == 0 ? words[i] : (words[i] >> shift) | (words[i + 1] << (word_bits - shift));
  }

  // The words that hold voxels, each from word(i), on threads; the others are 0.
  template <class WordAt>
  Words make_words(std::size_t threads, WordAt word) const {
    Words words((size_ + 2 * margin_) / word_bits + 2);
    const std::size_t first = margin_ / word_bits, count = size_ / word_bits + 2, slabs = num_slabs(count, threads);
    parallel_for(slabs, threads, [&](std::size_t slab) {
      for (std::size_t i = first + slab * count / slabs; i < first + (slab + 1) * count / slabs; ++i)
        words[i] = word(i);
    });
    return words;
  }

  // The bits whose neighbors along an axis are set too: the next one, and the one before if `both`.
  Words with_neighbors(const Words& words, std::size_t stride, bool both, std::size_t threads) const {
    return make_words(threads, [&](std::size_t i) {
      const std::size_t bit = i * word_bits;
      return words[i] & word_at(words, bit + stride) & (both ? word_at(words, bit - stride) : ~std::uint64_t{0});
    });
  }

  template <class Visit>
  void for_each_run(const Words& words, std::size_t begin, std::size_t end, Visit visit) const {
    constexpr std::size_t step = 8;
    bool was_inside = false;
    for (std::size_t at = begin; at < end; at += step) {
      const bool is_inside = has_all(words, at, std::min(step, end - at));
      if (is_inside != was_inside && at > begin) {
        visit(begin, at - begin, was_inside);
        begin = at;
      }
      was_inside = is_inside;
    }
    visit(begin, end - begin, was_inside);
  }

  bool has_all(const Words& words, std::size_t first, std::size_t count) const {
    if (words.empty()) return false;
    const std::uint64_t wanted = (std::uint64_t{1} << count) - 1;
    return (word_at(words, first + margin_) & wanted) == wanted;
  }

  std::size_t size_ = 0, margin_ = 0;  // zeros before and after the image, so that no neighbor lies outside the array
  Words voxels_, corners_;
};

}  // namespace topo
