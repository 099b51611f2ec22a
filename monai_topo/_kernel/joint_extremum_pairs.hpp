// Dimensions 0 and D - 1 of a joint gradient: basins of critical cells, merged by union-find in any of its orders.
#pragma once

#include <memory>

#include "joint_gradient.hpp"
#include "union_find.hpp"

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
    const std::vector<std::pair<Node, Node>> sides = find_basins();
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
  std::vector<ExtremumPair> pairs(int ages, int sweep) const {
    std::vector<ExtremumPair> pairs(cells_.size() + 1);
    std::size_t count = 0;
    UnionFind basins(extrema_.size());
    const std::vector<std::uint64_t>& age = age_[ages];
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

  // The induced matching: an extremum of the prediction and one of the label are matched if they die with the same
  // basin of the comparison. Calls emit(extremum, extremum, level).
  //
  // Every basin of the comparison has an oldest extremum in each image. Where basins merge, in each image one oldest
  // extremum survives and the others die. Saddles of one level are taken together, so that the order of ties does not
  // match features at different places. An example with three basins that merge at one level:
  //
  //   basin                                    A      B      C
  //   prediction, value at oldest minimum     0.1    0.2    0.3      A survives; B and C die
  //   label, value at oldest minimum          0.4    0.0    0.5      B survives; A and C die
  //
  // C survives in neither image, so its two minima are matched. That leaves B of the prediction and A of the label,
  // which die at the same level in the same basin: they are matched too. If the survivors are the same, nothing is left
  // over. With one saddle per level this is what the order of the saddles gives.
  template <class Emit>
  void match_by_comparison(Emit emit) const {
    UnionFind basins(extrema_.size());
    Oldest oldest;
    for (auto& of_image : oldest) {
      of_image.resize(extrema_.size());
      std::iota(of_image.begin(), of_image.end(), Node{0});
    }
    const int o = orders_.index(of_comparison);
    const std::vector<Saddle>& saddles = saddles_[o];
    std::vector<Level> level;
    level.reserve(saddles.size());
    for (const Saddle& at : saddles) level.push_back(orders_.level(saddle(at.index, o), of_comparison));
    std::vector<Node> merging;
    for (std::size_t begin = 0, end; begin < saddles.size(); begin = end) {
      for (end = begin + 1; end < saddles.size() && level[end] == level[begin];) ++end;
      merging.clear();
      for (std::size_t i = begin; i < end; ++i)
        for (Node side : {saddles[i].a, saddles[i].b}) merging.push_back(basins.find(side));
      if (end == begin + 1) {
        if (merging[0] == merging[1]) continue;
      } else {
        std::sort(merging.begin(), merging.end());
        merging.erase(std::unique(merging.begin(), merging.end()), merging.end());
      }
      for (std::size_t i = begin; i < end; ++i) basins.attach(basins.find(saddles[i].b), basins.find(saddles[i].a));
      match_at_level(level[begin], merging, basins, oldest, emit);
    }
  }

 private:
  struct Saddle {
    Node a, b;  // basins on its two sides
    std::uint32_t index;
  };
  using Oldest = std::array<std::vector<Node>, 2>;  // per image: the oldest extremum of a basin, by the basin's root

  std::uint32_t rank(Cell cell, int o) const {
    return static_cast<std::uint32_t>(orders_.rank(gradient_.top(cell, o), o));
  }
  bool older(std::uint64_t a, std::uint64_t b) const { return dual_ ? a > b : a < b; }

  // By rank of the top, then by cell, since several cells of one dimension may share it: the order of their indices.
  void sort_saddles(int o, const std::vector<std::pair<Node, Node>>& sides) {
    std::vector<std::uint64_t> items(cells_.size()), memory;
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

  // `merging`: the roots, before the merge, of basins that have merged at one level.
  template <class Emit>
  void match_at_level(Level level, std::vector<Node>& merging, UnionFind& basins, Oldest& oldest, Emit emit) const {
    const std::vector<std::uint64_t>* age[] = {&age_[orders_.index(of_prediction)], &age_[orders_.index(of_label)]};
    const auto by_merged = [&](Node x, Node y) {
      return std::make_pair(basins.find(x), x) < std::make_pair(basins.find(y), y);
    };
    if (merging.size() > 2) std::sort(merging.begin(), merging.end(), by_merged);
    for (std::size_t begin = 0, end; begin < merging.size(); begin = end) {
      const Node merged = basins.find(merging[begin]);
      Node survivor[2] = {merging[begin], merging[begin]};  // per image: the basin whose oldest extremum survives
      for (end = begin; end < merging.size() && basins.find(merging[end]) == merged; ++end)
        for (int image : {0, 1})
          if (older((*age[image])[oldest[image][merging[end]]], (*age[image])[oldest[image][survivor[image]]]))
            survivor[image] = merging[end];
      for (std::size_t i = begin; i < end; ++i) {
        const Node basin = merging[i];
        if (basin != survivor[0] && basin != survivor[1]) emit(oldest[0][basin], oldest[1][basin], level);
      }
      if (survivor[0] != survivor[1]) emit(oldest[0][survivor[1]], oldest[1][survivor[0]], level);
      for (int image : {0, 1}) oldest[image][merged] = oldest[image][survivor[image]];
    }
  }

  // The basins on both sides of every saddle: of its end vertices, or of the top cells that share the facet.
  std::vector<std::pair<Node, Node>> find_basins() {
    std::vector<Node> node_of_cell(gradient_.size(), no_node);
    const std::unique_ptr<Voxel[]> walked(new Voxel[gradient_.size()]);
    std::vector<std::pair<Node, Node>> sides;
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
  Node basin_of(Voxel at, std::vector<Node>& node_of_cell, Voxel* walked) {
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
      at = code.upper() ? at + gradient_.stride[code.axis()] : at - gradient_.stride[code.axis()];
    }
    for (std::size_t i = 0; i < steps; ++i) node_of_cell[walked[i]] = node;
    return node;
  }

  const G& gradient_;
  const JointOrders<D>& orders_;
  const bool dual_;
  const std::vector<Cell>& cells_;      // saddles
  std::vector<Cell> extrema_{no_cell};  // of a node; node 0 is the outside
  // By order: of nodes, position of the cell; of saddles, rank; and saddles in this order.
  std::array<std::vector<std::uint64_t>, num_orders> age_;
  std::array<std::vector<Rank>, num_orders> saddle_rank_;
  std::array<std::vector<Saddle>, num_orders> saddles_;
};

}  // namespace topo
