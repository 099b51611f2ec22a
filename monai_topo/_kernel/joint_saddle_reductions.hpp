// The reductions of dimension 1 of a 3D joint gradient: of two images, and of their maps to, or from, the comparison.
//
// A reduced column is the boundary of its square and of some squares before it. It serves another reduction, in any order
// of the edges, where these come before the square too:
//
//   the same order of the squares       all columns serve
//   from the order of the prediction    those of squares whose last voxel in that order is not at the least level of the
//   to that of a binary label           label: such voxels now come first, and the others as before
//   from the order of a binary label    those of squares all of whose voxels are at the least level of the label: they
//   to that of the prediction           come in the same order
//
// So if the comparison has the order of a binary label, few columns are reduced more than once.
#pragma once

#include <array>
#include <optional>

#include "joint_saddle_pairs.hpp"

namespace topo {

class JointSaddleReductions {
 public:
  // Births and deaths of the map from an image to the comparison, or back.
  struct Orders {
    Order births, deaths;
  };
  using Unpaired = std::array<Array<SaddleIndex>, num_orders>;  // by index of the order, in that order

  // `edges`, `squares`: those that dimensions 0 and 2 have left without a pair.
  JointSaddleReductions(JointGradient<3>& gradient, const std::array<Orders, 2>& maps, const Unpaired& edges,
                        Unpaired&& squares, std::size_t threads, const StopFlag& stop)
      : gradient_(gradient),
        orders_(gradient.orders()),
        edges_(gradient),
        squares_(negative_squares(std::move(squares))),
        bricks_(orders_.grid()),
        working_(threads),
        own_{reduction({of_prediction, of_prediction}, stop), reduction({of_label, of_label}, stop)},
        map_of_prediction_(reduction(maps[of_prediction], stop)) {
    mark_negative_edges(edges);
    const bool label_is_mapped = !is_same(maps[of_label].births, maps[of_label].deaths);
    if (label_is_mapped) map_of_label_.emplace(reduction(maps[of_label], stop));
    if (orders_.label_is_binary() && !label_is_mapped)
      reduce_with_binary_label();
    else
      reduce_all();
  }

  // By image.
  const JointSaddleReduction& own(Order image) const { return own_[image]; }
  const JointSaddleReduction& map(Order image) const {
    return image == of_prediction ? map_of_prediction_ : map_of_label_ ? *map_of_label_ : own_[of_label];
  }

 private:
  bool is_same(Order a, Order b) const { return orders_.index(a) == orders_.index(b); }

  std::array<NegativeSquares, num_orders> negative_squares(Unpaired&& squares) const {
    return {NegativeSquares(gradient_, 0, std::move(squares[0])), NegativeSquares(gradient_, 1, std::move(squares[1])),
            NegativeSquares(gradient_, 2, std::move(squares[2]))};
  }

  JointSaddleReduction reduction(const Orders& of, const StopFlag& stop) const {
    return JointSaddleReduction(gradient_, orders_.index(of.births), edges_, squares_[orders_.index(of.deaths)], stop);
  }

  void mark_negative_edges(const Unpaired& positive) {
    const Array<Cell>& edges = gradient_.critical_cells(1);
    Array<char> is_positive(edges.size(), 0);
    for (const auto& in_order : positive)
      for (const SaddleIndex edge : in_order) is_positive[edge] = 1;
    for (std::size_t i = 0; i < edges.size(); ++i)
      if (!is_positive[i]) gradient_.set_negative(edges[i]);
  }

  // Reduces squares from a place in their order on.
  void reduce(JointSaddleReduction& of, std::size_t first = 0) {
    of.reduce(first, of.squares().size(), bricks_, working_);
  }

  // Where all orders may differ.
  void reduce_all() {
    for (JointSaddleReduction& of : own_) reduce(of);
    for (JointSaddleReduction* map : {&map_of_prediction_, map_of_label_ ? &*map_of_label_ : nullptr}) {
      if (map == nullptr) continue;
      for (const JointSaddleReduction* other : {&own_[of_prediction], &own_[of_label], &map_of_prediction_})
        if (other != map && &other->squares() == &map->squares())
          map->begin_with(*other, [](SaddleIndex) { return true; });
      reduce(*map);
    }
  }

  // Where the comparison has the order of a binary label: squares at its least level first, for all reductions.
  void reduce_with_binary_label() {
    auto &prediction = own_[of_prediction], &label = own_[of_label], &map = map_of_prediction_;
    const auto least_in = [&](Order o) {
      Array<char> enters_with_least;
      for (const Cell square : gradient_.critical_cells(2))
        enters_with_least.push_back(orders_.is_least_of_label(gradient_.top(square, orders_.index(o))));
      return enters_with_least;
    };
    const Array<char> least_of_label = least_in(of_label), least_of_prediction = least_in(of_prediction);
    const auto is_least = [&](SaddleIndex square) { return least_of_label[square] != 0; };
    const auto begin_others = [&](JointSaddleReduction& of, const JointSaddleReduction& from) {
      const auto& serves_not = &of.squares() == &from.squares() ? least_of_label : least_of_prediction;
      of.begin_with(from, [&](SaddleIndex square) { return serves_not[square] == 0; });
    };
    std::size_t num_least = 0;
    while (num_least < label.squares().size() && is_least(label.squares().index(num_least))) ++num_least;
    label.reduce(0, num_least, bricks_, working_);
    prediction.begin_with(label, is_least);
    reduce(prediction);
    map.begin_with(label, is_least);
    begin_others(map, prediction);
    reduce(map);
    begin_others(label, map);
    reduce(label, num_least);
  }

  JointGradient<3>& gradient_;
  const JointOrders<3>& orders_;
  const CriticalEdges edges_;
  const std::array<NegativeSquares, num_orders> squares_;  // by index of the order
  const Bricks bricks_;
  Array<WorkingColumn::EdgesOfVoxels> working_;
  std::array<JointSaddleReduction, 2> own_;
  JointSaddleReduction map_of_prediction_;
  std::optional<JointSaddleReduction> map_of_label_;  // or none: it is the label's own
};

}  // namespace topo
