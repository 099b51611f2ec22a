// Dimensions 0 and D - 1 of a joint gradient: basins of critical cells, merged by union-find in any of its orders.
#pragma once

#include <memory>

#include "comparison_merges.hpp"
#include "joint_gradient.hpp"

namespace topo {

// An extremum is a node of its basin, a saddle an index into the critical cells of its dimension.
struct ExtremumPair {
  Node extremum;
  std::uint32_t saddle;
};

// Minima joined by 1-saddles or, on the dual grid and in the reverse order, maxima by facets. Orders are given by their
// index.
template <int D>
class JointBasins {
  using G = JointGradient<D>;
  using C = CellIndex<D>;

 public:
  // `dual`: dimension D - 1.
  JointBasins(const G& gradient, bool dual)
      : gradient_(gradient),
        orders_(gradient.orders()),
        dual_(dual),
        cells_(gradient.critical_cells(dual ? D - 1 : 1)) {
    const Array<std::pair<Node, Node>> sides = find_basins();
    for (int o = 0; o < orders_.num_distinct(); ++o) {
      age_[o].reserve(extrema_.size());
      age_[o].push_back(dual_ ? UINT64_MAX : 0);  // the outside is older than every extremum
      for (std::size_t node = 1; node < extrema_.size(); ++node)
        age_[o].push_back((std::uint64_t{rank(extrema_[node], o)} << 32) | extrema_[node]);
      sort_saddles(o, sides);
    }
  }

  std::size_t num_extrema() const { return extrema_.size(); }
  std::size_t num_saddles() const { return cells_.size(); }

  // The voxels with which they enter.
  Voxel extremum(Node node, int o) const { return orders_.voxel(static_cast<Rank>(age_[o][node] >> 32), o); }
  Voxel saddle(std::uint32_t i, int o) const { return orders_.voxel(saddle_rank_[o][i], o); }

  // Pairs extrema with saddles by the elder rule. Ages are those of one order, saddles come in another, as image
  // persistence needs it. Without branches where possible: which basin is older could not be predicted.
  Array<ExtremumPair> pairs(int ages, int sweep) const {
    Array<ExtremumPair> pairs(cells_.size() + 1);
    std::size_t count = 0;
    UnionFind basins(extrema_.size());
    const Array<std::uint64_t>& age = age_[ages];
    for (const Saddle& saddle : saddles_[sweep]) {
      const Node a = basins.find(saddle.a), b = basins.find(saddle.b);
      const bool a_is_older = older(age[a], age[b]);
      const Node elder = a_is_older ? a : b, younger = a_is_older ? b : a;
      basins.attach(younger, elder);
      pairs[count] = {younger, saddle.index};
      count += a != b;
    }
    pairs.resize(count);
    return pairs;
  }

  // The saddles that are in no pair, in an order.
  Array<std::uint32_t> unpaired(const Array<ExtremumPair>& pairs, int o) const {
    Array<char> is_paired(cells_.size(), 0);
    for (const ExtremumPair& pair : pairs) is_paired[pair.saddle] = 1;
    Array<std::uint32_t> rest;
    rest.reserve(cells_.size() - pairs.size());
    for (const Saddle& saddle : saddles_[o])
      if (!is_paired[saddle.index]) rest.push_back(saddle.index);
    if (dual_) std::reverse(rest.begin(), rest.end());
    return rest;
  }

  // The matching of extrema where basins of the comparison merge: calls emit(extremum, extremum, level).
  template <class Emit>
  void match_by_comparison(Emit emit) const {
    const int o = orders_.index(of_comparison);
    Array<Merge> merges;
    merges.reserve(saddles_[o].size());
    for (const Saddle& at : saddles_[o])
      merges.push_back({at.a, at.b, orders_.level(saddle(at.index, o), of_comparison)});
    const Ages ages{&age_[orders_.index(of_prediction)], &age_[orders_.index(of_label)]};
    match_merges(merges, ages, dual_, emit);
  }

