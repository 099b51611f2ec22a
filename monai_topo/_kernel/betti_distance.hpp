// The Betti matching loss of an image: its features, those that are matched with a feature of the label, and the squared
// distance of matched features with its derivatives.
#pragma once

#include "betti_matching.hpp"
#include "binary_matching.hpp"
#include "persistence_distance.hpp"

namespace topo {

// What a feature costs, in the normalization of the authors of the matching, and the derivatives by birth and death: the
// distance to a feature of the label, birth 1 and death 0, twice, or to the diagonal, twice.
template <class T>
struct BettiCost {
  T value = 0, by_birth = 0, by_death = 0;

  BettiCost(const Feature<T>& feature, bool matched_cost) {
    if (feature.is_ignored || (feature.is_matched && !matched_cost)) return;
    if (feature.is_matched) {
      const T missing = feature.birth_value - 1;
      value = 2 * (missing * missing + feature.death_value * feature.death_value);
      by_birth = 4 * missing;
      by_death = 4 * feature.death_value;
    } else {
      const T persistence = feature.persistence();
      value = persistence * persistence;
      by_birth = 2 * persistence;
      by_death = -2 * persistence;
    }
  }
};

template <class T>
struct BettiDistance {
  Features<T> features;        // the essential class, then all pairs
  T essential_difference = 0;  // of its one critical value in image and label
  std::array<T, 3> error{};    // by dimension, without the essential class

  T essential_error() const {
    return features[0].is_ignored ? T{0} : 2 * (essential_difference * essential_difference);
  }
};

// The pairs of an image, sorted by (dim, birth, death), and which of them are matched; how many pairs of the label, by
// dimension, are not.
struct PairMatching {
  Array<Pair> pairs;
  std::vector<bool> is_matched;
  std::array<std::int64_t, 3> missing{};
};

// With a gradient of both images: dimension 1 of volumes needs it.
template <class T, int D>
PairMatching match_by_joint_gradient(const PatchValues<T>& image, const Extent<D>& extent, const Filtration& filtration,
                                     std::size_t threads, const StopFlag& stop) {
  auto matching = betti_matching<D>(image.values, image.label, extent, filtration, threads, stop);
  PairMatching found;
  found.is_matched.resize(matching.prediction.size(), false);
  found.pairs = std::move(matching.prediction);
  for (const Pair& pair : matching.label) ++found.missing[pair.dim];
  for (const auto& match : matching.matched) {
    found.is_matched[match.first] = true;
    --found.missing[matching.label[match.second].dim];
  }
  return found;
}

template <class T, int D>
PairMatching match_binary(const PatchValues<T>& image, const Extent<D>& extent, const DistanceSettings& settings,
                          std::size_t threads, const StopFlag& stop, BinaryScratch<D>& scratch) {
  const Filtration& filtration = settings.filtration;
  LabelRegions label(make_mask(image.label, extent), settings.full(), settings.foreground_border(), 0);
  BinaryMatcher<D> matcher(image.values, image.label, label, extent, filtration, threads, stop, scratch);
  const auto by_dim = matcher.run();
  const auto last = static_cast<Voxel>(num_voxels(extent) - 1);
  const Grid<D>& grid = matcher.grid();
  PairMatching found;
  for (int dim = 0; dim < D; ++dim) {
    const BinaryMatching& of_dim = by_dim[filtration.complex_dim<D>(dim)];
    found.missing[dim] = of_dim.missing;
    Array<std::uint64_t> keys;  // birth, death and one bit
    keys.reserve(of_dim.pairs.size());
    for (std::size_t i = 0; i < of_dim.pairs.size(); ++i) {
      Voxel birth = grid.image_index(of_dim.pairs[i].first), death = grid.image_index(of_dim.pairs[i].second);
      if (filtration.dual) std::tie(birth, death) = std::make_pair(last - death, last - birth);
      keys.push_back(std::uint64_t{birth} << 32 | std::uint64_t{death} << 1 | of_dim.is_matched[i]);
    }
    radix_sort(keys);
    for (const std::uint64_t key : keys) {
      found.pairs.push_back({static_cast<Voxel>(dim), static_cast<Voxel>(key >> 32), static_cast<Voxel>(key) >> 1});
      found.is_matched.push_back(key & 1);
    }
  }
  return found;
}

// The essential classes are matched with each other.
template <class T, int D>
BettiDistance<T> betti_distance(const PatchValues<T>& image, const Extent<D>& extent, const DistanceSettings& settings,
                                std::size_t threads, const StopFlag& stop, BinaryScratch<D>& scratch) {
  const std::size_t count = num_voxels(extent);
  const auto range = value_range(image.values, count);
  const bool is_likelihood = range.first >= 0 && range.second <= 1;
  const bool has_middle = D == 3 && settings.filtration.reports(1);
  const PairMatching matching = is_likelihood && !has_middle
                                    ? match_binary<T>(image, extent, settings, threads, stop, scratch)
                                    : match_by_joint_gradient<T>(image, extent, settings.filtration, threads, stop);
  BettiDistance<T> found;
  found.features.reserve(matching.pairs.size() + 1);
  found.features.push_back(essential_class<D>(image, count, range, settings.foreground_border()));
  Feature<T>& essential = found.features[0];
  essential.is_matched = true;
  essential.is_ignored = !settings.filtration.reports(static_cast<int>(essential.dim));
  const Bit extreme = settings.foreground_border() ? 0 : 1;
  const bool has_extreme = std::find(image.label, image.label + count, extreme) != image.label + count;
  found.essential_difference = image.values[essential.birth] - static_cast<T>(has_extreme ? extreme : 1 - extreme);
  for (std::size_t i = 0; i < matching.pairs.size(); ++i) {
    const Pair& pair = matching.pairs[i];
    found.features.push_back(
        {pair.dim, pair.birth, pair.death, image.values[pair.birth], image.values[pair.death], matching.is_matched[i]});
  }
  // Matched features first, then the others, then those of the label: sums have the bits that torch gives them.
  for (const bool is_matched : {true, false})
    for (std::size_t i = 1; i < found.features.size(); ++i)
      if (const Feature<T>& feature = found.features[i]; feature.is_matched == is_matched)
        found.error[feature.dim] += BettiCost<T>(feature, settings.matched_cost).value;
  for (int dim = 0; dim < D; ++dim)
    for (std::int64_t i = 0; i < matching.missing[dim]; ++i) found.error[dim] += 1;
  return found;
}

}  // namespace topo
