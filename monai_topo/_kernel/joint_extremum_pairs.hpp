// Classes of dimension 0 and D - 1 of a joint gradient: trees of critical cells joined by union-find, in any of its orders.
#pragma once

#include "joint_gradient.hpp"

namespace topo {

// The trees of one of the two dimensions: critical vertices (or top cells) joined by critical edges (or facets).
template <int D>
class Forest {
  using G = JointGradient<D>;

 public:
  // `dual`: dimension D - 1, on the dual grid and in the reverse order.
  Forest(const G& gradient, bool dual) : gradient_(gradient), dual_(dual), node_of_(gradient.size(), unknown) {
    for (Cell link : gradient.critical_cells(dual ? D - 1 : 1)) {
      const auto [u, v] = sides(link);
      links_.push_back({link, follow(u), follow(v)});
    }
  }

  // Pairs of nodes, oldest in one order, with links, taken in another: emit(node, link).
  template <class Emit>
  void join(Order nodes, Order links, Emit emit) const {
    Trees trees(nodes_.size());
    for (const Link& link : in_order(links)) {
      std::uint32_t a = trees.find(link.a), b = trees.find(link.b);
      if (a == b) continue;
      if (older(b, a, nodes)) std::swap(a, b);
      trees.parent[b] = a;
      emit(nodes_[b], link.cell);
    }
  }

  // Which nodes of prediction and label end at the same time as the same tree of the comparison: emit(node, node, level).
  //
  // Links of one level are taken together, so that ties do not pair features of different places: what ends in the same
  // tree goes together, and beyond that only the tree where one image's oldest node stays with the tree where the
  // other's does. With one link a level this is what the order of links says.
  template <class Emit>
  void join_both(Emit emit) const {
    Trees trees(nodes_.size());
    std::array<std::vector<std::uint32_t>, 2> oldest;  // node of a tree, by its root
    for (auto& of_image : oldest) {
      of_image.resize(nodes_.size());
      std::iota(of_image.begin(), of_image.end(), 0u);
    }
    const std::vector<Link> links = in_order(of_comparison);
    std::vector<std::uint32_t> before;
    for (std::size_t begin = 0, end; begin < links.size(); begin = end) {
      const Level level = level_of(links[begin]);
      before.clear();
      for (end = begin; end < links.size() && level_of(links[end]) == level; ++end) {
        before.push_back(trees.find(links[end].a));
        before.push_back(trees.find(links[end].b));
      }
      std::sort(before.begin(), before.end());
      before.erase(std::unique(before.begin(), before.end()), before.end());
      for (std::size_t i = begin; i < end; ++i) trees.parent[trees.find(links[i].b)] = trees.find(links[i].a);
      settle(before, trees, oldest, level, emit);
    }
  }

 private:
  static constexpr std::uint32_t unknown = UINT32_MAX;
  static constexpr Cell outside = UINT32_MAX;  // node 0, older than all

  struct Link {
    Cell cell;
    std::uint32_t a, b;
  };

  struct Trees {
    std::vector<std::uint32_t> parent;
    explicit Trees(std::size_t nodes) : parent(nodes) { std::iota(parent.begin(), parent.end(), 0u); }
    std::uint32_t find(std::uint32_t node) {
      while (parent[node] != node) node = parent[node] = parent[parent[node]];
      return node;
    }
  };

  Level level_of(const Link& link) const {
    return gradient_.level(gradient_.top(link.cell, of_comparison), of_comparison);
  }

  bool older(std::uint32_t a, std::uint32_t b, Order o) const {
    if (a == 0 || b == 0) return a == 0;
    const std::uint64_t key_a = gradient_.key(nodes_[a], o), key_b = gradient_.key(nodes_[b], o);
    return dual_ ? key_a > key_b : key_a < key_b;
  }

  std::vector<Link> in_order(Order o) const {
    std::vector<std::pair<std::uint64_t, Link>> keyed;
    keyed.reserve(links_.size());
    for (const Link& link : links_) {
      const std::uint64_t key = gradient_.key(link.cell, o);
      keyed.emplace_back(dual_ ? ~key : key, link);
    }
    std::sort(keyed.begin(), keyed.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
    std::vector<Link> links;
    links.reserve(keyed.size());
    for (const auto& entry : keyed) links.push_back(entry.second);
    return links;
  }

  template <class Emit>
  void settle(std::vector<std::uint32_t>& before, Trees& trees, std::array<std::vector<std::uint32_t>, 2>& oldest,
              Level level, Emit emit) const {
    std::sort(before.begin(), before.end(),
              [&](auto x, auto y) { return std::make_pair(trees.find(x), x) < std::make_pair(trees.find(y), y); });
    for (std::size_t begin = 0, end; begin < before.size(); begin = end) {
      const std::uint32_t root = trees.find(before[begin]);
      std::uint32_t stays[2] = {before[begin], before[begin]};  // the tree whose node of each image goes on
      for (end = begin; end < before.size() && trees.find(before[end]) == root; ++end)
        for (Order o : {of_prediction, of_label})
          if (older(oldest[o][before[end]], oldest[o][stays[o]], o)) stays[o] = before[end];
      for (std::size_t i = begin; i < end; ++i) {
        const std::uint32_t tree = before[i];
        if (tree != stays[0] && tree != stays[1]) emit(nodes_[oldest[0][tree]], nodes_[oldest[1][tree]], level);
      }
      if (stays[0] != stays[1]) emit(nodes_[oldest[0][stays[1]]], nodes_[oldest[1][stays[0]]], level);
      for (Order o : {of_prediction, of_label}) oldest[o][root] = oldest[o][stays[o]];
    }
  }

  // The cells on both sides of a link: its end vertices, or the top cells that share the facet.
  std::pair<Voxel, Voxel> sides(Cell link) const {
    const Voxel v = G::corner(link);
    const int axis = __builtin_ctz(dual_ ? G::top_type ^ G::type(link) : G::type(link));
    return {v, dual_ ? v - gradient_.stride[axis] : v + gradient_.stride[axis]};
  }

  // From vertex to vertex down, or from top cell to top cell up, to a critical one or out of the image.
  std::uint32_t follow(Voxel at) {
    path_.clear();
    const int type = dual_ ? G::top_type : 0;
    std::uint32_t node = unknown;
    while (node == unknown) {
      node = node_of_[at];
      if (node != unknown) break;
      path_.push_back(at);
      const std::uint8_t code = gradient_.code(at, type);
      if (code == G::missing) {
        node = 0;
      } else if (G::is_critical(code)) {
        node = static_cast<std::uint32_t>(nodes_.size());
        nodes_.push_back(G::cell(at, type));
      } else {
        // A vertex leaves through the edge on that side, a top cell through the facet on that side.
        at = G::upper(code) ? at + gradient_.stride[G::axis(code)] : at - gradient_.stride[G::axis(code)];
      }
    }
    for (Voxel passed : path_) node_of_[passed] = node;
    return node;
  }

  const G& gradient_;
  const bool dual_;
  std::vector<std::uint32_t> node_of_;
  std::vector<Cell> nodes_{outside};
  std::vector<Link> links_;
  std::vector<Voxel> path_;
};

}  // namespace topo
