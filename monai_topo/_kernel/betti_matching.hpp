// Induced matching of the persistence pairs of two images (Stucki, Paetzold, Shit, Menze, Bauer, ICML 2023).
//
// The comparison filtration is the union of the sublevel sets of both images at every level: the lesser of the two
// values. A class of one image is mapped into the comparison, and classes of the two images are matched if they become
// the same class there. This is image persistence (Bauer and Schmahl 2022): births in one order, deaths in another.
// With full connectivity, which is the dual, the comparison lies inside both images: births then follow the comparison,
// deaths the images.
#pragma once

#include <tuple>

#include "joint_extremum_pairs.hpp"
#include "joint_saddle_reductions.hpp"
#include "persistence_pairs.hpp"

namespace topo {

// Pairs of both images, sorted by (dim, birth, death), and which of them are matched, as indices into the two lists.
struct BettiMatching {
  Array<Pair> prediction, label;
  Array<std::pair<std::size_t, std::size_t>> matched;
};

// Sorts pairs, equal ones as they come; returns the new position of each.
inline Array<std::size_t> sort_pairs(Array<Pair>& pairs) {
  Array<std::uint64_t> items(pairs.size()), memory;
  for (std::size_t i = 0; i < pairs.size(); ++i) items[i] = (std::uint64_t{pairs[i].birth} << 32) | i;
  radix_sort(items, 32, memory);
  const auto pair = [&](std::uint64_t item) -> const Pair& { return pairs[static_cast<std::uint32_t>(item)]; };
  for (std::size_t begin = 0, end = 1; begin < items.size(); begin = end++) {
    while (end < items.size() && items[end] >> 32 == items[begin] >> 32) ++end;
    if (end > begin + 1)
      std::sort(items.begin() + begin, items.begin() + end, [&](std::uint64_t a, std::uint64_t b) {
        return std::make_pair(pair(a).death, a) < std::make_pair(pair(b).death, b);
      });
  }
  Array<std::size_t> position(pairs.size()), start(5, 0);
  for (const Pair& at : pairs) ++start[at.dim + 1];
  std::partial_sum(start.begin(), start.end(), start.begin());
  Array<Pair> sorted(pairs.size());
  for (const std::uint64_t item : items) {
    const std::size_t to = start[pair(item).dim]++;
    position[static_cast<std::uint32_t>(item)] = to;
    sorted[to] = pair(item);
  }
  pairs = std::move(sorted);
  return position;
}

inline void sort_matching(BettiMatching& matching) {
  const auto prediction = sort_pairs(matching.prediction), label = sort_pairs(matching.label);
  for (auto& [a, b] : matching.matched) a = prediction[a], b = label[b];
  std::sort(matching.matched.begin(), matching.matched.end());
}

// The pairs of one dimension of the filtered complex in both images, and the matches, as indices into the lists.
struct DimensionMatching {
  VoxelPairs prediction, label;
  Array<std::pair<std::size_t, std::size_t>> matched;
};

template <int D>
class InducedMatching {
 public:
  InducedMatching(JointOrders<D>&& orders, bool dual, unsigned dims, std::size_t threads, const StopFlag& stop)
      : dual_(dual),
        dims_(dims),
        threads_(threads),
        stop_(stop),
        orders_(std::move(orders)),
        gradient_(orders_, threads, stop) {}

  // By dimension of the filtered complex; those that are not in `dims` stay empty.
  std::array<DimensionMatching, D> run() {
    const bool has_middle = D == 3 && has_bit(dims_, 1);
    std::array<DimensionMatching, D> found;
    std::array<UnpairedSaddles, 2> unpaired;
    parallel_for(2, threads_, [&](std::size_t part) {
      const int dim = part == 0 ? 0 : D - 1;
      if (has_middle || has_bit(dims_, dim)) match_extrema(dim, has_middle ? &unpaired[part] : nullptr, found[dim]);
    });
    if constexpr (D == 3)
      if (has_middle) match_saddles(unpaired[0], std::move(unpaired[1]), found[1]);
    return found;
  }

 private:
  using Index = std::uint32_t;  // of a critical cell
  static constexpr Index none = UINT32_MAX;
  static constexpr std::array<Order, 2> images = {of_prediction, of_label};

  // Births and deaths of the map from an image to the comparison, or back.
  Order births(Order image) const { return dual_ ? of_comparison : image; }
  Order deaths(Order image) const { return dual_ ? image : of_comparison; }
  bool is_same(Order a, Order b) const { return orders_.index(a) == orders_.index(b); }

