// The grids of an image with a binary label, and of their comparison.
//
// Levels have one more bit, that of the label, so that of voxels with equal value those of the label come first, or last.
#pragma once

#include "filtration.hpp"
#include "run_components.hpp"

namespace topo {

// Levels of an image from 0 to 1 and its binary label: twice that of the value, plus one where the label is at its high
// level.
struct LabeledLevels {
  Level low, high;  // of the label, as those of values

  static Level of_value(Level labeled) { return labeled >> 1; }
  static bool is_high(Level labeled) { return labeled & 1; }
};

inline Levels levels_of_values(const float* values, std::size_t count, Levels&& levels, std::size_t threads) {
  levels.resize(count + 2);
  for_each_slab(count, threads, 0.5, [=, out = levels.data()](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) out[i] = level_of(values[i]);
  });
  levels[count] = level_of(0);
  levels[count + 1] = level_of(1);
  return std::move(levels);
}
inline Levels levels_of_values(const double* values, std::size_t count, Levels&&, std::size_t) {
  Array<double> with_label(values, values + count);
  with_label.insert(with_label.end(), {0.0, 1.0});
  return ranks_of(with_label.data(), with_label.size(), 31);
}

// Sets `levels` too. `level` is memory, as large as the image.
template <int D, class T>
Grid<D> labeled_grid(const T* values, const Bit* label, const Extent<D>& extent, const Filtration& filtration,
                     LabeledLevels& levels, Levels& level, Levels&& memory, std::size_t threads) {
  const std::size_t count = num_voxels(extent);
  level = levels_of_values(values, count, std::move(level), threads);
  const Level sign = filtration.negate ? -1 : 1;
  levels = {std::min(sign * level[count], sign * level[count + 1]),
            std::max(sign * level[count], sign * level[count + 1])};
  const Bit at_low = filtration.negate ? 1 : 0;
  for_each_slab(count, threads, 0.5, [=, out = level.data()](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) out[i] = 2 * sign * out[i] + (label[i] ^ at_low);
  });
  Grid<D> grid(extent, filtration.frame(), std::move(memory));
  grid.set_levels(level.data(), filtration.dual, [](Level labeled) { return labeled; }, threads);
  return grid;
}

// The greater value of image and label, or with the other connectivity the lesser one.
template <int D>
Grid<D> comparison_grid(const Grid<D>& image, const LabeledLevels& levels, bool is_greater, Levels&& memory,
                        std::size_t threads) {
  Grid<D> grid(image.extent, image.frame, std::move(memory));
  const Level low = 2 * levels.low, high = 2 * levels.high + 1;
  const auto compare = [=, from = image.level.data(), to = grid.level.data()](std::size_t begin, std::size_t end) {
    for (std::size_t v = begin; v < end; ++v) {
      const Level own = from[v];
      const Level compared =
          is_greater ? (LabeledLevels::is_high(own) ? high : own) : (LabeledLevels::is_high(own) ? own : low);
      to[v] = own == never_enters || own == enters_first ? own : compared;
    }
  };
  for_each_slab(grid.size(), threads, 0.5, compare);
  return grid;
}

}  // namespace topo
