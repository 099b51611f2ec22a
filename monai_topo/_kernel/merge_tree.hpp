// The merge tree of an image: which component a voxel joins when it enters, and which one that component joins in turn.
//
// Voxels are taken one by one, first to last for the components of the features (dimension 0), last to first for those
// of what the features leave (dimension D - 1), and joined by union-find on components, not on voxels: components are
// few, and most neighbors of a voxel share one. (Voxels that follow the discrete gradient of lower_star.hpp instead
// would need no sort, but a second pass to find which component of their basin's line was alive when they entered.)
#pragma once

#include "persistence_pairs.hpp"

namespace topo {

struct MergeOrder {
  bool negate;   // take -values
  bool last_to_first;
  bool full;     // connectivity of the components
  bool outside;  // what lies outside the image is one component, older than all
};

// A component that ends, and the one that it joins: an index into the branches, or their number for the one that never
// ends. Voxels in C order.
struct Branch {
  std::int64_t birth, death, parent;
};

template <int D>
class MergeTree {
 public:
  MergeTree(const Grid<D>& grid, const MergeOrder& order) : grid_(grid), order_(order) {}

  // Writes for every voxel, in C order, the branch that it joined.
  std::vector<Branch> build(std::int64_t* region, const StopFlag& stop) {
    join_all(stop);
    fold();
    return number(region);
  }

 protected:
  static constexpr std::uint32_t none = UINT32_MAX;

  // Components in the order in which they appear, so the older of two has the lower number; 0 never ends.
  struct Component {
    Voxel extremum, saddle;
    std::uint32_t older;   // joined at the saddle
    std::uint32_t parent;  // of the union-find
  };

  void join_all(const StopFlag& stop) {
    component_.assign(grid_.size(), order_.outside ? 0 : none);
    std::vector<Voxel> voxels;
    voxels.reserve(grid_.size());
    for (Voxel first : grid_.rows())
      for (Voxel v = first; v < first + grid_.extent[D - 1]; ++v) {
        component_[v] = none;
        voxels.push_back(v);
      }
    sort_by_level(grid_, voxels);
    if (order_.last_to_first) std::reverse(voxels.begin(), voxels.end());
    if (order_.outside) add(none);
    const std::vector<Voxel> offsets = neighbors();
    for (std::size_t i = 0; i < voxels.size(); ++i) {
      if (i % 65536 == 0) stop.check();
      enter(voxels[i], offsets);
    }
  }

  void enter(Voxel v, const std::vector<Voxel>& offsets) {
    std::uint32_t oldest = none, last = none;
    touched_.clear();
    for (Voxel offset : offsets) {
      std::uint32_t other = component_[v + offset];
      if (other == none || other == last) continue;
      last = other;
      other = find(other);
      if (other == oldest) continue;
      if (oldest != none) touched_.push_back(std::max(oldest, other));
      oldest = std::min(oldest, other);
    }
    // All of them join the oldest, whatever the order in which they were met.
    for (std::uint32_t younger : touched_) {
      if (tree_[younger].parent != younger) continue;
      tree_[younger].older = tree_[younger].parent = oldest;
      tree_[younger].saddle = v;
    }
    component_[v] = oldest != none ? oldest : add(v);
  }

  std::uint32_t add(Voxel extremum) {
    const auto number = static_cast<std::uint32_t>(tree_.size());
    tree_.push_back({extremum, none, number, number});
    return number;
  }

  std::uint32_t find(std::uint32_t i) {
    while (tree_[i].parent != i) i = tree_[i].parent = tree_[tree_[i].parent].parent;
    return i;
  }

  // Components of no persistence become part of what they joined. Of two that end at one value neither is part of the
  // other, wherever on the plateau they met: both join the one that lives on.
  void fold() {
    merged_.resize(tree_.size());
    for (std::uint32_t i = 1; i < tree_.size(); ++i) {
      Component& component = tree_[i];
      const std::uint32_t older = component.older;
      if (older != 0 && level(tree_[older].saddle) == level(component.saddle)) component.older = tree_[older].older;
      const bool lives = level(component.extremum) != level(component.saddle);
      merged_[i] = lives ? i : merged_[older];
    }
  }

  std::vector<Branch> number(std::int64_t* region) const {
    std::vector<std::uint32_t> kept;
    for (std::uint32_t i = 1; i < tree_.size(); ++i)
      if (merged_[i] == i) kept.push_back(i);
    std::vector<Branch> branches;
    for (std::uint32_t i : kept) {
      const std::int64_t extremum = grid_.image_index(tree_[i].extremum), saddle = grid_.image_index(tree_[i].saddle);
      branches.push_back({extremum, saddle, tree_[i].older});
      if (order_.last_to_first) std::swap(branches.back().birth, branches.back().death);
    }
    std::vector<std::size_t> sorted(kept.size());
    std::iota(sorted.begin(), sorted.end(), std::size_t{0});
    std::sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) {
      return std::tie(branches[a].birth, branches[a].death) < std::tie(branches[b].birth, branches[b].death);
    });
    const auto count = static_cast<std::int64_t>(kept.size());
    std::vector<std::int64_t> index(tree_.size(), count);
    for (std::int64_t rank = 0; rank < count; ++rank) index[kept[sorted[rank]]] = rank;

    std::vector<Branch> result;
    for (std::size_t at : sorted) {
      result.push_back(branches[at]);
      result.back().parent = index[branches[at].parent];
    }
    for (Voxel first : grid_.rows())
      for (Voxel v = first; v < first + grid_.extent[D - 1]; ++v) *region++ = index[merged_[component_[v]]];
    return result;
  }

  std::vector<Voxel> neighbors() const {
    std::vector<Voxel> offsets;
    for (int code = 0, codes = D == 3 ? 27 : 9; code < codes; ++code) {
      Voxel offset = 0;
      int moved = 0, digits = code;
      for (int a = 0; a < D; ++a, digits /= 3) {
        offset += static_cast<Voxel>(digits % 3 - 1) * grid_.stride[a];  // wraps around where it is negative
        moved += digits % 3 != 1;
      }
      if (moved == 1 || (moved > 1 && order_.full)) offsets.push_back(offset);
    }
    return offsets;
  }

  Level level(Voxel v) const { return grid_.level[v]; }

  const Grid<D>& grid_;
  const MergeOrder order_;
  std::vector<std::uint32_t> component_;  // of a voxel, when it entered
  std::vector<Component> tree_;
  std::vector<std::uint32_t> merged_;  // of a component: itself, or the one that it became part of
  std::vector<std::uint32_t> touched_;
};

template <int D, class T>
std::vector<Branch> merge_tree(const T* values, const std::array<Voxel, D>& extent, const MergeOrder& order,
                               std::int64_t* region, const StopFlag& stop) {
  const Grid<D> grid = make_grid<D>(values, extent, Filtration{order.negate, false, false, 0u, 0.0});
  return MergeTree<D>(grid, order).build(region, stop);
}

}  // namespace topo
