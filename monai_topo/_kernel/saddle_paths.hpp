// The voxels that have to change for a saddle to move: the path through it, from one side to the other.
//
// Every merge of two components joins two peaks, those at the ends of the steepest ascents from its saddle. All merges
// together are a spanning tree of the peaks, a maximal one, so the path between two peaks along the tree is the highest
// there is. Where a saddle joins two components, its path goes from the peak of the younger one to the first older
// peak. Where it closes a loop (or, seen from the complement, a moat), the path is the way around.
//
// "Peak", "up" and "older" are those of the sweep of the merge tree: a peak is where a component appears.
#pragma once

#include <optional>

#include "merge_tree.hpp"
#include "neighborhood.hpp"

namespace topo {

template <int D>
class SaddlePaths {
  using Component = typename MergeTree<D>::Component;
  using Path = Array<Voxel>;

 public:
  SaddlePaths(const Grid<D>& grid, const MergeOrder& order, const StopFlag& stop)
      : grid_(grid),
        order_(order),
        tree_(grid, order, stop),
        box_offsets_(grid.box_offsets()),
        neighbor_offsets_(grid.neighbor_offsets(order.full)) {
    build_spanning_tree();
  }

  // The voxels of the path through a saddle.
  Path path_through(Voxel saddle) const {
    Path path{saddle};
    const Array<Side> sides = sides_of(saddle);
    Node oldest = no_node;
    for (const Side& side : sides) oldest = std::min(oldest, side.component);
    for (auto side = sides.begin(); side != sides.end(); ++side) {
      const auto same = [&](const Side& other) { return other.component == side->component; };
      const auto partner = std::find_if(sides.begin(), side, same);
      if (partner != side) {  // two sides of one component: a loop
        const Node from = append_ascent(partner->first, path), to = append_ascent(side->first, path);
        for (const TreeEdge& edge : tree_path(from, to)) append_edge(edge, path);
      } else if (side->component != oldest) {
        for (const TreeEdge& edge : tree_path(side->component, oldest)) {
          append_edge(edge, path);
          if (edge.peak < side->component) break;  // the first older peak
        }
      }
    }
    return path;
  }

 private:
  // What is there before a saddle enters, around it: a connected part, its first voxel, and the component that it
  // belongs to. Components are named by their number, which is the age of their peak.
  struct Side {
    Voxel first;
    Node component;
  };

  // An edge of the spanning tree: the merge of a component at its saddle. `peak` is the end of the edge on a path.
  struct TreeEdge {
    Node merge;
    Node peak;
  };

  const Component& component(Node c) const { return tree_.components()[c]; }

  bool enters_before(Voxel u, Voxel v) const { return order_.last_to_first ? grid_.before(v, u) : grid_.before(u, v); }
  bool is_there_before(Voxel u, Voxel v) const { return grid_.in_frame(u) ? order_.framed : enters_before(u, v); }

  // Of the neighbors that are there before the voxel and fulfill a condition, the first; outside comes first of all.
  template <class Condition>
  std::optional<Voxel> first_neighbor(Voxel v, Condition condition) const {
    std::optional<Voxel> first;
    for (Voxel offset : neighbor_offsets_) {
      const Voxel u = v + offset;
      if (!is_there_before(u, v) || !condition(u)) continue;
      if (grid_.in_frame(u)) return u;
      if (!first || enters_before(u, *first)) first = u;
    }
    return first;
  }

  // One step of the steepest ascent; none at a peak and outside.
  std::optional<Voxel> step_up(Voxel v) const {
    if (grid_.in_frame(v)) return std::nullopt;
    return first_neighbor(v, [](Voxel) { return true; });
  }

  // The component of the peak at the end of the steepest ascent, 0 outside.
  Node peak_above(Voxel v) const {
    while (const auto next = step_up(v)) v = *next;
    return tree_.component_of(v);
  }

  // The same, and the voxels on the way.
  Node append_ascent(Voxel v, Path& path) const {
    for (;;) {
      if (!grid_.in_frame(v)) path.push_back(v);
      const auto next = step_up(v);
      if (!next) return tree_.component_of(v);
      v = *next;
    }
  }

  // The saddle of a merge, and the ascents from it to both peaks.
  void append_edge(const TreeEdge& edge, Path& path) const {
    const auto [a, b] = ends_of_merge(edge.merge);
    path.push_back(component(edge.merge).saddle);
    append_ascent(a, path);
    append_ascent(b, path);
  }

