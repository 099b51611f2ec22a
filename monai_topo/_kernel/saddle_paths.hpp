// The voxels that have to change for a saddle to move: the path through it, from the one side to the other.
//
// Every merge of two components joins two peaks, the ones that the steepest ways up from its saddle lead to. All merges
// together are a spanning tree of the peaks, a maximal one, so the way from peak to peak along it is the highest there
// is. Where a saddle joins two components, the path is the way from the peak of the younger to the first older peak;
// where it closes a loop (or, seen from the complement, a moat), it is the way around.
#pragma once

#include "merge_tree.hpp"
#include "homotopy_warping.hpp"

namespace topo {

template <int D>
class Paths : MergeTree<D> {
  using Base = MergeTree<D>;
  using Base::component_, Base::grid_, Base::none, Base::order_, Base::tree_;

 public:
  Paths(const Grid<D>& grid, const MergeOrder& order, const StopFlag& stop) : Base(grid, order) {
    this->join_all(stop);
    for (int p = 0; p < Neighborhood<D>::size; ++p) {
      Voxel offset = 0;
      for (int a = D - 1, digits = p; a >= 0; --a, digits /= 3)
        offset += static_cast<Voxel>(digits % 3 - 1) * grid_.stride[a];  // wraps around where it is negative
      offset_[p] = offset;
    }
    neighbors_ = this->neighbors();
    span();
  }

  // The voxels of the path through a saddle.
  std::vector<Voxel> through(Voxel saddle) {
    std::vector<Voxel> path{saddle};
    struct Side {
      Voxel first;
      std::uint32_t component;
    };
    std::vector<Side> sides;
    std::uint32_t oldest = none;
    for (Voxel first : sides_of(saddle)) {
      sides.push_back({first, alive(component_[first], saddle)});
      oldest = std::min(oldest, sides.back().component);
    }
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const std::uint32_t own = sides[i].component;
      const auto before = std::find_if(sides.begin(), sides.begin() + i, [&](const Side& s) { return s.component == own; });
      if (before != sides.begin() + i) {
        const std::uint32_t from = up(before->first, &path), to = up(sides[i].first, &path);
        between(from, to, none, path);
      } else if (own != oldest) {
        between(own, oldest, own, path);
      }
    }
    return path;
  }

 private:
  bool entered_before(Voxel u, Voxel v) const {
    return order_.last_to_first ? grid_.before(v, u) : grid_.before(u, v);
  }
  bool framed(Voxel v) const { return grid_.level[v] == absent || grid_.level[v] == present; }
  bool there_before(Voxel u, Voxel v) const { return framed(u) ? order_.outside : entered_before(u, v); }

  // The neighbor that entered first, if it did so before the voxel; else the voxel itself.
  template <class Wanted>
  Voxel first_neighbor(Voxel v, Wanted wanted) const {
    Voxel first = v;
    for (Voxel offset : neighbors_) {
      const Voxel u = v + offset;
      if (!there_before(u, v) || !wanted(u)) continue;
      if (framed(u)) return u;
      if (first == v || entered_before(u, first)) first = u;
    }
    return first;
  }

  // Steepest way up: the component of the peak that it ends at, 0 outside.
  std::uint32_t up(Voxel v, std::vector<Voxel>* path) const {
    for (;;) {
      if (framed(v)) return 0;
      if (path) path->push_back(v);
      const Voxel next = first_neighbor(v, [](Voxel) { return true; });
      if (next == v) return component_[v];
      v = next;
    }
  }

  // What a component had become part of just before a voxel entered.
  std::uint32_t alive(std::uint32_t component, Voxel v) const {
    while (component != 0 && tree_[component].saddle != none && entered_before(tree_[component].saddle, v))
      component = tree_[component].older;
    return component;
  }

  // The first voxel of every side of a saddle: of the components of what is there before, around it.
  std::vector<Voxel> sides_of(Voxel saddle) const {
    const auto& around = Neighborhood<D>::instance();
    std::uint32_t there = 0;
    for (int p = 0; p < Neighborhood<D>::size; ++p)
      if (p != Neighborhood<D>::center && there_before(saddle + offset_[p], saddle)) there |= 1u << p;
    std::vector<Voxel> first;
    while (there != 0) {
      const std::uint32_t side = order_.full ? around.take_full(there) : around.take_face(there);
      if (side == 0) break;
      const auto in_side = [&](Voxel u) {
        for (int p = 0; p < Neighborhood<D>::size; ++p)
          if (side >> p & 1 && saddle + offset_[p] == u) return true;
        return false;
      };
      first.push_back(first_neighbor(saddle, in_side));
    }
    return first;
  }

