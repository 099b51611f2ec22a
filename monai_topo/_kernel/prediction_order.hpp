// The order in which the voxels of a prediction enter, next to a label: by value, value in the label, neighbors above, and
// index.
//
// By index alone, the order would sweep a noisy mask, and its cycles with it, from end to end. The inside of a plateau stays
// in index order, which leaves the fewest critical cells there.
#pragma once

#include "compiler.hpp"
#include "image_pair.hpp"
#include "plateau_interior.hpp"
#include "radix_sort.hpp"

namespace topo {

template <int D>
class PredictionOrder {
 public:
  explicit PredictionOrder(const ImagePair<D>& images)
      : images_(images),
        grid_(images.grids()[of_prediction]),
        range_(images.range(of_prediction)),
        box_offsets_(grid_.box_offsets()) {
    find_plateau();
    list();
    sort();
  }

  // All voxels in order, but of those of the plateau that come by index in every order only one: they have as many
  // neighbors above as below.
  RawArray<Voxel> voxels;
  Voxel plateau_voxel = no_voxel;  // that one
  PlateauInterior<D> interior;

 private:
  static constexpr int all = box_size<D>;
  // With a plateau there are up to twice as many ranks as voxels, and ranks have 29 bits. Larger images are
  // sorted as a whole, which gives the same result.
  static constexpr Voxel most_voxels_with_plateau = Voxel{1} << 28;

  using Items = RawArray<std::uint64_t>;  // what is sorted by, and voxels

  // Voxels of a slab, in index order: those between the least and the greatest level with their level, those at the least
  // or the greatest one, of which there may be many, with the key that orders ties.
  struct Listed {
    Items between, least, greatest;
    Items row[3];                // those of a row, in the same order
    Array<std::int8_t> above;    // of a row
    Array<std::int32_t> across;  // see count_neighbors_above_level
    Voxel plateau_voxel = no_voxel;
  };

  // If most voxels of the prediction have its least level, or its greatest, finds the plateau that they form together with
  // the label.
  void find_plateau() {
    const std::size_t at_low = images_.num_at_low(), at_high = images_.num_at_high();
    const bool is_low = at_low > at_high;
    if (std::max(at_low, at_high) > grid_.size() / 2 && grid_.size() < most_voxels_with_plateau) {
      const LevelRange& label = images_.range(of_label);
      plateau_ = {is_low ? range_.low : range_.high, is_low ? label.low : label.high};
      interior = PlateauInterior<D>(images_.grids(), plateau_, images_.threads());
    }
  }

  void list() {
    auto slabs = images_.template of_slabs<Listed>([&](Voxel row, Listed& listed) {
      interior.for_each_voxel_run(
          row, row + grid_.extent[D - 1], [&](std::size_t first, std::size_t count, bool is_inside) {
            if (is_inside)
              listed.plateau_voxel = static_cast<Voxel>(first);
            else
              list_outside_interior(static_cast<Voxel>(first), static_cast<Voxel>(count), listed);
          });
    });
    const auto join = [&](Items Listed::* items) {
      if (slabs.size() == 1) return std::move(slabs[0].*items);
      Array<std::size_t> end;
      for (const Listed& slab : slabs) end.push_back((end.empty() ? 0 : end.back()) + (slab.*items).size());
      Items joined(end.back());
      parallel_for(slabs.size(), images_.threads(), [&](std::size_t slab) {
        const Items& of_slab = slabs[slab].*items;
        std::copy(of_slab.begin(), of_slab.end(), joined.begin() + (end[slab] - of_slab.size()));
      });
      return joined;
    };
    between_ = join(&Listed::between);
    least_ = join(&Listed::least);
    greatest_ = join(&Listed::greatest);
    for (const Listed& slab : slabs)
      if (slab.plateau_voxel != no_voxel) plateau_voxel = slab.plateau_voxel;
    if (plateau_voxel != no_voxel)
      (plateau_[0] == range_.low ? least_ : greatest_).push_back(with_key(plateau_voxel, 0));
  }

