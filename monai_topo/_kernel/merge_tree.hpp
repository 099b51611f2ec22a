// The merge tree of an image: which component a voxel joins when it enters, and which one that component joins in turn.
//
// Voxels are taken one by one, first to last for the components of the features (dimension 0), last to first for those
// of the complement (dimension D - 1), and joined by union-find on components, not on voxels: components are few, and
// most neighbors of a voxel share one. (Voxels that follow the discrete gradient instead would need no sort, but a
// second pass to find which component of their V-path was alive when they entered.)
#pragma once

#include <tuple>

#include "filtration.hpp"
#include "parallel.hpp"
#include "union_find.hpp"

namespace topo {

struct MergeOrder {
  bool negate;  // take -values
  bool last_to_first;
  bool full;    // connectivity of the components
  bool framed;  // everything outside the image is one component, older than all
};

// A component that ends, and the one that it joins: an index into the branches, or their number for the essential one.
// Voxels in C order.
struct Branch {
  std::int64_t birth, death, parent;
};

template <int D>
class MergeTree {
 public:
  // Components in the order in which they appear, so the older of two has the lower number; 0 is essential.
  struct Component {
    Voxel extremum;
    Voxel saddle = no_voxel;  // where it joins `older`
    Node older = no_node;
  };

  MergeTree(const Grid<D>& grid, const MergeOrder& order, const StopFlag& stop) : grid_(grid), order_(order) {
    component_of_.assign(grid.size(), order.framed ? 0 : no_node);
    Array<Voxel> voxels;
    voxels.reserve(grid.size());
    grid.for_each_voxel([&](Voxel v) {
      component_of_[v] = no_node;
      voxels.push_back(v);
    });
    sort_by_level(grid, voxels);
    if (order.last_to_first) std::reverse(voxels.begin(), voxels.end());
    if (order.framed) add_component(no_voxel);
    const Array<Voxel> offsets = grid.neighbor_offsets(order.full);
    for (std::size_t i = 0; i < voxels.size(); ++i) {
      if (i % 65536 == 0) stop.check();
      enter(voxels[i], offsets);
    }
  }

  const Array<Component>& components() const { return components_; }

  // The component that a voxel joined when it entered.
  Node component_of(Voxel v) const { return component_of_[v]; }

  // The branches, sorted by (birth, death). Writes for every voxel, in C order, the branch that it joined.
  Array<Branch> branches(std::int64_t* region) {
    const Array<Node> owner = drop_zero_persistence();
    Array<Node> kept;
    for (Node i = 1; i < components_.size(); ++i)
      if (owner[i] == i) kept.push_back(i);
    Array<Branch> branches;
    for (Node i : kept) {
      const Component& component = components_[i];
      const std::int64_t extremum = grid_.image_index(component.extremum), saddle = grid_.image_index(component.saddle);
      branches.push_back({extremum, saddle, component.older});
      if (order_.last_to_first) std::swap(branches.back().birth, branches.back().death);
    }
    Array<std::size_t> sorted(kept.size());
    std::iota(sorted.begin(), sorted.end(), std::size_t{0});
    std::sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) {
      return std::tie(branches[a].birth, branches[a].death) < std::tie(branches[b].birth, branches[b].death);
    });
    const auto count = static_cast<std::int64_t>(kept.size());
    Array<std::int64_t> index(components_.size(), count);  // of a component, in the result
    for (std::int64_t rank = 0; rank < count; ++rank) index[kept[sorted[rank]]] = rank;

    Array<Branch> result;
    for (std::size_t i : sorted) {
      result.push_back(branches[i]);
      result.back().parent = index[branches[i].parent];
    }
    grid_.for_each_voxel([&](Voxel v) { *region++ = index[owner[component_of_[v]]]; });
    return result;
  }

 private:
  // By the elder rule all components around the voxel join the oldest one.
  void enter(Voxel v, const Array<Voxel>& offsets) {
    Node oldest = no_node, last = no_node;
    younger_.clear();
    for (Voxel offset : offsets) {
      Node other = component_of_[v + offset];
      if (other == no_node || other == last) continue;
      last = other;
      other = merged_.find(other);
      if (other == oldest) continue;
      if (oldest != no_node) younger_.push_back(std::max(oldest, other));
      oldest = std::min(oldest, other);
    }
    for (Node younger : younger_) {
      if (!merged_.is_root(younger)) continue;  // found on several sides
      merged_.attach(younger, oldest);
      components_[younger].older = oldest;
      components_[younger].saddle = v;
    }
    component_of_[v] = oldest != no_node ? oldest : add_component(v);
  }

  Node add_component(Voxel extremum) {
    components_.push_back({extremum});
    return merged_.add();
  }

  // Components without persistence become part of the one that they joined. Of two that end at one value neither is
  // part of the other, wherever on the plateau they merged: both join the one that survives. Returns for every
  // component itself or the one that it became part of.
  Array<Node> drop_zero_persistence() {
    Array<Node> owner(components_.size());
    const auto level = [&](Voxel v) { return grid_.level[v]; };
    for (Node i = 1; i < components_.size(); ++i) {
      Component& component = components_[i];
      const Node older = component.older;
      if (older != 0 && level(components_[older].saddle) == level(component.saddle))
        component.older = components_[older].older;
      owner[i] = level(component.extremum) != level(component.saddle) ? i : owner[older];
    }
    return owner;
  }

  const Grid<D>& grid_;
  const MergeOrder order_;
  Array<Node> component_of_;
  Array<Component> components_;
  UnionFind merged_;
  Array<Node> younger_;
};

template <int D, class T>
Array<Branch> merge_tree(const T* values, const Extent<D>& extent, const MergeOrder& order, std::int64_t* region,
                         const StopFlag& stop) {
  const Grid<D> grid = make_grid<D>(values, extent, Filtration{order.negate});
  return MergeTree<D>(grid, order, stop).branches(region);
}

}  // namespace topo
