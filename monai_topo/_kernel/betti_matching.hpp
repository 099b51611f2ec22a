// Induced matching of the persistence pairs of two images (Stucki, Paetzold, Shit, Menze, Bauer, ICML 2023).
//
// The comparison is the union of what two filtrations have at each level: the lesser value of two sublevel filtrations.
// A class of one image goes to its image in the comparison, and two classes are matched where they become the same one
// there. That takes persistent homology of images of maps (Bauer and Schmahl 2022): births in one order, deaths in
// another. With full connectivity, which is the dual, the comparison is inside both images: births then follow the
// comparison, deaths the images.
#pragma once

#include <tuple>

#include "joint_extremum_pairs.hpp"
#include "joint_saddle_pairs.hpp"

namespace topo {

// Pairs of both images, sorted by (dim, birth, death), and which of them are matched, as indices into the two lists.
struct BettiMatching {
  std::vector<Pair> prediction, label;
  std::vector<std::pair<std::size_t, std::size_t>> matched;
};

// Sorts pairs; returns the new place of each.
inline std::vector<std::size_t> sort_pairs(std::vector<Pair>& pairs) {
  std::vector<std::size_t> order(pairs.size()), place(pairs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    const Pair &a = pairs[i], &b = pairs[j];
    return std::tie(a.dim, a.birth, a.death, i) < std::tie(b.dim, b.birth, b.death, j);
  });
  std::vector<Pair> sorted;
  sorted.reserve(pairs.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    sorted.push_back(pairs[order[i]]);
  }
  pairs = std::move(sorted);
  return place;
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

  // What a pair has in common with its image in the comparison: the birth if the comparison is around the images.
  Cell own_cell(const CellPair& pair) const { return dual_ ? pair.death : pair.birth; }

  // Calls found(dim, prediction's pairs, label's pairs, matched indices) for every dimension of the filtered complex.
  template <class Found>
  void run(Found found) {
    const bool middle = D == 3 && (dims_ >> 1 & 1);
    if (middle || (dims_ & 1)) extremes(0, found);
    if (middle || (dims_ >> (D - 1) & 1)) extremes(D - 1, found);
    if constexpr (D == 3)
      if (middle) saddles(found);
  }

 private:
  using Pairs = std::vector<CellPair>;
  using MatchResult = std::vector<std::pair<Cell, Cell>>;  // a cell of a pair of the prediction, one of the label
  static constexpr Order images[] = {of_prediction, of_label};

  Cell shared_cell(const CellPair& pair) const { return dual_ ? pair.birth : pair.death; }
  Order births(Order image) const { return dual_ ? of_comparison : image; }
  Order deaths(Order image) const { return dual_ ? image : of_comparison; }

  Level level_at(Cell cell, Order o) const { return gradient_.level(gradient_.top(cell, o), o); }
  bool lasts(const CellPair& pair, Order birth, Order death) const {
    return level_at(pair.birth, birth) < level_at(pair.death, death);
  }

  template <class Found>
  void extremes(int dim, Found found) {
    const bool top = dim == D - 1;
    const Forest<D> forest(gradient_, top);
    const auto pairs = [&](Order birth, Order death, auto emit) {
      forest.join(top ? death : birth, top ? birth : death, [&](Cell node, Cell link) {
        emit(top ? CellPair{link, node} : CellPair{node, link});
      });
    };
    // In 3D, dimension 1 needs to know in every order which edges and squares are paired here.
    std::array<Pairs, num_orders> own;
    for (Order o : {of_prediction, of_label, of_comparison}) {
      if (o == of_comparison && D == 2) break;
      pairs(o, o, [&](const CellPair& pair) {
        const Cell link = top ? pair.birth : pair.death;
        if (D == 3) gradient_.code(G::corner(link), G::type(link)) |= static_cast<std::uint8_t>(1u << o);
        if (lasts(pair, o, o)) own[o].push_back(pair);
      });
    }
    if (!(dims_ >> dim & 1)) return;
    MatchResult matched;
    if (top == dual_) {
      forest.join_both([&](Cell in_prediction, Cell in_label, Level level) {
        const auto real = [&](Cell node, Order o) { return top ? level < level_at(node, o) : level_at(node, o) < level; };
        if (real(in_prediction, of_prediction) && real(in_label, of_label)) matched.emplace_back(in_prediction, in_label);
      });
    } else {
      matched = meet([&](Order image, auto emit) { pairs(births(image), deaths(image), emit); });
    }
    found(dim, own[of_prediction], own[of_label], matched);
  }

