// What all bindings share: arrays in and out, 2D and 3D, batches on threads, and work that Ctrl-C can stop.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <array>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "grid.hpp"
#include "parallel.hpp"

namespace topo {

namespace nb = nanobind;

template <class T>
using Images = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Column = nb::ndarray<nb::numpy, T, nb::ndim<1>>;

template <class T>
Column<T> to_numpy(Array<T>&& values) {
  auto owned = std::make_unique<Array<T>>(std::move(values));
  nb::capsule owner(owned.get(), [](void* p) noexcept { delete static_cast<Array<T>*>(p); });
  auto* vector = owned.release();
  return Column<T>(vector->data(), {vector->size()}, owner);
}

template <class T>
Column<T> to_numpy(std::unique_ptr<T[]>&& values, std::size_t size) {
  nb::capsule owner(values.get(), [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return Column<T>(values.release(), {size}, owner);
}

// A batch of images, one after another: (N, H, W) or (N, D, H, W).
template <class T>
struct Batch {
  const T* data;
  std::size_t count, image_size;
  std::size_t dims;  // spatial axes
  std::array<Voxel, 3> shape{};

  explicit Batch(const Images<T>& images)
      : data(images.data()), count(images.shape(0)), image_size(1), dims(images.ndim() - 1) {
    for (std::size_t a = 0; a < dims; ++a) {
      shape[a] = static_cast<Voxel>(images.shape(a + 1));
      image_size *= shape[a];
    }
  }

  const T* image(std::size_t i) const { return data + i * image_size; }
  std::size_t size() const { return count * image_size; }

  template <int D>
  Extent<D> extent() const {
    Extent<D> extent;
    std::copy_n(shape.begin(), D, extent.begin());
    return extent;
  }
};

// Calls work(D) with the number of spatial axes, 2 or 3, as a constant.
template <class Work>
void dispatch(std::size_t dims, Work work) {
  if (dims == 2)
    work(std::integral_constant<int, 2>{});
  else
    work(std::integral_constant<int, 3>{});
}

// The main thread of Python, which takes signals. To be read first while the module is imported.
inline bool is_main_thread_of_python() {
  static const auto ident =
      nb::cast<unsigned long>(nb::module_::import_("threading").attr("main_thread")().attr("ident"));
  return PyThread_get_thread_ident() == ident;
}

// Runs work(stop). Ctrl-C stops it at its next check, and KeyboardInterrupt is raised here. To be called without the GIL.
template <class Work>
void interruptible(Work work) {
  constexpr auto has_signal = [] {
    nb::gil_scoped_acquire locked;
    return PyErr_CheckSignals() != 0;
  };
  StopFlag stop(is_main_thread_of_python() ? +has_signal : nullptr);
  try {
    work(stop);
  } catch (const StopFlag::Stopped&) {
  }
  if (!stop.is_raised()) return;
  nb::gil_scoped_acquire locked;
  throw nb::python_error();
}

// How many threads are worth their start for loops over so many voxels in total.
inline std::size_t threads_of_team(std::size_t num_threads, std::size_t voxels) {
  return useful_threads(num_threads, 20.0 * static_cast<double>(voxels));
}

// Calls compute(i, extent, stop) for every image of a batch, on threads; `extent` has the dimension of the images in
// its type. To be called without the GIL.
template <class T, class Compute>
void for_each_image(const Batch<T>& batch, std::size_t num_threads, Compute compute) {
  interruptible([&](const StopFlag& stop) {
    dispatch(batch.dims, [&](auto dims) {
      const Extent<dims> extent = batch.template extent<dims>();
      const auto of_image = [&](std::size_t i) {
        stop.check();
        compute(i, extent, stop);
      };
      parallel_for(batch.count, num_threads, of_image, threads_of_team(num_threads, batch.size()));
    });
  });
}

void bind_masks(nb::module_& m);
void bind_losses(nb::module_& m);

}  // namespace topo