  bool has_persistence(Voxel birth, Order in_births, Voxel death, Order in_deaths) const {
    return orders_.level(birth, in_births) < orders_.level(death, in_deaths);
  }

  // Pairs in dimension 0 or D - 1 of one order, or of the map between two.
  using ExtremumPairs = Array<ExtremumPair>;
  ExtremumPairs extremum_pairs(const JointBasins<D>& basins, bool is_top, Order birth, Order death) const {
    return basins.pairs(orders_.index(is_top ? death : birth), orders_.index(is_top ? birth : death));
  }

  // Saddles of dimension 0 or D - 1 that are in no pair, by index of the order: dimension 1 of volumes needs them.
  using UnpairedSaddles = std::array<Array<Index>, num_orders>;

  void match_extrema(int dim, UnpairedSaddles* unpaired, DimensionMatching& found) const {
    const bool is_top = dim == D - 1;
    const JointBasins<D> basins(gradient_, is_top);
    const auto voxels = [&](const ExtremumPair& pair, Order birth, Order death) {
      const Voxel extremum = basins.extremum(pair.extremum, orders_.index(is_top ? death : birth));
      const Voxel saddle = basins.saddle(pair.saddle, orders_.index(is_top ? birth : death));
      return is_top ? std::make_pair(saddle, extremum) : std::make_pair(extremum, saddle);
    };
    const auto persists = [&](const ExtremumPair& pair, Order birth, Order death) {
      const auto [born, dead] = voxels(pair, birth, death);
      return has_persistence(born, birth, dead, death);
    };
    const bool own_is_extremum = is_top == dual_;  // the cell of a pair that the comparison does not share
    std::array<ExtremumPairs, num_orders> pairs;
    std::array<Array<Index>, 2> index;  // into the list of an image, by own cell
    for (Order o : all_orders) {
      if (o == of_comparison && (unpaired == nullptr || is_same(o, of_label))) break;
      pairs[o] = extremum_pairs(basins, is_top, o, o);
      if (unpaired != nullptr) (*unpaired)[orders_.index(o)] = basins.unpaired(pairs[o], orders_.index(o));
      if (o == of_comparison || !has_bit(dims_, dim)) continue;
      VoxelPairs& list = o == of_prediction ? found.prediction : found.label;
      if (o == of_prediction) list.reserve(pairs[o].size());
      index[o].assign(own_is_extremum ? basins.num_extrema() : basins.num_saddles(), none);
      for (const ExtremumPair& pair : pairs[o]) {
        const auto [birth, death] = voxels(pair, o, o);
        if (!has_persistence(birth, o, death, o)) continue;
        index[o][own_is_extremum ? pair.extremum : pair.saddle] = static_cast<Index>(list.size());
        list.emplace_back(birth, death);
      }
    }
    if (!has_bit(dims_, dim)) return;
    if (own_is_extremum) {
      basins.match_by_comparison([&](Node in_prediction, Node in_label, Level level) {
        const auto lives_on = [&](Node extremum, Order o) {
          const Level at = orders_.level(basins.extremum(extremum, orders_.index(o)), o);
          return is_top ? level < at : at < level;
        };
        if (lives_on(in_label, of_label) && lives_on(in_prediction, of_prediction))
          found.matched.emplace_back(index[0][in_prediction], index[1][in_label]);
      });
      return;
    }
    // Pairs of the two maps that share their extremum, which is the comparison's. Those of the label come first, for it
    // has few.
    Array<Index> in_label(basins.num_extrema(), none);
    for (Order image : {of_label, of_prediction}) {
      const Order birth = births(image), death = deaths(image);
      if (!is_same(birth, death)) pairs[image] = extremum_pairs(basins, is_top, birth, death);
      for (const ExtremumPair& pair : pairs[image]) {
        if (image == of_prediction && in_label[pair.extremum] == none) continue;
        if (!persists(pair, birth, death)) continue;
        if (image == of_label)
          in_label[pair.extremum] = pair.saddle;
        else
          found.matched.emplace_back(index[0][pair.saddle], index[1][in_label[pair.extremum]]);
      }
    }
  }

