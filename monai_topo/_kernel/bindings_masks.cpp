// Bindings of what works on masks: arrays in, arrays out. Arguments are validated in Python and assumed to be valid
// here. Functions have their Python names.
#include <atomic>

#include "betti_numbers.hpp"
#include "bindings.hpp"
#include "block_components.hpp"
#include "component_labels.hpp"
#include "homotopy_warping.hpp"
#include "label_regions.hpp"
#include "patches.hpp"

using namespace nanobind::literals;

namespace topo {
namespace bindings {
namespace {

// Whether all values are 0 or 1.
template <class T>
bool is_binary(const Images<T>& values, std::size_t num_threads) {
  const nb::gil_scoped_release unlocked;
  const T* const value = values.data();
  std::atomic<bool> has_others{false};
  for_each_slab(values.size(), num_threads, 0.2, [&](std::size_t begin, std::size_t end) {
    std::uint32_t others = 0;
    for (std::size_t i = begin; i < end; ++i) others |= (value[i] != 0) & (value[i] != 1);
    if (others != 0) has_others = true;
  });
  return !has_others;
}

template <class... Types>
void bind_is_binary(nb::module_& m) {
  (m.def("is_binary", &is_binary<Types>, "values"_a.noconvert(), "num_threads"_a), ...);
}

auto betti_numbers(const Images<Bit>& masks, bool full, bool framed, std::size_t num_threads) {
  const Batch<Bit> batch(masks);
  Array<std::int64_t> numbers(batch.count * batch.dims);
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
  Array<std::int32_t> labels(batch.size());
  {
    nb::gil_scoped_release unlocked;
    for_each_image(batch, num_threads, [&](std::size_t i, const auto& extent, const StopFlag&) {
      topo::component_labels(make_mask(batch.image(i), extent), full, framed, labels.data() + i * batch.image_size);
    });
  }
  return to_numpy(std::move(labels));
}

// The regions of the features of one dimension: the region of every voxel, the number of regions of every mask and the
// room of each, the frame and no region included.
auto label_regions(const Images<Bit>& masks, int dim, bool full, bool framed, double min_size,
                   std::size_t num_threads) {
  const Batch<Bit> batch(masks);
  Array<std::int32_t> labels(batch.size());
  Array<std::int64_t> counts(batch.count), all;
  {
    nb::gil_scoped_release unlocked;
    Array<Capacity> capacities(batch.count);
    for_each_image(batch, num_threads, [&](std::size_t i, const auto& extent, const StopFlag&) {
      const Mask mask = make_mask(batch.image(i), extent);
      LabelRegions regions(mask, full, framed, min_size);
      capacities[i] = regions.capacity(dim);
      std::int32_t* const out = labels.data() + i * batch.image_size;
      for (std::int64_t row = 0; row < mask.planes * mask.rows; ++row)
        regions.of_dim(dim).write_row(row, out + row * mask.length);
    });
    for (std::size_t i = 0; i < batch.count; ++i) {
      counts[i] = static_cast<std::int64_t>(capacities[i].size());
      all.insert(all.end(), capacities[i].begin(), capacities[i].end());
    }
  }
  return std::make_tuple(to_numpy(std::move(labels)), to_numpy(std::move(counts)), to_numpy(std::move(all)));
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
  Array<Bit> simple(batch.size());
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
  Array<Bit> critical(label.size());
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
  bindings::bind_is_binary<std::uint8_t, std::int8_t, std::int16_t, std::int32_t, std::int64_t, float, double>(m);
  m.def("betti_numbers", &bindings::betti_numbers, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("component_labels", &bindings::component_labels, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("label_regions", &bindings::label_regions, "masks"_a, "dim"_a, "full"_a, "framed"_a, "min_size"_a,
        "num_threads"_a);
  m.def("block_components", &bindings::block_components, "mask"_a, "full"_a, "with_sizes"_a);
  m.def("simple_points", &bindings::simple_points, "masks"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("homotopy_warping_errors", &bindings::homotopy_warping_errors, "predictions"_a, "labels"_a, "errors"_a,
        "full"_a, "framed"_a, "num_threads"_a);
}

}  // namespace topo
