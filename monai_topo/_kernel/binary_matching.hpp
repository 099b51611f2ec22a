// The induced matching of an image with a binary label in dimensions 0 and D - 1, without a gradient that they share.
//
// The label needs no pairs of its own: its classes are its components and its holes, all of one birth and one death.
// Image and comparison have lower stars each. Of one of the two dimensions the comparison shares its extrema with the
// images, of the other its saddles:
//
// - Where basins of the comparison merge, each holds the oldest extremum of the image that lies in it, and a class of the
//   label if the level of its own extremum is the label's: comparison_merges.hpp.
// - Where basins of the image merge, each holds the oldest extremum of the comparison that lies in it. One dies with
//   every pair of the image, and a class of the label whose oldest extremum this is has the same death, or birth.
//
// Where a voxel is the birth, or the death, of several classes the matching is not unique; betti_matching.hpp may then
// choose another one.
#pragma once

#include "comparison_merges.hpp"
#include "feature_matching.hpp"
#include "labeled_grid.hpp"
#include "persistence_pairs.hpp"

namespace topo {

// The pairs of an image in one dimension of the filtered complex, as voxels of the grid, and which of them are matched;
// how many features of the label are not.
struct BinaryMatching {
  VoxelPairs pairs;
  std::vector<bool> is_matched;
  std::int64_t missing = 0;
};

// Large arrays that a thread keeps from image to image.
template <int D>
struct BinaryScratch {
  Levels values, level[2];
  StarArray<D> star[2];
  CellNumbers numbers[2];
};

template <int D>
class BinaryMatcher {
 public:
  template <class T>
  BinaryMatcher(const T* values, const Bit* label_bits, LabelRegions& label, const Extent<D>& extent,
                const Filtration& filtration, std::size_t threads, const StopFlag& stop, BinaryScratch<D>& scratch)
      : filtration_(filtration),
        threads_(threads),
        stop_(stop),
        scratch_(scratch),
        label_(label),
        grid_{labeled_grid(values, label_bits, extent, filtration, levels_, scratch.values, std::move(scratch.level[0]),
                           threads)},
        comparison_{comparison_grid(grid_, levels_, filtration.dual, std::move(scratch.level[1]), threads)},
        stars_(grid_, threads, stop, std::move(scratch.star[0])),
        comparison_stars_(comparison_, threads, stop, std::move(scratch.star[1])) {}

  ~BinaryMatcher() {
    scratch_.level[0] = std::move(grid_.level);
    scratch_.level[1] = std::move(comparison_.level);
    scratch_.star[0] = std::move(stars_.star);
    scratch_.star[1] = std::move(comparison_stars_.star);
  }

  const Grid<D>& grid() const { return grid_; }

  // By dimension of the filtered complex, in grid voxels.
  std::array<BinaryMatching, D> run() {
    std::array<BinaryMatching, D> found;
    const unsigned dims = filtration_.complex_dims<D>();
    const auto match_dim = [&](std::size_t part) {
      const int dim = part == 0 ? 0 : D - 1;
      if (!has_bit(dims, dim)) return;
      if (dim == 0)
        match(DescendingPath<D>{grid_, stars_.star}, DescendingPath<D>{comparison_, comparison_stars_.star},
              scratch_.numbers[0], found[0]);
      else
        match(AscendingPath<D>{grid_, stars_.star}, AscendingPath<D>{comparison_, comparison_stars_.star},
              scratch_.numbers[1], found[D - 1]);
    };
    parallel_for(2, useful_threads(threads_, 10.0 * grid_.size()), match_dim, threads_);
    return found;
  }

 private:
  using Age = OrderKey;               // of an extremum: its place in the order of one image
  static constexpr int tie_bit = 31;  // no voxel has it