  template <class Found>
  void saddles(Found found) {
    const std::vector<Cell> squares = gradient_.critical_cells(2);
    // Four reductions, each for itself: of the two images, and of their maps to (or from) the comparison.
    std::array<Pairs, 4> pairs;
    parallel_for(pairs.size(), threads_, [&](std::size_t i) {
      const Order image = images[i % 2], birth = i < 2 ? image : births(image), death = i < 2 ? image : deaths(image);
      JointSaddles(gradient_, squares, birth, death, stop_).pair_all([&](Cell edge, Cell square) {
        const CellPair pair{edge, square};
        if (lasts(pair, birth, death)) pairs[i].push_back(pair);
      });
    });
    found(1, pairs[0], pairs[1], meet([&](Order image, auto emit) {
      for (const CellPair& pair : pairs[2 + image]) emit(pair);
    }));
  }

  // Matches what the two images' maps to (or from) the comparison have in common.
  template <class Image>
  MatchResult meet(Image of_image) {
    std::unordered_map<Cell, Cell> in_prediction;  // by the comparison's cell
    MatchResult matched;
    of_image(of_prediction, [&](const CellPair& pair) {
      if (lasts(pair, births(of_prediction), deaths(of_prediction))) in_prediction[shared_cell(pair)] = own_cell(pair);
    });
    of_image(of_label, [&](const CellPair& pair) {
      if (!lasts(pair, births(of_label), deaths(of_label))) return;
      const auto other = in_prediction.find(shared_cell(pair));
      if (other != in_prediction.end()) matched.emplace_back(other->second, own_cell(pair));
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

template <int D, class T>
BettiMatching betti_matching(const std::array<const T*, 2>& images, const std::array<Voxel, D>& extent,
                             const Filtration& filtration, std::size_t threads,
                             const StopFlag& stop) {
  std::size_t count = 1;
  for (Voxel e : extent) count *= e;
  const auto last = static_cast<Voxel>(count - 1);
  const Level frame = filtration.framed ? present : absent;
  std::array<Grid<D>, num_orders> grids{Grid<D>(extent, frame), Grid<D>(extent, frame), Grid<D>(extent, frame)};
  {
    const auto levels = levels_of(images, count, filtration.negate);
    std::vector<Level> comparison(count);
    for (std::size_t i = 0; i < count; ++i)
      comparison[i] = filtration.dual ? std::max(levels[0][i], levels[1][i]) : std::min(levels[0][i], levels[1][i]);
    const auto as_it_is = [](Level level) { return level; };
    grids[of_prediction].fill(levels[0].data(), filtration.dual, as_it_is);
    grids[of_label].fill(levels[1].data(), filtration.dual, as_it_is);
    grids[of_comparison].fill(comparison.data(), filtration.dual, as_it_is);
  }
  const Grid<D> shape(extent, frame);  // for its indices, when the grids are gone
  unsigned dims = 0;
  for (int k = 0; k < D; ++k)
    if (filtration.dims >> k & 1) dims |= 1u << (filtration.dual ? D - 1 - k : k);

  BettiMatching result;
  InducedMatching<D> matching(std::move(grids), filtration.dual, dims, threads, stop);
  matching.run([&](int dim, const auto& prediction, const auto& label, const auto& matched) {
    const auto append = [&](const auto& cells, Order o, std::vector<Pair>& pairs) {
      std::unordered_map<Cell, std::size_t> index;
      for (const auto& cell_pair : cells) {
        Pair pair{static_cast<Voxel>(dim), shape.image_index(matching.gradient().top(cell_pair.birth, o)),
                  shape.image_index(matching.gradient().top(cell_pair.death, o))};
        if (filtration.dual) pair = {static_cast<Voxel>(D - 1 - dim), last - pair.death, last - pair.birth};
        index[matching.own_cell(cell_pair)] = pairs.size();
        pairs.push_back(pair);
      }
      return index;
    };
    const auto of_own_prediction = append(prediction, of_prediction, result.prediction);
    const auto of_own_label = append(label, of_label, result.label);
    for (const auto& [a, b] : matched) result.matched.emplace_back(of_own_prediction.at(a), of_own_label.at(b));
  });
  sort_matching(result);
  return result;
}

}  // namespace topo