  // From the edges and squares that dimensions 0 and 2 have left without a pair.
  void match_saddles(const UnpairedSaddles& edges, UnpairedSaddles&& squares, DimensionMatching& found) {
    const JointSaddleReductions reductions(
        gradient_, {{{births(of_prediction), deaths(of_prediction)}, {births(of_label), deaths(of_label)}}}, edges,
        std::move(squares), threads_, stop_);
    const std::size_t num_edges = gradient_.critical_cells(1).size(), num_squares = gradient_.critical_cells(2).size();
    const auto own = [&](const JointSaddleReduction& of, Index square) { return dual_ ? square : of.edge(square); };
    const auto shared = [&](const JointSaddleReduction& of, Index square) { return dual_ ? of.edge(square) : square; };
    std::array<Array<Index>, 2> index;  // into the list of an image, by own cell
    for (Order image : images) {
      const JointSaddleReduction& of = reductions.own(image);
      VoxelPairs& list = image == of_prediction ? found.prediction : found.label;
      index[image].assign(dual_ ? num_squares : num_edges, none);
      of.for_each_pair([&](Index square, Voxel birth, Voxel death) {
        if (!has_persistence(birth, image, death, image)) return;
        index[image][own(of, square)] = static_cast<Index>(list.size());
        list.emplace_back(birth, death);
      });
    }
    Array<Index> in_label(dual_ ? num_edges : num_squares, none);  // own cell, by shared cell
    for (Order image : {of_label, of_prediction}) {
      const JointSaddleReduction& of = reductions.map(image);
      of.for_each_pair([&](Index square, Voxel birth, Voxel death) {
        if (!has_persistence(birth, births(image), death, deaths(image))) return;
        Index& label_here = in_label[shared(of, square)];
        if (image == of_label)
          label_here = own(of, square);
        else if (label_here != none)
          found.matched.emplace_back(index[0][own(of, square)], index[1][label_here]);
      });
    }
  }

  const bool dual_;
  const unsigned dims_;
  const std::size_t threads_;
  const StopFlag& stop_;
  const JointOrders<D> orders_;
  JointGradient<D> gradient_;
};

// The grids of prediction and label, with levels on one scale.
template <int D, class Label>
std::array<Grid<D>, 2> make_grids(const float* prediction, const Label* label, const Extent<D>& extent,
                                  const Filtration& filtration, std::size_t threads) {
  return {make_grid<D>(prediction, extent, filtration, {}, threads),
          make_grid<D>(label, extent, filtration, {}, threads)};
}

template <int D, class Label>
std::array<Grid<D>, 2> make_grids(const double* prediction, const Label* label, const Extent<D>& extent,
                                  const Filtration& filtration, std::size_t threads) {
  const std::size_t count = num_voxels(extent);
  Array<double> both(prediction, prediction + count);
  both.insert(both.end(), label, label + count);
  const Levels ranks = ranks_of(both.data(), both.size());
  const Level sign = filtration.negate ? -1 : 1;
  const auto grid = [&](const Level* of_image) {
    Grid<D> made(extent, filtration.frame());
    made.set_levels(of_image, filtration.dual, [sign](Level rank) { return sign * rank; }, threads);
    return made;
  };
  return {grid(ranks.data()), grid(ranks.data() + count)};
}

// `label`: an image of the type of the prediction, or a mask.
template <int D, class T, class Label>
BettiMatching betti_matching(const T* prediction, const Label* label, const Extent<D>& extent,
                             const Filtration& filtration, std::size_t threads, const StopFlag& stop) {
  const auto last = static_cast<Voxel>(num_voxels(extent) - 1);
  auto grids = make_grids<D>(prediction, label, extent, filtration, threads);
  const Grid<D> indices(extent, filtration.frame());
  InducedMatching<D> matching(JointOrders<D>(std::move(grids[0]), std::move(grids[1]), filtration.dual, threads),
                              filtration.dual, filtration.complex_dims<D>(), threads, stop);
  BettiMatching result;
  const auto found = matching.run();
  for (int dim = 0; dim < D; ++dim) {
    const auto append = [&](const VoxelPairs& voxels, Array<Pair>& pairs) {
      for (const auto& [birth, death] : voxels) {
        Pair pair{static_cast<Voxel>(filtration.complex_dim<D>(dim)), indices.image_index(birth),
                  indices.image_index(death)};
        if (filtration.dual) pair = {pair.dim, last - pair.death, last - pair.birth};
        pairs.push_back(pair);
      }
    };
    const std::size_t predictions = result.prediction.size(), labels = result.label.size();
    append(found[dim].prediction, result.prediction);
    append(found[dim].label, result.label);
    for (const auto& [a, b] : found[dim].matched) result.matched.emplace_back(predictions + a, labels + b);
  }
  sort_matching(result);
  return result;
}

}  // namespace topo
