// The Betti matching loss of an image: its features, those that are matched with a feature of the label, and the squared
// distance of matched features with its derivatives.
#pragma once

#include "betti_matching.hpp"
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

// `label`: 0 and 1. The essential classes are matched with each other.
template <class T, int D>
BettiDistance<T> betti_distance(const PatchValues<T>& image, const std::vector<T>& label, const Extent<D>& extent,
                                const DistanceSettings& settings, std::size_t threads, const StopFlag& stop) {
  const std::size_t count = num_voxels(extent);
  const auto matching = betti_matching<D, T>({image.values, label.data()}, extent, settings.filtration, threads, stop);
  BettiDistance<T> found;
  found.features.reserve(matching.prediction.size() + 1);
  found.features.push_back(
      essential_class<D>(image, count, value_range(image.values, count), settings.foreground_border()));
  Feature<T>& essential = found.features[0];
  essential.is_matched = true;
  essential.is_ignored = !settings.filtration.reports(static_cast<int>(essential.dim));
  const Bit extreme = settings.foreground_border() ? 0 : 1;
  const bool has_extreme = std::find(image.label, image.label + count, extreme) != image.label + count;
  found.essential_difference = image.values[essential.birth] - static_cast<T>(has_extreme ? extreme : 1 - extreme);
  for (const Pair& pair : matching.prediction)
    found.features.push_back({pair.dim, pair.birth, pair.death, image.values[pair.birth], image.values[pair.death]});
  for (const auto& match : matching.matched) found.features[match.first + 1].is_matched = true;
  // Matched features first, then the others, then those of the label: sums have the bits that torch gives them.
  for (const bool is_matched : {true, false})
    for (std::size_t i = 1; i < found.features.size(); ++i)
      if (const Feature<T>& feature = found.features[i]; feature.is_matched == is_matched)
        found.error[feature.dim] += BettiCost<T>(feature, settings.matched_cost).value;
  std::vector<bool> label_is_matched(matching.label.size(), false);
  for (const auto& match : matching.matched) label_is_matched[match.second] = true;
  for (std::size_t i = 0; i < matching.label.size(); ++i)
    if (!label_is_matched[i]) found.error[matching.label[i].dim] += 1;
  return found;
}

}  // namespace topo