  // Ties of a spanning tree of the peaks, rooted at component 0: edge c is the saddle of component c.
  void span() {
    const std::size_t count = tree_.size();
    std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> ties(count);
    for (std::uint32_t c = 1; c < count; ++c) {
      const auto [a, b] = ends(c);
      const std::uint32_t from = up(a, nullptr), to = up(b, nullptr);
      ties[from].push_back({to, c});
      ties[to].push_back({from, c});
    }
    next_.assign(count, none);
    edge_.assign(count, none);
    depth_.assign(count, 0);
    std::vector<std::uint32_t> front;
    if (count > 0) front.push_back(0), next_[0] = 0;
    for (std::size_t i = 0; i < front.size(); ++i)
      for (const auto& [other, edge] : ties[front[i]]) {
        if (next_[other] != none) continue;
        next_[other] = front[i];
        edge_[other] = edge;
        depth_[other] = depth_[front[i]] + 1;
        front.push_back(other);
      }
  }

  // Neighbors of the saddle of a component, in it and in the one that it joined.
  std::pair<Voxel, Voxel> ends(std::uint32_t c) const {
    const Voxel saddle = tree_[c].saddle;
    const auto of = [&](std::uint32_t component) {
      return first_neighbor(saddle, [&](Voxel u) { return alive(component_[u], saddle) == component; });
    };
    return {of(c), of(tree_[c].older)};
  }

  // The way from one peak to another; it ends at the first peak older than `younger`.
  void between(std::uint32_t from, std::uint32_t to, std::uint32_t younger, std::vector<Voxel>& path) const {
    std::vector<std::uint32_t> peaks_down, edges, edges_down;
    std::vector<std::uint32_t> peaks;  // behind each edge
    while (from != to) {
      if (depth_[from] >= depth_[to]) {
        edges.push_back(edge_[from]);
        peaks.push_back(from = next_[from]);
      } else {
        edges_down.push_back(edge_[to]);
        peaks_down.push_back(to);
        to = next_[to];
      }
    }
    edges.insert(edges.end(), edges_down.rbegin(), edges_down.rend());
    peaks.insert(peaks.end(), peaks_down.rbegin(), peaks_down.rend());
    for (std::size_t i = 0; i < edges.size(); ++i) {
      const auto [a, b] = ends(edges[i]);
      path.push_back(tree_[edges[i]].saddle);
      up(a, &path);
      up(b, &path);
      if (younger != none && peaks[i] < younger) return;
    }
  }

  std::array<Voxel, Neighborhood<D>::size> offset_;
  std::vector<Voxel> neighbors_;
  std::vector<std::uint32_t> next_, edge_, depth_;  // of a peak: towards the root
};

// A saddle, in C order, and the value that its path is to reach.
template <class T>
struct Aim {
  std::int64_t saddle;
  T level;
};

// Lifts the paths through saddles: `lifted`, a copy of the values, is raised to the level of each path, or lowered where
// the order takes small values first.
template <int D, class T>
void lift_paths(const T* values, const std::array<Voxel, D>& extent, const MergeOrder& order,
                const std::vector<Aim<T>>& aims, T* lifted, const StopFlag& stop) {
  const Grid<D> grid = make_grid<D>(values, extent, Filtration{order.negate, false, false, 0u, 0.0});
  Paths<D> paths(grid, order, stop);
  const bool raise = order.negate != order.last_to_first;
  for (const Aim<T>& aim : aims) {
    stop.check();
    Voxel saddle = 0;
    std::int64_t rest = aim.saddle;
    for (int a = D - 1; a >= 0; --a) {
      saddle += static_cast<Voxel>(rest % extent[a] + 1) * grid.stride[a];
      rest /= extent[a];
    }
    for (Voxel v : paths.through(saddle)) {
      T& value = lifted[grid.image_index(v)];
      value = raise ? std::max(value, aim.level) : std::min(value, aim.level);
    }
  }
}

}  // namespace topo
