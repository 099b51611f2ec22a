// The Python face of the kernel: arrays in, index arrays out. Arguments are validated in Python and assumed here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <chrono>
#include <future>
#include <memory>

#include "betti.hpp"
#include "betti_matching.hpp"
#include "blocks.hpp"
#include "components.hpp"
#include "parallel.hpp"
#include "persistence.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

constexpr std::size_t long_work_voxels = std::size_t{1} << 19;  // a fraction of a second

template <class T>
using Images = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Column = nb::ndarray<nb::numpy, T, nb::ndim<1>>;
using Indices = Column<std::int64_t>;

template <class T>
Column<T> to_numpy(std::vector<T>&& values) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  nb::capsule owner(owned.get(), [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  auto* vector = owned.release();
  return Column<T>(vector->data(), {vector->size()}, owner);
}

// Runs work(stop) on a thread of its own while this one waits for signals: Ctrl-C stops the work at its next check, and
// is raised here. Work that is over in a blink runs at once.
template <class Work>
void interruptible(bool is_long, Work work) {
  topo::StopFlag stop;
  if (!is_long) return work(stop);
  auto done = std::async(std::launch::async, [&] { work(stop); });
  bool interrupted = false;
  while (!interrupted && done.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
    nb::gil_scoped_acquire locked;
    interrupted = PyErr_CheckSignals() != 0;
  }
  if (interrupted) stop.raise();
  try {
    done.get();
  } catch (const topo::StopFlag::Stopped&) {
  }
  if (interrupted) {
    nb::gil_scoped_acquire locked;
    throw nb::python_error();
  }
}

template <class T>
auto persistence_pairs(const Images<T>& images, bool negate, bool dual, bool framed, unsigned dims,
                       double min_persistence, std::size_t num_threads) {
  const topo::Filtration filtration{negate, dual, framed, dims, min_persistence};
  const std::size_t count = images.shape(0);
  const int ndim = static_cast<int>(images.ndim()) - 1;
  std::array<std::uint32_t, 3> shape{};
  std::size_t size = 1;
  for (int a = 0; a < ndim; ++a) {
    shape[a] = static_cast<std::uint32_t>(images.shape(a + 1));
    size *= shape[a];
  }
  std::array<std::vector<std::int64_t>, 4> columns;  // image, dim, birth, death
  {
    nb::gil_scoped_release unlocked;
    std::vector<std::vector<topo::Pair>> pairs(count);
    // Threads that a batch leaves idle work inside its images.
    const std::size_t inside = std::max<std::size_t>(1, num_threads / std::max<std::size_t>(1, count));
    interruptible(count * size > long_work_voxels, [&](const topo::StopFlag& stop) {
      topo::parallel_for<topo::Scratch>(count, num_threads, [&](std::size_t i, topo::Scratch& scratch) {
        const T* values = images.data() + i * size;
        if (ndim == 2)
          pairs[i] = topo::persistence_pairs<2>(values, {shape[0], shape[1]}, filtration, inside, stop, scratch);
        else
          pairs[i] = topo::persistence_pairs<3>(values, shape, filtration, inside, stop, scratch);
      });
    });
    std::size_t total = 0;
    for (const auto& of_image : pairs) total += of_image.size();
    for (auto& column : columns) column.reserve(total);
    for (std::size_t i = 0; i < count; ++i)
      for (const topo::Pair& pair : pairs[i]) {
        columns[0].push_back(static_cast<std::int64_t>(i));
        columns[1].push_back(pair.dim);
        columns[2].push_back(pair.birth);
        columns[3].push_back(pair.death);
      }
  }
  return std::make_tuple(to_numpy(std::move(columns[0])), to_numpy(std::move(columns[1])),
                         to_numpy(std::move(columns[2])), to_numpy(std::move(columns[3])));
}

// Pairs of all images, packed: image, dim, birth, death.
class PairColumns {
 public:
  void append(std::size_t image, const std::vector<topo::Pair>& pairs) {
    for (const topo::Pair& pair : pairs) {
      columns_[0].push_back(static_cast<std::int64_t>(image));
      columns_[1].push_back(pair.dim);
      columns_[2].push_back(pair.birth);
      columns_[3].push_back(pair.death);
    }
  }
  std::size_t size() const { return columns_[0].size(); }
  auto to_tuple() {
    return std::make_tuple(to_numpy(std::move(columns_[0])), to_numpy(std::move(columns_[1])),
                           to_numpy(std::move(columns_[2])), to_numpy(std::move(columns_[3])));
  }

 private:
  std::array<std::vector<std::int64_t>, 4> columns_;
};

template <class T>
auto betti_matching(const Images<T>& predictions, const Images<T>& labels, bool negate, bool dual, bool framed,
                    unsigned dims, std::size_t num_threads) {
  const topo::Filtration filtration{negate, dual, framed, dims, 0.0};
  const std::size_t count = predictions.shape(0);
  const int ndim = static_cast<int>(predictions.ndim()) - 1;
  std::array<std::uint32_t, 3> shape{};
  std::size_t size = 1;
  for (int a = 0; a < ndim; ++a) {
    shape[a] = static_cast<std::uint32_t>(predictions.shape(a + 1));
    size *= shape[a];
  }
  PairColumns prediction, label;
  std::array<std::vector<std::int64_t>, 2> matched;
  {
    nb::gil_scoped_release unlocked;
    std::vector<topo::BettiMatching> matchings(count);
    const std::size_t inside = std::max<std::size_t>(1, num_threads / std::max<std::size_t>(1, count));
    interruptible(count * size > long_work_voxels / 8, [&](const topo::StopFlag& stop) {
      topo::parallel_for(count, num_threads, [&](std::size_t i) {
        const std::array<const T*, 2> images{predictions.data() + i * size, labels.data() + i * size};
        matchings[i] = ndim == 2 ? topo::betti_matching<2, T>(images, {shape[0], shape[1]}, filtration, inside, stop)
                                 : topo::betti_matching<3, T>(images, shape, filtration, inside, stop);
      });
    });
    for (std::size_t i = 0; i < count; ++i) {
      for (const auto& [a, b] : matchings[i].matched) {
        matched[0].push_back(static_cast<std::int64_t>(prediction.size() + a));
        matched[1].push_back(static_cast<std::int64_t>(label.size() + b));
      }
      prediction.append(i, matchings[i].prediction);
      label.append(i, matchings[i].label);
    }
  }
  return std::make_tuple(prediction.to_tuple(), label.to_tuple(), to_numpy(std::move(matched[0])),
                         to_numpy(std::move(matched[1])));
}

Indices betti_numbers(const Images<std::uint8_t>& masks, bool full, bool foreground_border, std::size_t num_threads) {
  const std::size_t count = masks.shape(0), ndim = masks.ndim() - 1;
  const bool volume = ndim == 3;
  const auto extent = [&](std::size_t axis) { return static_cast<std::int64_t>(masks.shape(axis)); };
  const std::int64_t planes = volume ? extent(1) : 1, rows = extent(ndim - 1), length = extent(ndim);
  std::vector<std::int64_t> numbers(count * ndim);
  {
    nb::gil_scoped_release unlocked;
    topo::parallel_for(count, num_threads, [&](std::size_t i) {
      const topo::Mask mask{masks.data() + i * planes * rows * length, planes, rows, length, volume};
      const topo::BettiNumbers betti = topo::betti_numbers(mask, full, foreground_border);
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
    topo::parallel_for(count, num_threads, [&](std::size_t i) {
      const topo::Mask mask{masks.data() + i * size, planes, rows, length, volume};
      topo::ComponentLabels::write(mask, full, frame, labels.data() + i * size);
    });
  }
  return to_numpy(std::move(labels));
}

// One block of a larger mask; the faces' labels one after another, the lower and the upper face of each axis.
auto block_components(const Images<std::uint8_t>& mask, bool full, bool sizes) {
  const std::size_t ndim = mask.ndim();
  const auto extent = [&](std::size_t axis) { return static_cast<std::int64_t>(mask.shape(axis)); };
  const std::int64_t planes = ndim == 3 ? extent(0) : 1;
  topo::Block block;
  {
    nb::gil_scoped_release unlocked;
    block = topo::Block::count({mask.data(), planes, extent(ndim - 2), extent(ndim - 1), ndim == 3}, full, sizes);
  }
  return std::make_tuple(to_numpy(std::move(block.counts)), to_numpy(std::move(block.faces)),
                         to_numpy(std::move(block.sizes)));
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "Cubical persistence with critical voxels: the compiled kernel of monai_topo.";
  m.attr("max_voxels") = topo::SaddleReduction::max_voxels;
  m.def("persistence_pairs", &persistence_pairs<float>, "images"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
        "min_persistence"_a, "num_threads"_a);
  m.def("persistence_pairs", &persistence_pairs<double>, "images"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
        "min_persistence"_a, "num_threads"_a);
  m.def("betti_matching", &betti_matching<float>, "predictions"_a, "labels"_a, "negate"_a, "dual"_a, "framed"_a,
        "dims"_a, "num_threads"_a);
  m.def("betti_matching", &betti_matching<double>, "predictions"_a, "labels"_a, "negate"_a, "dual"_a, "framed"_a,
        "dims"_a, "num_threads"_a);
  m.def("block_components", &block_components, "mask"_a, "full"_a, "sizes"_a);
  m.def("betti_numbers", &betti_numbers, "masks"_a, "full"_a, "foreground_border"_a, "num_threads"_a);
  m.def("component_labels", &component_labels, "masks"_a, "full"_a, "frame"_a, "num_threads"_a);
}
