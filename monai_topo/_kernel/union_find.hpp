// Disjoint sets of nodes 0, 1, 2, ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>

#include "array.hpp"

namespace topo {

using Node = std::uint32_t;
inline constexpr Node no_node = UINT32_MAX;

// The caller decides which root stays one, for example by the elder rule; paths are halved by `find`.
class UnionFind {
 public:
  explicit UnionFind(std::size_t nodes = 0) : parent_(nodes) { std::iota(parent_.begin(), parent_.end(), Node{0}); }

  std::size_t size() const { return parent_.size(); }

  Node add() {
    parent_.push_back(static_cast<Node>(parent_.size()));
    return parent_.back();
  }

  Node find(Node node) {
    while (parent_[node] != node) node = parent_[node] = parent_[parent_[node]];
    return node;
  }

  bool is_root(Node node) const { return parent_[node] == node; }

  void attach(Node root, Node to) { parent_[root] = to; }

 private:
  Array<Node> parent_;
};

}  // namespace topo