  // Matches in the dimension of the paths, one of the image and one of the comparison.
  template <class Path>
  void match(const Path& of_image, const Path& of_comparison, CellNumbers& numbers, BinaryMatching& found) {
    const int dim = filtration_.complex_dim<D>(Path::ascends ? D - 1 : 0);
    const ComponentMap& regions = label_.of_dim(dim);
    found.missing = regions.count() - (has_outside<Path>() || regions.count() == 0 ? 0 : 1);
    if (Path::ascends == filtration_.dual)
      match_extrema(of_image, of_comparison, numbers, found);
    else
      match_saddles(of_image, of_comparison, numbers, regions, found);
    for (const bool is_matched : found.is_matched) found.missing -= is_matched;
    drop_pairs_without_persistence(found);
  }

  // Whether all that lies outside the image is a class of the label, which then is the essential one.
  template <class Path>
  bool has_outside() const {
    return Path::ascends != filtration_.framed;
  }
  static constexpr Age outside_age(bool ascends) { return ascends ? UINT64_MAX : 0; }
  static constexpr Age youngest_age(bool ascends) { return ascends ? 0 : UINT64_MAX; }
  template <class Path>
  static bool older(Age a, Age b) {
    return Path::ascends ? a > b : a < b;
  }
  // Whether a class at the level of an extremum lives at the level of a saddle.
  template <class Path>
  static bool lives(Level extremum, Level saddle) {
    return Path::ascends ? saddle < extremum : extremum < saddle;
  }

  template <class Path>
  void match_extrema(const Path& of_image, const Path& of_comparison, CellNumbers& numbers, BinaryMatching& found) {
    Basins image = find_basins(of_image, stars_.critical, numbers, threads_, stop_);
    found.pairs = pair_extrema(of_image, image, stop_);
    Basins basins = find_basins(of_comparison, comparison_stars_.critical, numbers, threads_, stop_);

    // Of every basin of the comparison: the oldest extremum of the image, by its index, and the ages for both images.
    const std::size_t count = basins.extrema.size() + 1;
    Array<Age> in_image(count, youngest_age(Path::ascends)), in_label(count);
    Array<Voxel> walked;
    for (Voxel extremum : image.extrema) {
      Age& oldest = in_image[basin_of(of_comparison, of_image.start(extremum), numbers, walked)];
      const Age age = grid_.key(extremum);
      if (older<Path>(age, oldest)) oldest = age;
    }
    in_image[0] = in_label[0] = outside_age(Path::ascends);
    for (std::size_t basin = 1; basin < count; ++basin) {
      // Of the classes of the label, which are all of one age, that with the youngest extremum of the image survives: the
      // strongest features of the image are matched.
      const bool is_high = LabeledLevels::is_high(comparison_.level[basins.extrema[basin - 1]]);
      in_label[basin] = (std::uint64_t{is_high} << 63) | (~in_image[basin] >> 1);
    }

    std::vector<bool> is_matched(grid_.size(), false);  // extrema
    match_merges(merges(of_comparison, basins), {&in_image, &in_label}, Path::ascends,
                 [&](Node in_prediction, Node of_label, Level level) {
                   const Age age = in_image[in_prediction];
                   if (age == youngest_age(Path::ascends)) return;
                   const auto voxel = static_cast<Voxel>(age);
                   const Level own = LabeledLevels::of_value(grid_.level[voxel]);
                   const Level labels = in_label[of_label] >> 63 ? levels_.high : levels_.low;
                   if (lives<Path>(own, level) && lives<Path>(labels, level)) is_matched[voxel] = true;
                 });
    for (const auto& [birth, death] : found.pairs)
      found.is_matched.push_back(is_matched[Path::ascends ? death : birth]);
  }

  // The merges of the comparison, in its order.
  template <class Path>
  static Array<Merge> merges(const Path& path, const Basins& basins) {
    Array<Merge> merges;
    for (const OrderKey key : sorted_saddles(path, basins)) {
      const Saddle& saddle = basins.saddles[static_cast<std::uint32_t>(key)];
      merges.push_back({saddle.sides[0], saddle.sides[1], LabeledLevels::of_value(path.grid.level[saddle.voxel()])});
    }
    return merges;
  }