 private:
  struct Saddle {
    Node a, b;  // basins on its two sides
    std::uint32_t index;
  };

  std::uint32_t rank(Cell cell, int o) const {
    return static_cast<std::uint32_t>(orders_.rank(gradient_.top(cell, o), o));
  }
  bool older(std::uint64_t a, std::uint64_t b) const { return dual_ ? a > b : a < b; }

  // By rank of the top, then by cell, since several cells of one dimension may share it: the order of their indices.
  void sort_saddles(int o, const Array<std::pair<Node, Node>>& sides) {
    Array<std::uint64_t> items(cells_.size()), memory;
    saddle_rank_[o].resize(cells_.size());
    for (std::uint32_t i = 0; i < cells_.size(); ++i) {
      const std::uint32_t at = rank(cells_[i], o);
      saddle_rank_[o][i] = static_cast<Rank>(at);
      items[i] = (std::uint64_t{at} << 32) | i;
    }
    radix_sort(items, 32, memory);
    if (dual_) std::reverse(items.begin(), items.end());
    saddles_[o].resize(items.size());
    for (std::size_t k = 0; k < items.size(); ++k) {
      const auto i = static_cast<std::uint32_t>(items[k]);
      saddles_[o][k] = {sides[i].first, sides[i].second, i};
    }
  }

  // The basins on both sides of every saddle: of its end vertices, or of the top cells that share the facet.
  Array<std::pair<Node, Node>> find_basins() {
    Array<Node> node_of_cell(gradient_.size(), no_node);
    const std::unique_ptr<Voxel[]> walked(new Voxel[gradient_.size()]);
    Array<std::pair<Node, Node>> sides;
    sides.reserve(cells_.size());
    for (const Cell saddle : cells_) {
      const Voxel v = C::corner(saddle);
      const auto axes = static_cast<std::uint32_t>(dual_ ? C::top_type ^ C::type(saddle) : C::type(saddle));
      const Voxel step = gradient_.stride[lowest_bit(axes)];
      const Node here = basin_of(v, node_of_cell, walked.get());
      sides.emplace_back(here, basin_of(dual_ ? v - step : v + step, node_of_cell, walked.get()));
    }
    return sides;
  }

  // Follows the V-path from a vertex down, or from a top cell up, to a critical one or out of the image.
  Node basin_of(Voxel at, Array<Node>& node_of_cell, Voxel* walked) {
    const int type = dual_ ? C::top_type : 0;
    std::size_t steps = 0;
    Node node;
    while ((node = node_of_cell[at]) == no_node) {
      walked[steps++] = at;
      const CellCode code = gradient_.code(at, type);
      if (code.is_missing()) {
        node = 0;
        break;
      }
      if (code.is_critical()) {
        node = static_cast<Node>(extrema_.size());
        extrema_.push_back(C::cell(at, type));
        break;
      }
      // A vertex leaves through the edge on that side, a top cell through the facet on that side.
      if (!dual_ && code.goes_down(0))
        at -= gradient_.stride[0] * (1 + gradient_.straight_runs().below(at));
      else if (const Voxel run = dual_ ? gradient_.straight_runs().above(at) : 0; run > 0)
        at += gradient_.stride[0] * run;
      else
        at = code.upper() ? at + gradient_.stride[code.axis()] : at - gradient_.stride[code.axis()];
    }
    for (std::size_t i = 0; i < steps; ++i) node_of_cell[walked[i]] = node;
    return node;
  }

  const G& gradient_;
  const JointOrders<D>& orders_;
  const bool dual_;
  const Array<Cell>& cells_;      // saddles
  Array<Cell> extrema_{no_cell};  // of a node; node 0 is the outside
  // By order: of nodes, position of the cell; of saddles, rank; and saddles in this order.
  std::array<Array<std::uint64_t>, num_orders> age_;
  std::array<Array<Rank>, num_orders> saddle_rank_;
  std::array<Array<Saddle>, num_orders> saddles_;
};

}  // namespace topo
