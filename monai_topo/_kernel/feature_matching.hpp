// Which predicted features of an image are matched with features of a binary label, by location or by value. The rules
// are explained in persistence/feature_matching.py.
#pragma once

#include <algorithm>
#include <numeric>

#include "array.hpp"
#include "grid.hpp"
#include "label_regions.hpp"

namespace topo {

enum class Matching : int { wasserstein, rank, spatial };

template <class T>
struct Feature {
  Voxel dim, birth, death;  // voxels as C-order indices into the image
  T birth_value, death_value;
  bool is_matched = false, is_ignored = false;

  T persistence() const { return birth_value - death_value; }
};

template <class T>
using Features = Array<Feature<T>>;
using Members = Array<std::uint32_t>;  // indices of features

// Keeps the `number` members of the greatest keys, in their order; of equal keys the first ones.
template <class Key>
void keep_greatest(Members& members, std::int64_t number, Key key) {
  if (number >= static_cast<std::int64_t>(members.size())) return;
  const auto middle = members.begin() + std::max<std::int64_t>(number, 0);
  const auto before = [&](auto a, auto b) { return key(a) > key(b) || (key(a) == key(b) && a < b); };
  if (middle != members.begin()) std::nth_element(members.begin(), middle - 1, members.end(), before);
  members.erase(middle, members.end());
}

template <class T>
class LocationMatching {
 public:
  LocationMatching(Features<T>& features, LabelRegions& label) : features_(features), label_(label) {}

  // Matches the features of one dimension. Returns how many features of the label are missing.
  std::int64_t match(int dim, const Capacity& capacity, T greatest) {
    std::int64_t missing = 0;
    for (const std::int64_t room : capacity) missing += std::max<std::int64_t>(room, 0);
    const bool is_middle = dim != 0 && dim != label_.top_dim();
    return missing - (is_middle ? match_loops(dim, capacity, greatest, missing) : match_regions(dim, capacity));
  }

 private:
  // Components by their birth voxel, holes by their death voxel. A region has room for one feature.
  std::int64_t match_regions(int dim, const Capacity& capacity) {
    constexpr std::uint32_t none = UINT32_MAX;
    Members best(capacity.size(), none);
    const ComponentMap& regions = label_.of_dim(dim);
    for_each_of(dim, [&](std::uint32_t i) {
      Feature<T>& feature = features_[i];
      const std::size_t region = regions.at(dim == 0 ? feature.birth : feature.death) + 1;
      feature.is_ignored = capacity[region] < 0;
      if (capacity[region] <= 0) return;
      if (best[region] == none || feature.persistence() > features_[best[region]].persistence()) best[region] = i;
    });
    return take(best, none);
  }

  // Loops of a volume by their birth voxel, if they die outside the label; then those born at the greatest value, which
  // may have a voxel of another component.
  std::int64_t match_loops(int dim, const Capacity& capacity, T greatest, std::int64_t room) {
    const ComponentMap& components = label_.components();
    Array<Members> of_region(capacity.size());
    Members late;
    for_each_of(dim, [&](std::uint32_t i) {
      Feature<T>& feature = features_[i];
      const std::size_t region = components.at(feature.birth) + 1;
      feature.is_ignored = capacity[region] < 0;
      if (components.at(feature.death) != 0) return;
      of_region[region].push_back(i);
      if (feature.birth_value == greatest && !feature.is_ignored) late.push_back(i);
    });
    const auto persistence = [&](std::uint32_t i) { return features_[i].persistence(); };
    std::int64_t taken = 0;
    for (std::size_t region = 0; region < of_region.size(); ++region) {
      keep_greatest(of_region[region], capacity[region], persistence);
      taken += take(of_region[region]);
    }
    late.erase(std::remove_if(late.begin(), late.end(), [&](auto i) { return features_[i].is_matched; }), late.end());
    keep_greatest(late, room - taken, persistence);
    return taken + take(late);
  }

  template <class Visit>
  void for_each_of(int dim, Visit visit) const {
    for (std::uint32_t i = 0; i < features_.size(); ++i)
      if (static_cast<int>(features_[i].dim) == dim) visit(i);
  }

  std::int64_t take(const Members& members, std::uint32_t none = UINT32_MAX) {
    std::int64_t taken = 0;
    for (const std::uint32_t i : members) {
      if (i == none) continue;
      features_[i].is_matched = true;
      ++taken;
    }
    return taken;
  }

  Features<T>& features_;
  LabelRegions& label_;
};

// Matches the features of all dimensions in `dims`, a bit for each, and ignores the others. `capacities`: of the label.
// `greatest`: the greatest value of the image. Returns how many features of the label are missing.
template <class T>
std::int64_t match_all_by_location(Features<T>& features, LabelRegions& label, const Capacities& capacities,
                                   unsigned dims, T greatest) {
  for (Feature<T>& feature : features) feature.is_ignored = true;
  LocationMatching<T> matching(features, label);
  std::int64_t missing = 0;
  for (int dim = 0; dim <= label.top_dim(); ++dim)
    if (has_bit(dims, dim)) missing += matching.match(dim, capacities[dim], greatest);
  return missing;
}

// Matches some features with `number` features of the label by value alone. Returns how many are matched.
template <class T>
std::int64_t match_by_value(Features<T>& features, Members members, std::int64_t number, bool by_rank) {
  const auto key = [&](std::uint32_t i) {
    const T birth = features[i].birth_value, death = features[i].death_value;
    if (by_rank) return birth - death;
    const T off_center = birth + death - 1;  // of the line from (1, 0), where the label's features are, to the diagonal
    return (birth - death) - off_center * off_center / 2;
  };
  keep_greatest(members, number, key);
  std::int64_t matched = 0;
  for (const std::uint32_t i : members) {
    features[i].is_matched = by_rank || key(i) > 0;
    matched += features[i].is_matched;
  }
  return matched;
}

}  // namespace topo
