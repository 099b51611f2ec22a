// The orders in which the voxels of two images, and of their comparison, enter.
//
// Voxels of the prediction are ordered as prediction_order.hpp says, those of the other images by (value, rank in the
// prediction). The order of ties decides how many cells stay critical. Where the label is constant, which is nearly
// everywhere, its order and that of the comparison follow the prediction, and the joint gradient is the prediction's own.
//
// If the label is binary, its order and that of the comparison are the same unless the prediction reaches the label's
// value outside of it: both take the voxels of the label first, or last. What is the same is computed once.
#pragma once

#include <utility>

#include "prediction_order.hpp"

namespace topo {

template <int D>
class JointOrders {
 public:
  JointOrders(Grid<D>&& prediction, Grid<D>&& label, bool comparison_is_greater, std::size_t threads)
      : images_(std::move(prediction), std::move(label), comparison_is_greater, threads),
        frame_rank_(grid().frame == enters_first ? 0 : greatest_rank) {
    {
      PredictionOrder<D> found(images_);
      plateau_voxel_ = found.plateau_voxel;
      interior_ = std::move(found.interior);
      set_order(0, std::move(found.voxels));
    }
    const RawArray<Voxel>& of_first = order_[0].listed();
    set_order(1, images_.label_is_binary() ? divided_by_label(of_first) : sorted(of_first, of_label));
    if (!images_.label_gives_comparison() && !is_order_of_comparison(order_[1].listed())) {
      set_order(2, sorted(of_first, of_comparison));
      index_[of_comparison] = 2;
      num_distinct_ = 3;
    }
  }

  const Grid<D>& grid() const { return images_.grids()[of_prediction]; }
  const PlateauInterior<D>& interior() const { return interior_; }
  Rank frame_rank() const { return frame_rank_; }

  // Orders that are the same have one index.
  int index(Order o) const { return index_[o]; }
  int num_distinct() const { return num_distinct_; }

  const RawArray<Rank>& ranks(int index) const { return order_[index].ranks(); }
  Rank rank(Voxel v, int index) const { return order_[index].ranks()[v]; }
  Voxel voxel(Rank rank, int index) const { return order_[index].voxel(rank); }

  Level level(Voxel v, Order o) const { return images_.level(v, o); }
  bool label_is_binary() const { return images_.label_is_binary(); }
  bool is_least_of_label(Voxel v) const { return level(v, of_label) == images_.range(of_label).low; }

 private:
  // The voxels of a binary label's least level, then the others, each as they come.
  RawArray<Voxel> divided_by_label(const RawArray<Voxel>& voxels) const {
    const auto part = [&](Voxel v) { return static_cast<int>(images_.binary_label_is_high(v)); };
    const std::size_t slabs = num_slabs(voxels.size(), images_.threads());
    const auto begin = [&](std::size_t slab) { return slab * voxels.size() / slabs; };
    Array<std::array<std::size_t, 2>> next(slabs);  // the next place of each part
    parallel_for(slabs, images_.threads(), [&](std::size_t slab) {
      std::size_t greatest = 0;
      for (std::size_t i = begin(slab); i < begin(slab + 1); ++i) greatest += part(voxels[i]);
      next[slab] = {begin(slab + 1) - begin(slab) - greatest, greatest};
    });
    std::size_t place = 0;
    for (int p : {0, 1})
      for (auto& of_slab : next) place += std::exchange(of_slab[p], place);
    RawArray<Voxel> divided(voxels.size());
    parallel_for(slabs, images_.threads(), [&](std::size_t slab) {
      auto to = next[slab];
      for (std::size_t i = begin(slab); i < begin(slab + 1); ++i) divided[to[part(voxels[i])]++] = voxels[i];
    });
    return divided;
  }

  // Voxels by level, those of equal level as they come.
  RawArray<Voxel> sorted(const RawArray<Voxel>& voxels, Order o) const {
    RawArray<std::uint64_t> items(voxels.size()), memory;
    for (std::size_t i = 0; i < voxels.size(); ++i) items[i] = order_key(level(voxels[i], o), voxels[i]);
    radix_sort(items, 32, memory, images_.threads());
    RawArray<Voxel> in_order(voxels.size());
    std::transform(items.begin(), items.end(), in_order.begin(),
                   [](std::uint64_t item) { return static_cast<Voxel>(item); });
    return in_order;
  }

  bool is_order_of_comparison(const RawArray<Voxel>& voxels) const {
    for (std::size_t i = 1; i < voxels.size(); ++i) {
      const Level before = level(voxels[i - 1], of_comparison), after = level(voxels[i], of_comparison);
      if (before > after || (before == after && rank(voxels[i - 1], 0) > rank(voxels[i], 0))) return false;
    }
    return true;
  }

  void set_order(int index, RawArray<Voxel>&& listed) {
    order_[index] = VoxelOrder(std::move(listed), plateau_voxel_, grid(), frame_rank_, images_.threads());
  }

  ImagePair<D> images_;
  Rank frame_rank_;
  std::array<int, num_orders> index_{0, 1, 1};
  int num_distinct_ = 2;
  std::array<VoxelOrder, num_orders> order_;  // by index
  PlateauInterior<D> interior_;
  Voxel plateau_voxel_ = no_voxel;  // see VoxelOrder
};

}  // namespace topo
