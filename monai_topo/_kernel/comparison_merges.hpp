// The induced matching in dimensions 0 and D - 1, where basins of the comparison merge: an extremum of the prediction and
// one of the label are matched if they die with the same basin of the comparison.
//
// Every basin of the comparison has an oldest extremum in each image. Where basins merge, in each image one oldest
// extremum survives and the others die. Merges at one level are taken together, so that the order of ties does not match
// features at different places. An example with three basins that merge at one level:
//
//   basin                                    A      B      C
//   prediction, value at oldest minimum     0.1    0.2    0.3      A survives; B and C die
//   label, value at oldest minimum          0.4    0.0    0.5      B survives; A and C die
//
// C survives in neither image, so its two minima are matched. That leaves B of the prediction and A of the label, which
// die at the same level in the same basin: they are matched too. If the survivors are the same, nothing is left over. With
// one merge per level this is what the order of the merges gives.
#pragma once

#include "grid.hpp"
#include "union_find.hpp"

namespace topo {

// At a saddle of the comparison: the basins on its two sides.
struct Merge {
  Node a, b;
  Level level;
};

// For prediction and label: of the oldest extremum in every basin, its position in the order of that image.
using Ages = std::array<const Array<std::uint64_t>*, 2>;

template <class Emit>
class ComparisonMerges {
 public:
  ComparisonMerges(const Ages& ages, bool descends, Emit emit)
      : ages_(ages), descends_(descends), emit_(emit), basins_(ages[0]->size()) {
    for (auto& of_image : oldest_) {
      of_image.resize(ages[0]->size());
      std::iota(of_image.begin(), of_image.end(), Node{0});
    }
  }

  void take(const Array<Merge>& merges) {
    Array<Node> merging;
    for (std::size_t begin = 0, end; begin < merges.size(); begin = end) {
      for (end = begin + 1; end < merges.size() && merges[end].level == merges[begin].level;) ++end;
      merging.clear();
      for (std::size_t i = begin; i < end; ++i)
        for (Node side : {merges[i].a, merges[i].b}) merging.push_back(basins_.find(side));
      if (end == begin + 1) {
        if (merging[0] == merging[1]) continue;
      } else {
        std::sort(merging.begin(), merging.end());
        merging.erase(std::unique(merging.begin(), merging.end()), merging.end());
      }
      for (std::size_t i = begin; i < end; ++i) basins_.attach(basins_.find(merges[i].b), basins_.find(merges[i].a));
      match_at_level(merges[begin].level, merging);
    }
  }

 private:
  bool older(std::uint64_t a, std::uint64_t b) const { return descends_ ? a > b : a < b; }

  std::uint64_t age(int image, Node basin) const { return (*ages_[image])[oldest_[image][basin]]; }

  // `merging`: the roots, before the merge, of basins that have merged at one level.
  void match_at_level(Level level, Array<Node>& merging) {
    const auto by_merged = [&](Node x, Node y) {
      return std::make_pair(basins_.find(x), x) < std::make_pair(basins_.find(y), y);
    };
    if (merging.size() > 2) std::sort(merging.begin(), merging.end(), by_merged);
    for (std::size_t begin = 0, end; begin < merging.size(); begin = end) {
      const Node merged = basins_.find(merging[begin]);
      Node survivor[2] = {merging[begin], merging[begin]};  // per image: the basin whose oldest extremum survives
      for (end = begin; end < merging.size() && basins_.find(merging[end]) == merged; ++end)
        for (int image : {0, 1})
          if (older(age(image, merging[end]), age(image, survivor[image]))) survivor[image] = merging[end];
      for (std::size_t i = begin; i < end; ++i) {
        const Node basin = merging[i];
        if (basin != survivor[0] && basin != survivor[1]) emit_(oldest_[0][basin], oldest_[1][basin], level);
      }
      if (survivor[0] != survivor[1]) emit_(oldest_[0][survivor[1]], oldest_[1][survivor[0]], level);
      for (int image : {0, 1}) oldest_[image][merged] = oldest_[image][survivor[image]];
    }
  }

  const Ages ages_;
  const bool descends_;
  Emit emit_;
  UnionFind basins_;
  std::array<Array<Node>, 2> oldest_;  // per image: the basin that had the oldest extremum first, by root
};

// Takes merges in the order of the comparison, from the last one down with `descends`: the greater age is then the older
// one. Calls emit(basin, basin, level) for two extrema that are matched, given by the basins whose oldest they were before
// all merges.
template <class Emit>
void match_merges(const Array<Merge>& merges, const Ages& ages, bool descends, Emit emit) {
  ComparisonMerges<Emit>(ages, descends, emit).take(merges);
}

}  // namespace topo
