// The persistence loss of an image: its features, the features of the label that they are matched with, and the squared
// distance of the two diagrams with its derivatives.
#pragma once

#include "feature_matching.hpp"
#include "patches.hpp"
#include "persistence_pairs.hpp"

namespace topo {

struct DistanceSettings {
  Filtration filtration;  // of superlevel sets
  Matching matching = Matching::wasserstein;
  double min_label_size = 0;
  bool matched_cost = true;  // whether matched features cost their squared distance, or nothing

  bool full() const { return filtration.dual; }
  bool foreground_border() const { return filtration.framed != filtration.dual; }
};

// The features of an image: the essential class, then all pairs.
template <class T>
struct MatchedFeatures {
  Features<T> features;
  std::int64_t missing = 0;  // features of the label without a partner
};

// The least and the greatest value. Several of each are kept, so that compilers use vectors.
template <class T>
std::pair<T, T> value_range(const T* values, std::size_t count) {
  constexpr std::size_t lanes = 16;
  std::array<T, lanes> least, greatest;
  least.fill(values[0]);
  greatest.fill(values[0]);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (std::size_t k = 0; k < lanes; ++k) {
      least[k] = values[i + k] < least[k] ? values[i + k] : least[k];
      greatest[k] = values[i + k] > greatest[k] ? values[i + k] : greatest[k];
    }
  const auto [first, last] = std::minmax_element(values + i, values + count);
  std::pair<T, T> range{*std::min_element(least.begin(), least.end()),
                        *std::max_element(greatest.begin(), greatest.end())};
  if (i < count) range = {std::min(range.first, *first), std::max(range.second, *last)};
  return range;
}

// The essential class: with an open border the component born at the first greatest value, which dies at 0; else the hole
// that the frame surrounds, born at 1, which dies at the last least value. In a constant image it is the first voxel of
// the label, or of its background.
template <int D, class T>
Feature<T> essential_class(const PatchValues<T>& image, std::size_t count, std::pair<T, T> range,
                           bool foreground_border) {
  const Bit wanted = foreground_border ? 0 : 1;
  const T extreme = foreground_border ? range.first : range.second;
  const Bit* const label_end = image.label + count;
  std::size_t voxel;
  const Bit* preferred = range.first == range.second ? std::find(image.label, label_end, wanted) : label_end;
  if (preferred != label_end)
    voxel = static_cast<std::size_t>(preferred - image.label);
  else if (foreground_border)
    for (voxel = count - 1; image.values[voxel] != extreme; --voxel) {
    }
  else
    voxel = static_cast<std::size_t>(std::find(image.values, image.values + count, extreme) - image.values);
  const auto v = static_cast<Voxel>(voxel);
  if (foreground_border) return {D - 1, v, v, 1, image.values[voxel]};
  return {0, v, v, image.values[voxel], 0};
}

template <int D, class T>
std::int64_t match_all_by_value(Features<T>& features, LabelRegions& label, const DistanceSettings& settings) {
  std::int64_t missing = 0;
  features[0].is_ignored = !settings.filtration.reports(static_cast<int>(features[0].dim));
  for (int dim = 0; dim < D; ++dim) {
    if (!settings.filtration.reports(dim)) continue;
    const bool is_middle = D == 3 && dim == 1, has_essential = static_cast<int>(features[0].dim) == dim;
    std::int64_t number = is_middle ? label.num_loops() : label.of_dim(dim).count();
    missing += number;
    if (has_essential) {  // the essential classes are matched with each other
      features[0].is_matched = number > 0;
      missing -= features[0].is_matched;
      number -= features[0].is_matched;
    }
    Members members;
    for (std::uint32_t i = 1; i < features.size(); ++i)
      if (static_cast<int>(features[i].dim) == dim) members.push_back(i);
    missing -= match_by_value(features, std::move(members), number, settings.matching == Matching::rank);
  }
  return missing;
}

template <class T, int D>
MatchedFeatures<T> matched_features(const PatchValues<T>& image, const Extent<D>& extent,
                                    const DistanceSettings& settings, std::size_t threads, const StopFlag& stop,
                                    Scratch<D>& scratch) {
  const std::size_t count = num_voxels(extent);
  const bool is_spatial = settings.matching == Matching::spatial;
  const unsigned dims = settings.filtration.dims;
  LabelRegions label(make_mask(image.label, extent), settings.full(), settings.foreground_border(),
                     settings.min_label_size);
  Array<Pair> pairs;
  Capacities capacities;
  const auto pairs_or_label = [&](std::size_t part) {
    if (part == 0)
      pairs = persistence_pairs<D>(image.values, extent, settings.filtration, threads, stop, scratch);
    else if (is_spatial)
      capacities = label.capacities(dims);
  };
  parallel_for(2, is_spatial ? useful_threads(threads, 5.0 * count) : 1, pairs_or_label, threads);
  const auto range = value_range(image.values, count);
  MatchedFeatures<T> found;
  found.features.reserve(pairs.size() + 1);
  found.features.push_back(essential_class<D>(image, count, range, settings.foreground_border()));
  for (const Pair& pair : pairs)
    found.features.push_back({pair.dim, pair.birth, pair.death, image.values[pair.birth], image.values[pair.death]});
  found.missing = is_spatial ? match_all_by_location(found.features, label, capacities, dims, range.second)
                             : match_all_by_value<D>(found.features, label, settings);
  return found;
}

// The squared distance of a matched feature to the label's, birth 1 and death 0, or of another one to the diagonal; and
// its derivatives by birth and death.
template <class T>
struct FeatureCost {
  T value = 0, by_birth = 0, by_death = 0;

  FeatureCost(const Feature<T>& feature, bool matched_cost) {
    if (feature.is_ignored || (feature.is_matched && !matched_cost)) return;
    if (feature.is_matched) {
      const T missing = feature.birth_value - 1;
      value = missing * missing + feature.death_value * feature.death_value;
      by_birth = 2 * missing;
      by_death = 2 * feature.death_value;
    } else {
      const T persistence = feature.persistence();
      value = persistence * persistence / 2;
      by_birth = persistence;
      by_death = -persistence;
    }
  }
};

}  // namespace topo
