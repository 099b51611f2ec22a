// Bindings of what works on masks: arrays in, arrays out. Arguments are validated in Python and assumed to be valid
// here. Functions have their Python names.
#include "betti_numbers.hpp"
#include "bindings.hpp"
#include "block_components.hpp"
#include "component_labels.hpp"
#include "homotopy_warping.hpp"

using namespace nanobind::literals;

namespace topo {
namespace bindings {
namespace {

template <int D>
Mask make_mask(const Bit* data, const Extent<D>& extent) {
  return {data, D == 3 ? extent[0] : 1, extent[D - 2], extent[D - 1], D == 3};
}

auto betti_numbers(const Images<Bit>& masks, bool full, bool framed, std::size_t num_threads) {
  const Batch<Bit> batch(masks);
  std::vector<std::int64_t> numbers(batch.count * batch.dims);
  {
    nb::gil_scoped_release unlocked;
    for_each_image(batch, num_threads, [&](std::size_t i, const auto& extent, const StopFlag&) {
      const Mask mask = make_mask(batch.image(i), extent);
      const BettiNumbers betti = topo::betti_numbers(mask, full, framed);
      std::int64_t* out = numbers.data() + i * batch.dims;
      out[0] = betti.components;
      if (mask.volume) out[1] = betti.loops;
      out[batch.dims - 1] = betti.holes;
    });
  }
  return to_numpy(std::move(numbers));
}

auto component_labels(const Images<Bit>& masks, bool full, bool framed, std::size_t num_threads) {
  const Batch<Bit> batch(masks);
  std::vector<std::int32_t> labels(batch.size());
  {
    nb::gil_scoped_release unlocked;
    for_each_image(batch, num_threads, [&](std::size_t i, const auto& extent, const StopFlag&) {
      topo::component_labels(make_mask(batch.image(i), extent), full, framed, labels.data() + i * batch.image_size);
    });
  }
  return to_numpy(std::move(labels));
}

// One block of a larger mask. The labels of its faces follow one another, the lower and the upper face of each axis.
auto block_components(const Images<Bit>& mask, bool full, bool with_sizes) {
  const std::size_t dims = mask.ndim();
  const auto extent = [&](std::size_t axis) { return static_cast<std::int64_t>(mask.shape(axis)); };
  Block block;
  {
    nb::gil_scoped_release unlocked;
    const Mask rows{mask.data(), dims == 3 ? extent(0) : 1, extent(dims - 2), extent(dims - 1), dims == 3};
    block = topo::block_components(rows, full, with_sizes);
  }
  return std::make_tuple(to_numpy(std::move(block.counts)), to_numpy(std::move(block.faces)),
                         to_numpy(std::move(block.sizes)));
}

auto simple_points(const Images<Bit>& masks, bool full, bool framed, std::size_t num_threads) {
  const Batch<Bit> batch(masks);
  std::vector<Bit> simple(batch.size());
  {
    nb::gil_scoped_release unlocked;
    for_each_image(batch, num_threads, [&](std::size_t i, const auto& extent, const StopFlag&) {
      topo::simple_points(batch.image(i), extent, full, framed, simple.data() + i * batch.image_size);
    });
  }
  return to_numpy(std::move(simple));
}

auto homotopy_warping_errors(const Images<Bit>& predictions, const Images<Bit>& labels, const Images<float>& errors,
                             bool full, bool framed, std::size_t num_threads) {
  const Batch<Bit> prediction(predictions), label(labels);
  const Batch<float> error(errors);
  std::vector<Bit> critical(label.size());
  {
    nb::gil_scoped_release unlocked;
    for_each_image(label, num_threads, [&](std::size_t i, const auto& extent, const StopFlag& stop) {
      topo::homotopy_warping_errors(prediction.image(i), label.image(i), error.image(i), extent, full, framed,
                                    critical.data() + i * label.image_size, stop);
    });
  }
  return to_numpy(std::move(critical));
}

}  // namespace
}  // namespace bindings

void bind_masks(nb::module_& m) {
  m.def("betti_numbers", &bindings::betti_numbers, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("component_labels", &bindings::component_labels, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("block_components", &bindings::block_components, "mask"_a, "full"_a, "with_sizes"_a);
  m.def("simple_points", &bindings::simple_points, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("homotopy_warping_errors", &bindings::homotopy_warping_errors, "predictions"_a, "labels"_a, "errors"_a,
        "full"_a, "framed"_a, "num_threads"_a);
}

}  // namespace topo
