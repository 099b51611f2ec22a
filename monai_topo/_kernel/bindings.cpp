// The Python face of the kernel: arrays in, index arrays out. Arguments are validated in Python and assumed here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <chrono>
#include <future>
#include <memory>

#include "betti.hpp"
#include "merge_tree.hpp"
#include "parallel.hpp"
#include "persistence.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

constexpr std::size_t long_work_voxels = std::size_t{1} << 19;  // a fraction of a second

template <class T>
using Images = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using Indices = nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>>;

Indices to_numpy(std::vector<std::int64_t>&& values) {
  auto owned = std::make_unique<std::vector<std::int64_t>>(std::move(values));
  nb::capsule owner(owned.get(), [](void* p) noexcept { delete static_cast<std::vector<std::int64_t>*>(p); });
  auto* vector = owned.release();
  return Indices(vector->data(), {vector->size()}, owner);
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
      topo::parallel_for(count, num_threads, [&](std::size_t i) {
        const T* values = images.data() + i * size;
        pairs[i] = ndim == 2 ? topo::persistence_pairs<2>(values, {shape[0], shape[1]}, filtration, inside, stop)
                             : topo::persistence_pairs<3>(values, shape, filtration, inside, stop);
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

template <class T>
auto merge_tree(const Images<T>& images, bool negate, bool last_to_first, bool full, bool outside,
                std::size_t num_threads) {
  const topo::MergeOrder order{negate, last_to_first, full, outside};
  const std::size_t count = images.shape(0), size = count > 0 ? images.size() / count : 0;
  const bool flat = images.ndim() == 3;
  const auto extent = [&](int axis) { return static_cast<topo::Voxel>(images.shape(axis)); };
  std::array<std::vector<std::int64_t>, 4> columns;  // image, birth, death, parent
  std::vector<std::int64_t> region(count * size);
  {
    nb::gil_scoped_release unlocked;
    std::vector<std::vector<topo::Branch>> trees(count);
    interruptible(count * size > long_work_voxels, [&](const topo::StopFlag& stop) {
      topo::parallel_for(count, num_threads, [&](std::size_t i) {
        const T* values = images.data() + i * size;
        std::int64_t* to = region.data() + i * size;
        trees[i] = flat ? topo::merge_tree<2>(values, {extent(1), extent(2)}, order, to, stop)
                        : topo::merge_tree<3>(values, {extent(1), extent(2), extent(3)}, order, to, stop);
      });
    });
    std::int64_t total = 0, before = 0;
    for (const auto& tree : trees) total += static_cast<std::int64_t>(tree.size());
    for (std::size_t i = 0; i < count; ++i) {
      const auto branches = static_cast<std::int64_t>(trees[i].size());
      const auto in_batch = [&](std::int64_t branch) { return branch == branches ? total : before + branch; };
      for (const topo::Branch& branch : trees[i]) {
        columns[0].push_back(static_cast<std::int64_t>(i));
        columns[1].push_back(branch.birth);
        columns[2].push_back(branch.death);
        columns[3].push_back(in_batch(branch.parent));
      }
      for (std::size_t v = i * size; v < (i + 1) * size; ++v) region[v] = in_batch(region[v]);
      before += branches;
    }
  }
  return std::make_tuple(to_numpy(std::move(columns[0])), to_numpy(std::move(columns[1])),
                         to_numpy(std::move(columns[2])), to_numpy(std::move(columns[3])), to_numpy(std::move(region)));
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

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "Cubical persistence with critical voxels: the compiled kernel of monai_topo.";
  m.attr("max_voxels") = topo::SaddleReduction::max_voxels;
  m.def("persistence_pairs", &persistence_pairs<float>, "images"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
        "min_persistence"_a, "num_threads"_a);
  m.def("persistence_pairs", &persistence_pairs<double>, "images"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
        "min_persistence"_a, "num_threads"_a);
  m.def("merge_tree", &merge_tree<float>, "images"_a, "negate"_a, "last_to_first"_a, "full"_a, "outside"_a,
        "num_threads"_a);
  m.def("merge_tree", &merge_tree<double>, "images"_a, "negate"_a, "last_to_first"_a, "full"_a, "outside"_a,
        "num_threads"_a);
  m.def("betti_numbers", &betti_numbers, "masks"_a, "full"_a, "foreground_border"_a, "num_threads"_a);
}