  // Lists voxels of a row.
  void list_outside_interior(Voxel first, Voxel count, Listed& listed) const {
    const Level* const level = grid_.level.data() + first;
    listed.above.assign(count, 0);
    const bool exists_least = count_neighbors_above_level(range_.low, level, count, listed.across, listed.above.data());
    const bool exists_greatest =
        count_neighbors_above_level(range_.high, level, count, listed.across, listed.above.data());
    if (listed.between.capacity() == 0 && !interior.exists()) listed.between.reserve(images_.voxels_of_slab());
    for (Items& items : listed.row) items.resize(grid_.extent[D - 1] + 1);
    std::uint64_t *between = listed.row[0].data(), *least = listed.row[1].data(), *greatest = listed.row[2].data();
    if (!exists_least && !exists_greatest) {
      for (Voxel i = 0; i < count; ++i) *between++ = order_key(level[i], first + i);
    } else {
      for (Voxel i = 0; i < count; ++i) {  // without a branch, which could not be predicted
        const Voxel v = first + i;
        const int above = listed.above[i];
        const bool is_least = level[i] == range_.low, is_greatest = level[i] == range_.high;
        const bool is_on_plateau = above == 0 && is_at_plateau(v);
        *between = order_key(level[i], v);
        *least = *greatest = with_key(v, above);
        between += !is_least & !is_greatest;
        least += is_least & !is_on_plateau;
        greatest += is_greatest & !is_least & !is_on_plateau;
        listed.plateau_voxel = is_on_plateau ? v : listed.plateau_voxel;
      }
    }
    listed.between.insert(listed.between.end(), listed.row[0].data(), between);
    listed.least.insert(listed.least.end(), listed.row[1].data(), least);
    listed.greatest.insert(listed.greatest.end(), listed.row[2].data(), greatest);
  }

  bool is_at_plateau(Voxel v) const {
    return interior.exists() && grid_.level[v] == plateau_[0] && images_.grids()[of_label].level[v] == plateau_[1];
  }

  // What orders ties, but for the levels of a label that is not binary, and a voxel.
  std::uint64_t with_key(Voxel v, int neighbors_above) const {
    const bool label_is_high = images_.label_is_binary() && images_.binary_label_is_high(v);
    return std::uint64_t{static_cast<std::uint32_t>(neighbors_above + all + label_is_high * 2 * all)} << 32 | v;
  }

  // How many more of the neighbors of voxels next to one another are higher than lower.
  TOPO_ALSO_FOR_AVX2 void count_neighbors_above(const Level* center, Voxel length,
                                                std::int8_t* TOPO_RESTRICT out) const {
    constexpr Voxel lanes = 8;
    Voxel start = 0;
    for (; start + lanes <= length; start += lanes) {
      const Level* const here = center + start;
      std::int32_t above[lanes] = {};
      for (Voxel offset : box_offsets_) {
        const Level* const other = here + static_cast<std::int32_t>(offset);
        for (Voxel x = 0; x < lanes; ++x) above[x] += (other[x] > here[x]) - (other[x] < here[x]);
      }
      for (Voxel x = 0; x < lanes; ++x) out[start + x] = static_cast<std::int8_t>(above[x]);
    }
    for (; start < length; ++start) {
      const Level* const here = center + start;
      int above = 0;
      for (Voxel offset : box_offsets_) {
        const Level other = here[static_cast<std::int32_t>(offset)];
        above += (other > *here) - (other < *here);
      }
      out[start] = static_cast<std::int8_t>(above);
    }
  }

  // The same for those that have a level; returns whether there are any. All neighbors are compared with this level, and
  // the sums across the row are shared by voxels next to one another.
  TOPO_ALSO_FOR_AVX2 bool count_neighbors_above_level(Level level, const Level* center, Voxel length,
                                                      Array<std::int32_t>& across,
                                                      std::int8_t* TOPO_RESTRICT out) const {
    bool exists = false;
    for (Voxel x = 0; x < length; ++x) exists |= center[x] == level;
    if (!exists) return false;
    across.assign(length + 2, 0);
    std::int32_t* const sums = across.data();
    for (int row = 1; row < all; row += 3) {  // the middle of each row of the box
      const Level* const other = center + static_cast<std::int32_t>(box_offsets_[row]) - 1;
      for (Voxel x = 0; x < length + 2; ++x) sums[x] += (other[x] > level) - (other[x] < level);
    }
    for (Voxel x = 0; x < length; ++x) {
      const auto above = static_cast<std::int8_t>(sums[x] + sums[x + 1] + sums[x + 2]);
      out[x] = center[x] == level ? above : out[x];
    }
    return true;
  }

