// Dimensions 0 and D - 1 of a joint gradient: basins of critical cells, merged by union-find in any of its orders.
#pragma once

#include "joint_gradient.hpp"
#include "union_find.hpp"

namespace topo {

// Minima joined by 1-saddles or, on the dual grid and in the reverse order, maxima by facets.
template <int D>
class JointBasins {
  using G = JointGradient<D>;
  using C = CellIndex<D>;

 public:
  // `dual`: dimension D - 1.
  JointBasins(const G& gradient, bool dual)
      : gradient_(gradient), dual_(dual), node_of_cell_(gradient.size(), no_node) {
    for (Cell saddle : gradient.critical_cells(dual ? D - 1 : 1)) {
      const auto [u, v] = sides(saddle);
      saddles_.push_back({saddle, basin_of(u), basin_of(v)});
    }
  }

  // Pairs extrema with saddles by the elder rule: emit(extremum, saddle). Ages are those of one order, saddles come in
  // another, as image persistence needs it.
  template <class Emit>
  void pair_all(Order ages, Order sweep, Emit emit) const {
    UnionFind basins(extrema_.size());
    for (const Saddle& saddle : in_order(sweep)) {
      Node a = basins.find(saddle.a), b = basins.find(saddle.b);
      if (a == b) continue;
      if (older(b, a, ages)) std::swap(a, b);
      basins.attach(b, a);
      emit(extrema_[b], saddle.cell);
    }
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
    const std::vector<Saddle> saddles = in_order(of_comparison);
    const auto level = [&](std::size_t i) { return gradient_.level(saddles[i].cell, of_comparison); };
    std::vector<Node> merging_basins;
    for (std::size_t begin = 0, end; begin < saddles.size(); begin = end) {
      merging_basins.clear();
      for (end = begin; end < saddles.size() && level(end) == level(begin); ++end) {
        merging_basins.push_back(basins.find(saddles[end].a));
        merging_basins.push_back(basins.find(saddles[end].b));
      }
      std::sort(merging_basins.begin(), merging_basins.end());
      merging_basins.erase(std::unique(merging_basins.begin(), merging_basins.end()), merging_basins.end());
      for (std::size_t i = begin; i < end; ++i) basins.attach(basins.find(saddles[i].b), basins.find(saddles[i].a));
      match_at_level(level(begin), merging_basins, basins, oldest, emit);
    }
  }

 private:
  struct Saddle {
    Cell cell;
    Node a, b;  // basins on its two sides
  };
  using Oldest = std::array<std::vector<Node>, 2>;  // per image: the oldest extremum of a basin, by the basin's root

  // Node 0 is the outside, older than every extremum.
  bool older(Node a, Node b, Order o) const {
    if (a == 0 || b == 0) return a == 0;
    const std::uint64_t key_a = gradient_.key(extrema_[a], o), key_b = gradient_.key(extrema_[b], o);
    return dual_ ? key_a > key_b : key_a < key_b;
  }

  std::vector<Saddle> in_order(Order o) const {
    std::vector<std::pair<std::uint64_t, Saddle>> keyed;
    keyed.reserve(saddles_.size());
    for (const Saddle& saddle : saddles_) {
      const std::uint64_t key = gradient_.key(saddle.cell, o);
      keyed.emplace_back(dual_ ? ~key : key, saddle);
    }
    std::sort(keyed.begin(), keyed.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
    std::vector<Saddle> saddles;
    saddles.reserve(keyed.size());
    for (const auto& entry : keyed) saddles.push_back(entry.second);
    return saddles;
  }

  // `merging`: the roots, before the merge, of basins that have merged at one level.
  template <class Emit>
  void match_at_level(Level level, std::vector<Node>& merging, UnionFind& basins, Oldest& oldest, Emit emit) const {
    const auto by_merged = [&](Node x, Node y) {
      return std::make_pair(basins.find(x), x) < std::make_pair(basins.find(y), y);
    };
    std::sort(merging.begin(), merging.end(), by_merged);
    for (std::size_t begin = 0, end; begin < merging.size(); begin = end) {
      const Node merged = basins.find(merging[begin]);
      Node survivor[2] = {merging[begin], merging[begin]};  // per image: the basin whose oldest extremum survives
      for (end = begin; end < merging.size() && basins.find(merging[end]) == merged; ++end)
        for (Order o : {of_prediction, of_label})
          if (older(oldest[o][merging[end]], oldest[o][survivor[o]], o)) survivor[o] = merging[end];
      for (std::size_t i = begin; i < end; ++i) {
        const Node basin = merging[i];
        if (basin != survivor[0] && basin != survivor[1])
          emit(extrema_[oldest[0][basin]], extrema_[oldest[1][basin]], level);
      }
      if (survivor[0] != survivor[1]) emit(extrema_[oldest[0][survivor[1]]], extrema_[oldest[1][survivor[0]]], level);
      for (Order o : {of_prediction, of_label}) oldest[o][merged] = oldest[o][survivor[o]];
    }
  }

  // The cells on both sides of a saddle: its end vertices, or the top cells that share the facet.
  std::pair<Voxel, Voxel> sides(Cell saddle) const {
    const Voxel v = C::corner(saddle);
    const auto axes = static_cast<std::uint32_t>(dual_ ? C::top_type ^ C::type(saddle) : C::type(saddle));
    const Voxel step = gradient_.stride[lowest_bit(axes)];
    return {v, dual_ ? v - step : v + step};
  }

  // Follows the V-path from a vertex down, or from a top cell up, to a critical one or out of the image.
  Node basin_of(Voxel at) {
    walked_.clear();
    const int type = dual_ ? C::top_type : 0;
    Node node = no_node;
    while (node == no_node) {
      node = node_of_cell_[at];
      if (node != no_node) break;
      walked_.push_back(at);
      const CellCode code = gradient_.code(C::cell(at, type));
      if (code.is_missing()) {
        node = 0;
      } else if (code.is_critical()) {
        node = static_cast<Node>(extrema_.size());
        extrema_.push_back(C::cell(at, type));
      } else {
        // A vertex leaves through the edge on that side, a top cell through the facet on that side.
        at = code.upper() ? at + gradient_.stride[code.axis()] : at - gradient_.stride[code.axis()];
      }
    }
    for (Voxel passed : walked_) node_of_cell_[passed] = node;
    return node;
  }

  const G& gradient_;
  const bool dual_;
  std::vector<Node> node_of_cell_;
  std::vector<Cell> extrema_{no_cell};  // of a node
  std::vector<Saddle> saddles_;
  std::vector<Voxel> walked_;
};

}  // namespace topo
