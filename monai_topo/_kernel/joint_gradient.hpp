// One discrete gradient for three filtrations of the same grid: of two images, and of their comparison.
//
// Two cells are matched only if they enter together in all three orders, so the critical cells left over hold the
// persistence of each order and the maps between them. A cell enters with its last voxel, its top. A facet enters with
// the cell if it holds the top, so the cells that share all three tops are those around the smallest cell that holds
// these tops: a link, as around a vertex. They are matched direction by direction (element matchings one after another
// are acyclic: Jonsson, "Simplicial Complexes of Graphs", 2008, section 4.1), for the whole grid at once in loops that
// compilers turn into vector code.
#pragma once

#include "joint_layers.hpp"
#include "parallel.hpp"
#include "straight_runs.hpp"

namespace topo {

template <int D>
class JointGradient {
  using C = CellIndex<D>;
  using Codes = typename JointLayers<D>::Codes;

 public:
  JointGradient(const JointOrders<D>& orders, std::size_t threads, const StopFlag& stop)
      : stride(orders.grid().stride),
        orders_(orders),
        offset_(C::corner_offsets(stride)),
        codes_(orders.grid().size()) {
    match_cells(useful_threads(threads, 40.0 * size()), stop);
    if constexpr (D == 3)
      if (orders_.interior().exists()) straight_runs_.find(codes_, stride[0], threads);
  }

  const std::array<Voxel, D> stride;
  const JointOrders<D>& orders() const { return orders_; }
  Voxel size() const { return static_cast<Voxel>(codes_.size()); }

  CellCode code(Voxel corner, int type) const { return CellCode((codes_[corner] >> (4 * type)) & 15u); }
  // Marks a critical edge.
  void set_negative(Cell edge) {
    codes_[C::corner(edge)] |= static_cast<Codes>(CellCode::negative << (4 * C::type(edge)));
  }

  const StraightRuns& straight_runs() const { return straight_runs_; }

  // Critical cells of one dimension, in order.
  const Array<Cell>& critical_cells(int dim) const { return critical_[dim]; }

  // The voxel with which a cell enters.
  Voxel top(Cell c, int order_index) const {
    const RawArray<Rank>& rank = orders_.ranks(order_index);
    const auto type = static_cast<std::uint32_t>(C::type(c));
    Voxel last = C::corner(c);
    for (std::uint32_t rest = type; rest != 0; rest = (rest - 1) & type)
      if (const Voxel v = C::corner(c) + offset_[rest]; rank[v] > rank[last]) last = v;
    return last;
  }

 private:
  void match_cells(std::size_t threads, const StopFlag& stop) {
    const std::size_t layers = size() / stride[0], slabs = num_slabs(layers, threads);
    Array<typename JointLayers<D>::CriticalCells> critical(slabs);
    parallel_workers(slabs, threads, [&](std::size_t) {
      return [&, matching = JointLayers<D>(orders_)](std::size_t slab) mutable {
        matching.match(slab * layers / slabs, (slab + 1) * layers / slabs, layers, codes_.data(), critical[slab], stop);
      };
    });
    for (const auto& of_slab : critical)
      for (int dim = 0; dim <= D; ++dim)
        critical_[dim].insert(critical_[dim].end(), of_slab[dim].begin(), of_slab[dim].end());
  }

  const JointOrders<D>& orders_;
  const std::array<Voxel, C::types> offset_;  // from the lowest corner of a cell to the highest
  RawArray<Codes> codes_;
  StraightRuns straight_runs_;
  typename JointLayers<D>::CriticalCells critical_;
};

}  // namespace topo