  // The component that a component had become part of just before a voxel entered.
  Node component_at(Node c, Voxel v) const {
    while (c != 0 && component(c).saddle != no_voxel && enters_before(component(c).saddle, v)) c = component(c).older;
    return c;
  }

  Array<Side> sides_of(Voxel saddle) const {
    const auto& around = Neighborhood<D>::instance();
    std::uint32_t before = 0;
    for (int p = 0; p < box_size<D>; ++p)
      if (p != box_center<D> && is_there_before(saddle + box_offsets_[p], saddle)) before |= 1u << p;
    Array<Side> sides;
    while (before != 0) {
      const std::uint32_t part = order_.full ? around.take_full(before) : around.take_face(before);
      if (part == 0) break;
      const auto is_in_part = [&](Voxel u) {
        for (int p : bits_of(part))
          if (saddle + box_offsets_[p] == u) return true;
        return false;
      };
      const Voxel first = *first_neighbor(saddle, is_in_part);
      sides.push_back({first, component_at(tree_.component_of(first), saddle)});
    }
    return sides;
  }

  // The spanning tree of the peaks, rooted at component 0. Each merge is an edge, named by the component that ends.
  void build_spanning_tree() {
    const std::size_t count = tree_.components().size();
    Array<Array<TreeEdge>> edges_of_peak(count);
    for (Node merge = 1; merge < count; ++merge) {
      const auto [a, b] = ends_of_merge(merge);
      const Node from = peak_above(a), to = peak_above(b);
      edges_of_peak[from].push_back({merge, to});
      edges_of_peak[to].push_back({merge, from});
    }
    to_root_.assign(count, {no_node, no_node});
    depth_.assign(count, 0);
    Array<Node> front;
    if (count > 0) front.push_back(0), to_root_[0] = {no_node, 0};
    for (std::size_t i = 0; i < front.size(); ++i)
      for (const auto& [merge, peak] : edges_of_peak[front[i]]) {
        if (to_root_[peak].peak != no_node) continue;
        to_root_[peak] = {merge, front[i]};
        depth_[peak] = depth_[front[i]] + 1;
        front.push_back(peak);
      }
  }

  // Neighbors of the saddle of a merge: in the component that ends there, and in the one that it joins.
  std::pair<Voxel, Voxel> ends_of_merge(Node merge) const {
    const Voxel saddle = component(merge).saddle;
    const auto neighbor_in = [&](Node c) {
      return *first_neighbor(saddle, [&](Voxel u) { return component_at(tree_.component_of(u), saddle) == c; });
    };
    return {neighbor_in(merge), neighbor_in(component(merge).older)};
  }

  // The edges of the spanning tree from one peak to another, in order.
  Array<TreeEdge> tree_path(Node from, Node to) const {
    Array<TreeEdge> path, backwards;
    while (from != to) {
      if (depth_[from] >= depth_[to]) {
        path.push_back(to_root_[from]);
        from = to_root_[from].peak;
      } else {
        backwards.push_back({to_root_[to].merge, to});
        to = to_root_[to].peak;
      }
    }
    path.insert(path.end(), backwards.rbegin(), backwards.rend());
    return path;
  }

  const Grid<D>& grid_;
  const MergeOrder order_;
  const MergeTree<D> tree_;
  const std::array<Voxel, box_size<D>> box_offsets_;
  const Array<Voxel> neighbor_offsets_;
  Array<TreeEdge> to_root_;  // of a peak: the first edge towards the root
  Array<std::uint32_t> depth_;
};

// A saddle, in C order, and the value that its path is to reach.
template <class T>
struct PathTarget {
  std::int64_t saddle;
  T value;
};

// Lifts the paths through saddles: `lifted`, a copy of the values, is raised to the target of each path, or lowered
// where the order takes small values first.
template <int D, class T>
void lift_paths(const T* values, const Extent<D>& extent, const MergeOrder& order, const Array<PathTarget<T>>& targets,
                T* lifted, const StopFlag& stop) {
  const Grid<D> grid = make_grid<D>(values, extent, Filtration{order.negate});
  const SaddlePaths<D> paths(grid, order, stop);
  const bool raise = order.negate != order.last_to_first;
  for (const PathTarget<T>& target : targets) {
    stop.check();
    for (Voxel v : paths.path_through(grid.framed_index(target.saddle))) {
      T& value = lifted[grid.image_index(v)];
      value = raise ? std::max(value, target.value) : std::min(value, target.value);
    }
  }
}

}  // namespace topo
