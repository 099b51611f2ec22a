// Induced matching of the persistence pairs of two images (Stucki, Paetzold, Shit, Menze, Bauer, ICML 2023).
//
// The comparison filtration is the union of the sublevel sets of both images at every level: the lesser of the two
// values. A class of one image is mapped into the comparison, and classes of the two images are matched if they become
// the same class there. This is image persistence (Bauer and Schmahl 2022): births in one order, deaths in another.
// With full connectivity, which is the dual, the comparison lies inside both images: births then follow the comparison,
// deaths the images.
#pragma once

#include <tuple>
#include <unordered_map>

#include "joint_extremum_pairs.hpp"
#include "joint_saddle_pairs.hpp"
#include "persistence_pairs.hpp"

namespace topo {

// Pairs of both images, sorted by (dim, birth, death), and which of them are matched, as indices into the two lists.
struct BettiMatching {
  std::vector<Pair> prediction, label;
  std::vector<std::pair<std::size_t, std::size_t>> matched;
};

// Sorts pairs; returns the new position of each.
inline std::vector<std::size_t> sort_pairs(std::vector<Pair>& pairs) {
  std::vector<std::size_t> order(pairs.size()), position(pairs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    const Pair &a = pairs[i], &b = pairs[j];
    return std::tie(a.dim, a.birth, a.death, i) < std::tie(b.dim, b.birth, b.death, j);
  });
  std::vector<Pair> sorted;
  sorted.reserve(pairs.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    position[order[i]] = i;
    sorted.push_back(pairs[order[i]]);
  }
  pairs = std::move(sorted);
  return position;
}

inline void sort_matching(BettiMatching& matching) {
  const auto prediction = sort_pairs(matching.prediction), label = sort_pairs(matching.label);
  for (auto& [a, b] : matching.matched) a = prediction[a], b = label[b];
  std::sort(matching.matched.begin(), matching.matched.end());
}

struct CellPair {
  Cell birth, death;
};

template <int D>
class InducedMatching {
  using G = JointGradient<D>;

 public:
  InducedMatching(std::array<Grid<D>, num_orders>&& grids, bool dual, unsigned dims, std::size_t threads,
                  const StopFlag& stop)
      : dual_(dual), dims_(dims), threads_(threads), stop_(stop), gradient_(std::move(grids), stop) {}

  const G& gradient() const { return gradient_; }

  // The cell of a pair that its image in the comparison does not share: the birth if the comparison contains the
  // images.
  Cell own_cell(const CellPair& pair) const { return dual_ ? pair.death : pair.birth; }

  // Calls found(dim, prediction's pairs, label's pairs, matched own cells) for every dimension of the filtered complex.
  template <class Found>
  void run(Found found) {
    const bool has_middle = D == 3 && has_bit(dims_, 1);
    if (has_middle || has_bit(dims_, 0)) match_extrema(0, found);
    if (has_middle || has_bit(dims_, D - 1)) match_extrema(D - 1, found);
    if constexpr (D == 3)
      if (has_middle) match_saddles(found);
  }

 private:
  using CellPairs = std::vector<CellPair>;
  using MatchedCells =
      std::vector<std::pair<Cell, Cell>>;  // own cells: of a pair of the prediction, of one of the label

  Cell shared_cell(const CellPair& pair) const { return dual_ ? pair.birth : pair.death; }
  Order births(Order image) const { return dual_ ? of_comparison : image; }
  Order deaths(Order image) const { return dual_ ? image : of_comparison; }

  bool has_persistence(const CellPair& pair, Order birth, Order death) const {
    return gradient_.level(pair.birth, birth) < gradient_.level(pair.death, death);
  }

  template <class Found>
  void match_extrema(int dim, Found found) {
    const bool is_top = dim == D - 1;
    const JointBasins<D> basins(gradient_, is_top);
    const auto for_each_pair = [&](Order birth, Order death, auto emit) {
      basins.pair_all(is_top ? death : birth, is_top ? birth : death, [&](Cell extremum, Cell saddle) {
        emit(is_top ? CellPair{saddle, extremum} : CellPair{extremum, saddle});
      });
    };
    // In 3D, dimension 1 needs to know in every order which edges and squares are paired here.
    std::array<CellPairs, num_orders> pairs;
    for (Order o : all_orders) {
      if (o == of_comparison && D == 2) break;
      for_each_pair(o, o, [&](const CellPair& pair) {
        if (D == 3) gradient_.code(is_top ? pair.birth : pair.death).mark(o);
        if (has_persistence(pair, o, o)) pairs[o].push_back(pair);
      });
    }
    if (!has_bit(dims_, dim)) return;
    MatchedCells matched;
    if (is_top == dual_) {
      basins.match_by_comparison([&](Cell in_prediction, Cell in_label, Level level) {
        const auto persists = [&](Cell extremum, Order o) {
          return is_top ? level < gradient_.level(extremum, o) : gradient_.level(extremum, o) < level;
        };
        if (persists(in_prediction, of_prediction) && persists(in_label, of_label))
          matched.emplace_back(in_prediction, in_label);
      });
    } else {
      matched = match_images([&](Order image, auto emit) { for_each_pair(births(image), deaths(image), emit); });
    }
    found(dim, pairs[of_prediction], pairs[of_label], matched);
  }