  template <class Path>
  void match_saddles(const Path& of_image, const Path& of_comparison, CellNumbers& numbers, const ComponentMap& regions,
                     BinaryMatching& found) {
    Basins image = find_basins(of_image, stars_.critical, numbers, threads_, stop_);
    Array<Voxel> extrema;  // of the comparison
    for (CriticalVoxels& critical : comparison_stars_.critical) {
      const Array<Voxel>& of_part = Path::extrema(critical);
      extrema.insert(extrema.end(), of_part.begin(), of_part.end());
    }
    const OldestExtrema of_regions = oldest_of_regions<Path>(extrema, regions);
    // Of every basin of the image: the oldest extremum of the comparison.
    Array<Age> oldest(image.extrema.size() + 1, youngest_age(Path::ascends));
    Array<Voxel> walked;
    for (Voxel extremum : extrema) {
      Age& of_basin = oldest[basin_of(of_image, of_comparison.start(extremum), numbers, walked)];
      // Of equal levels those come first that are the oldest of a class of the label: more is matched.
      const Age age = comparison_.key(extremum) | (Age{of_regions.marks[extremum] == Path::ascends} << tie_bit);
      if (older<Path>(age, of_basin)) of_basin = age;
    }
    oldest[0] = outside_age(Path::ascends);
    found.pairs = pair_extrema(of_image, image, stop_, [&](Node elder, Node younger, Voxel saddle) {
      Age dies = oldest[younger];
      if (older<Path>(dies, oldest[elder])) std::swap(dies, oldest[elder]);
      const Voxel voxel = static_cast<Voxel>(dies) & ~(Voxel{1} << tie_bit);
      found.is_matched.push_back(
          dies != youngest_age(Path::ascends) && of_regions.marks[voxel] && voxel != of_regions.essential &&
          lives<Path>(LabeledLevels::of_value(comparison_.level[voxel]), LabeledLevels::of_value(grid_.level[saddle])));
    });
  }

  // The extrema of the comparison that are the oldest in a class of the label; that of its essential class.
  struct OldestExtrema {
    std::vector<bool> marks;
    Voxel essential = no_voxel;
  };

  template <class Path>
  OldestExtrema oldest_of_regions(const Array<Voxel>& extrema, const ComponentMap& regions) const {
    const Level background = Path::ascends ? levels_.low : levels_.high;  // where the classes of the label end
    Array<Age> oldest(static_cast<std::size_t>(regions.count()) + 1, youngest_age(Path::ascends));
    const auto last = static_cast<Voxel>(num_voxels(grid_.extent) - 1);
    for (Voxel extremum : extrema) {
      if (!lives<Path>(LabeledLevels::of_value(comparison_.level[extremum]), background)) continue;
      const Voxel index = grid_.image_index(extremum);
      const std::int32_t region = regions.at(filtration_.dual ? last - index : index);
      if (region < 1) continue;
      Age& of_region = oldest[static_cast<std::size_t>(region)];
      const Age age = comparison_.key(extremum);
      if (older<Path>(age, of_region)) of_region = age;
    }
    OldestExtrema found{std::vector<bool>(grid_.size(), false)};
    for (const Age age : oldest)
      if (age != youngest_age(Path::ascends)) found.marks[static_cast<Voxel>(age)] = true;
    if (!has_outside<Path>())
      found.essential = static_cast<Voxel>(*std::min_element(oldest.begin(), oldest.end(), older<Path>));
    return found;
  }

  void drop_pairs_without_persistence(BinaryMatching& found) const {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < found.pairs.size(); ++i) {
      const auto [birth, death] = found.pairs[i];
      if (LabeledLevels::of_value(grid_.level[birth]) == LabeledLevels::of_value(grid_.level[death])) continue;
      found.pairs[kept] = found.pairs[i];
      found.is_matched[kept++] = found.is_matched[i];
    }
    found.pairs.resize(kept);
    found.is_matched.resize(kept);
  }

  const Filtration filtration_;
  const std::size_t threads_;
  const StopFlag& stop_;
  BinaryScratch<D>& scratch_;
  LabelRegions& label_;
  LabeledLevels levels_;
  Grid<D> grid_, comparison_;
  LowerStars<D> stars_, comparison_stars_;
};

}  // namespace topo