  void sort() {
    Items memory;
    radix_sort(between_, 32, memory, images_.threads());
    sort_ties();
    sort_by_key(least_, memory, images_.threads());
    sort_by_key(greatest_, memory, images_.threads());
    voxels.resize(least_.size() + between_.size() + greatest_.size());
    auto to = voxels.begin();
    for (Items* items : {&least_, &between_, &greatest_}) {
      for_each_slab(items->size(), images_.threads(), 1.0, [&](std::size_t first, std::size_t last) {
        std::transform(items->begin() + first, items->begin() + last, to + first,
                       [](std::uint64_t item) { return static_cast<Voxel>(item); });
      });
      to += items->size();
      Items().swap(*items);
    }
  }

  void sort_by_key(Items& ties, Items& memory, std::size_t threads) const {
    radix_sort(ties, 32, memory, threads);
    if (images_.label_is_binary()) return;
    for (std::uint64_t& tie : ties) {
      const auto v = static_cast<Voxel>(tie);
      tie = order_key(images_.level(v, of_label), v);
    }
    radix_sort(ties, 32, memory, threads);
  }

  bool is_tie(std::size_t i) const { return between_[i] >> 32 == between_[i - 1] >> 32; }

  // Sorts voxels of equal level between the least and the greatest, which come by index, by key.
  void sort_ties() {
    const RawArray<std::int8_t> above = neighbors_above_ties();
    if (above.empty()) return;
    Array<std::size_t> begin(num_slabs(between_.size(), images_.threads()) + 1);  // of slabs that share no ties
    for (std::size_t slab = 1; slab < begin.size(); ++slab) {
      const std::uint64_t last =
          between_[slab * between_.size() / (begin.size() - 1) - 1] | UINT32_MAX;  // of its level
      begin[slab] =
          static_cast<std::size_t>(std::upper_bound(between_.begin(), between_.end(), last) - between_.begin());
    }
    parallel_for(begin.size() - 1, images_.threads(), [&](std::size_t slab) {
      Items ties, memory;
      for (std::size_t first = begin[slab], end; first < begin[slab + 1]; first = end) {
        for (end = first + 1; end < begin[slab + 1] && is_tie(end);) ++end;
        if (end == first + 1) continue;
        const std::uint64_t level = between_[first] >> 32 << 32;
        ties.clear();
        for (std::size_t i = first; i < end; ++i) {
          const auto v = static_cast<Voxel>(between_[i]);
          ties.push_back(with_key(v, above[v]));
        }
        sort_by_key(ties, memory, 1);
        for (std::size_t i = first; i < end; ++i) between_[i] = level | static_cast<Voxel>(ties[i - first]);
      }
    });
  }

  // Has values at voxels between the least and the greatest level that have a level with others; none if there are none.
  RawArray<std::int8_t> neighbors_above_ties() const {
    constexpr Voxel block = 8;  // voxels whose neighbors are counted together
    Array<char> has_tie;
    for (std::size_t i = 1; i < between_.size(); ++i)
      if (is_tie(i)) {
        has_tie.resize(grid_.size() / block + 1);
        for (const std::size_t k : {i - 1, i}) has_tie[static_cast<Voxel>(between_[k]) / block] = 1;
      }
    RawArray<std::int8_t> above;
    if (has_tie.empty()) return above;
    above.resize(grid_.size());
    const Voxel begin = box_offsets_[all - 1], end = grid_.size() - begin;  // of voxels with all neighbors
    for_each_slab(has_tie.size(), images_.threads(), 10.0, [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) {
        if (!has_tie[i]) continue;
        const Voxel v = std::max(begin, static_cast<Voxel>(i) * block);
        count_neighbors_above(&grid_.level[v], std::min(end, static_cast<Voxel>(i + 1) * block) - v, &above[v]);
      }
    });
    return above;
  }

  const ImagePair<D>& images_;
  const Grid<D>& grid_;
  const LevelRange range_;
  const std::array<Voxel, all> box_offsets_;
  std::array<Level, 2> plateau_{};  // its level in each image
  Items between_, least_, greatest_;
};

}  // namespace topo
