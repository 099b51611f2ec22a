// The Python face of what works on masks: arrays in, arrays out. Arguments are validated in Python and assumed here.
#include "bindings.hpp"

#include "betti_numbers.hpp"
#include "block_components.hpp"
#include "component_labels.hpp"
#include "homotopy_warping.hpp"

using namespace nanobind::literals;

namespace topo {
namespace {

auto count_betti_numbers(const Images<std::uint8_t>& masks, bool full, bool foreground_border, std::size_t num_threads) {
  const std::size_t count = masks.shape(0), ndim = masks.ndim() - 1;
  const bool volume = ndim == 3;
  const auto extent = [&](std::size_t axis) { return static_cast<std::int64_t>(masks.shape(axis)); };
  const std::int64_t planes = volume ? extent(1) : 1, rows = extent(ndim - 1), length = extent(ndim);
  std::vector<std::int64_t> numbers(count * ndim);
  {
    nb::gil_scoped_release unlocked;
    parallel_for(count, num_threads, [&](std::size_t i) {
      const Mask mask{masks.data() + i * planes * rows * length, planes, rows, length, volume};
      const BettiNumbers betti = betti_numbers(mask, full, foreground_border);
      std::int64_t* out = numbers.data() + i * ndim;
      out[0] = betti.components;
      if (volume) out[1] = betti.loops;
      out[ndim - 1] = betti.holes;
    });
  }
  return to_numpy(std::move(numbers));
}

auto component_labels(const Images<std::uint8_t>& masks, bool full, bool frame, std::size_t num_threads) {
  const std::size_t count = masks.shape(0), ndim = masks.ndim() - 1;
  const bool volume = ndim == 3;
  const auto extent = [&](std::size_t axis) { return static_cast<std::int64_t>(masks.shape(axis)); };
  const std::int64_t planes = volume ? extent(1) : 1, rows = extent(ndim - 1), length = extent(ndim);
  const std::int64_t size = planes * rows * length;
  std::vector<std::int32_t> labels(count * size);
  {
    nb::gil_scoped_release unlocked;
    parallel_for(count, num_threads, [&](std::size_t i) {
      const Mask mask{masks.data() + i * size, planes, rows, length, volume};
      ComponentLabels::write(mask, full, frame, labels.data() + i * size);
    });
  }
  return to_numpy(std::move(labels));
}

// One block of a larger mask; the faces' labels one after another, the lower and the upper face of each axis.
auto block_components(const Images<std::uint8_t>& mask, bool full, bool sizes) {
  const std::size_t ndim = mask.ndim();
  const auto extent = [&](std::size_t axis) { return static_cast<std::int64_t>(mask.shape(axis)); };
  const std::int64_t planes = ndim == 3 ? extent(0) : 1;
  Block block;
  {
    nb::gil_scoped_release unlocked;
    block = Block::count({mask.data(), planes, extent(ndim - 2), extent(ndim - 1), ndim == 3}, full, sizes);
  }
  return std::make_tuple(to_numpy(std::move(block.counts)), to_numpy(std::move(block.faces)),
                         to_numpy(std::move(block.sizes)));
}

template <int D>
void simple_points_of(const std::uint8_t* mask, const std::array<Voxel, D>& extent, bool full, bool outside,
                      std::uint8_t* simple) {
  Warp<D>(extent, full, outside).mark_simple(mask, simple);
}

auto simple_points(const Images<std::uint8_t>& masks, bool full, bool outside, std::size_t num_threads) {
  const std::size_t count = masks.shape(0), size = count > 0 ? masks.size() / count : 0;
  const auto extent = [&](int axis) { return static_cast<Voxel>(masks.shape(axis)); };
  std::vector<std::uint8_t> simple(count * size);
  {
    nb::gil_scoped_release unlocked;
    parallel_for(count, num_threads, [&](std::size_t i) {
      const std::uint8_t* mask = masks.data() + i * size;
      if (masks.ndim() == 3)
        simple_points_of<2>(mask, {extent(1), extent(2)}, full, outside, simple.data() + i * size);
      else
        simple_points_of<3>(mask, {extent(1), extent(2), extent(3)}, full, outside, simple.data() + i * size);
    });
  }
  return to_numpy(std::move(simple));
}

auto find_critical_by_warping(const Images<std::uint8_t>& predictions, const Images<std::uint8_t>& labels,
                         const Images<float>& errors, bool full, bool outside, std::size_t num_threads) {
  const std::size_t count = labels.shape(0), size = count > 0 ? labels.size() / count : 0;
  const auto extent = [&](int axis) { return static_cast<Voxel>(labels.shape(axis)); };
  std::vector<std::uint8_t> critical(count * size);
  {
    nb::gil_scoped_release unlocked;
    interruptible(count * size > long_work_voxels, [&](const StopFlag& stop) {
      parallel_for(count, num_threads, [&](std::size_t i) {
        const std::uint8_t *prediction = predictions.data() + i * size, *label = labels.data() + i * size;
        const float* error = errors.data() + i * size;
        std::uint8_t* to = critical.data() + i * size;
        if (labels.ndim() == 3)
          homotopy_warping_errors<2>(prediction, label, error, {extent(1), extent(2)}, full, outside, to, stop);
        else
          homotopy_warping_errors<3>(prediction, label, error, {extent(1), extent(2), extent(3)}, full, outside, to,
                                       stop);
      });
    });
  }
  return to_numpy(std::move(critical));
}

}  // namespace

void bind_masks(nb::module_& m) {
  m.def("betti_numbers", &count_betti_numbers, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("component_labels", &component_labels, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("block_components", &block_components, "mask"_a, "full"_a, "sizes"_a);
  m.def("simple_points", &simple_points, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("homotopy_warping_errors", &find_critical_by_warping, "predictions"_a, "labels"_a, "errors"_a, "full"_a, "framed"_a,
        "num_threads"_a);
}

}  // namespace topo