  template <class Found>
  void match_saddles(Found found) {
    const std::vector<Cell> squares = gradient_.critical_cells(2);
    // Four independent reductions: of the two images, and of their maps to (or from) the comparison.
    std::array<CellPairs, 4> pairs;
    parallel_for(pairs.size(), threads_, [&](std::size_t i) {
      const Order image = i % 2 == 0 ? of_prediction : of_label;
      const Order birth = i < 2 ? image : births(image), death = i < 2 ? image : deaths(image);
      JointSaddleReduction(gradient_, squares, birth, death, stop_).pair_all([&](Cell edge, Cell square) {
        const CellPair pair{edge, square};
        if (has_persistence(pair, birth, death)) pairs[i].push_back(pair);
      });
    });
    const auto for_each_pair = [&](Order image, auto emit) {
      for (const CellPair& pair : pairs[2 + image]) emit(pair);
    };
    found(1, pairs[0], pairs[1], match_images(for_each_pair));
  }

  // Matches the pairs of the two maps to (or from) the comparison that share their cell there.
  template <class ForEachPair>
  MatchedCells match_images(ForEachPair for_each_pair) {
    std::unordered_map<Cell, Cell> in_prediction;  // own cell by shared cell
    MatchedCells matched;
    for_each_pair(of_prediction, [&](const CellPair& pair) {
      if (has_persistence(pair, births(of_prediction), deaths(of_prediction)))
        in_prediction[shared_cell(pair)] = own_cell(pair);
    });
    for_each_pair(of_label, [&](const CellPair& pair) {
      if (!has_persistence(pair, births(of_label), deaths(of_label))) return;
      const auto partner = in_prediction.find(shared_cell(pair));
      if (partner != in_prediction.end()) matched.emplace_back(partner->second, own_cell(pair));
    });
    return matched;
  }

  const bool dual_;
  const unsigned dims_;
  const std::size_t threads_;
  const StopFlag& stop_;
  G gradient_;
};

// Levels of two images on one scale.
inline std::array<std::vector<Level>, 2> levels_of(const std::array<const float*, 2>& images, std::size_t count,
                                                   bool negate) {
  std::array<std::vector<Level>, 2> levels;
  for (int i = 0; i < 2; ++i) {
    levels[i].resize(count);
    std::transform(images[i], images[i] + count, levels[i].begin(),
                   [&](float value) { return level_of(negate ? -value : value); });
  }
  return levels;
}

inline std::array<std::vector<Level>, 2> levels_of(const std::array<const double*, 2>& images, std::size_t count,
                                                   bool negate) {
  std::vector<double> both(images[0], images[0] + count);
  both.insert(both.end(), images[1], images[1] + count);
  std::vector<Level> ranks = ranks_of(both.data(), both.size());
  if (negate)
    for (Level& rank : ranks) rank = -rank;
  const auto middle = ranks.begin() + static_cast<std::ptrdiff_t>(count);
  return {std::vector<Level>(ranks.begin(), middle), std::vector<Level>(middle, ranks.end())};
}

// The grids of prediction, label and comparison.
template <int D, class T>
std::array<Grid<D>, num_orders> make_grids(const std::array<const T*, 2>& images, const Extent<D>& extent,
                                           const Filtration& filtration) {
  const std::size_t count = num_voxels(extent);
  const auto grid = [&] { return Grid<D>(extent, filtration.frame()); };
  std::array<Grid<D>, num_orders> grids{grid(), grid(), grid()};
  const auto levels = levels_of(images, count, filtration.negate);
  std::vector<Level> comparison(count);
  for (std::size_t i = 0; i < count; ++i)
    comparison[i] = filtration.dual ? std::max(levels[0][i], levels[1][i]) : std::min(levels[0][i], levels[1][i]);
  const auto identity = [](Level level) { return level; };
  grids[of_prediction].set_levels(levels[0].data(), filtration.dual, identity);
  grids[of_label].set_levels(levels[1].data(), filtration.dual, identity);
  grids[of_comparison].set_levels(comparison.data(), filtration.dual, identity);
  return grids;
}

template <int D, class T>
BettiMatching betti_matching(const std::array<const T*, 2>& images, const Extent<D>& extent,
                             const Filtration& filtration, std::size_t threads, const StopFlag& stop) {
  const auto last = static_cast<Voxel>(num_voxels(extent) - 1);
  InducedMatching<D> matching(make_grids<D>(images, extent, filtration), filtration.dual, filtration.complex_dims<D>(),
                              threads, stop);
  const Grid<D> indices(extent, filtration.frame());
  BettiMatching result;
  matching.run([&](int dim, const auto& prediction, const auto& label, const auto& matched) {
    const auto append = [&](const auto& cell_pairs, Order o, std::vector<Pair>& pairs) {
      std::unordered_map<Cell, std::size_t> index;  // by own cell
      for (const auto& cells : cell_pairs) {
        Pair pair{static_cast<Voxel>(filtration.complex_dim<D>(dim)),
                  indices.image_index(matching.gradient().top(cells.birth, o)),
                  indices.image_index(matching.gradient().top(cells.death, o))};
        if (filtration.dual) pair = {pair.dim, last - pair.death, last - pair.birth};
        index[matching.own_cell(cells)] = pairs.size();
        pairs.push_back(pair);
      }
      return index;
    };
    const auto in_prediction = append(prediction, of_prediction, result.prediction);
    const auto in_label = append(label, of_label, result.label);
    for (const auto& [a, b] : matched) result.matched.emplace_back(in_prediction.at(a), in_label.at(b));
  });
  sort_matching(result);
  return result;
}

}  // namespace topo
