// What all bindings share: arrays in and out, 2D and 3D, batches on threads, and work that Ctrl-C can stop.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "grid.hpp"
#include "parallel.hpp"

namespace topo {

namespace nb = nanobind;

inline constexpr std::size_t long_work_voxels = std::size_t{1} << 19;  // a fraction of a second

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

// Runs work(stop) on a thread of its own while this one waits for signals: Ctrl-C stops the work at its next check, and
// is raised here. Short work runs at once. To be called without the GIL.
template <class Work>
void interruptible(bool is_long, Work work) {
  StopFlag stop;
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
  } catch (const StopFlag::Stopped&) {
  }
  if (interrupted) {
    nb::gil_scoped_acquire locked;
    throw nb::python_error();
  }
}

// Calls compute(i, extent, stop) for every image of a batch, on threads; `extent` has the dimension of the images in
// its type. To be called without the GIL. `weight`: how much longer than a persistence computation an image takes.
template <class T, class Compute>
void for_each_image(const Batch<T>& batch, std::size_t num_threads, Compute compute, std::size_t weight = 1) {
  interruptible(batch.size() > long_work_voxels / weight, [&](const StopFlag& stop) {
    dispatch(batch.dims, [&](auto dims) {
      const Extent<dims> extent = batch.template extent<dims>();
      parallel_for(batch.count, num_threads, [&](std::size_t i) {
        stop.check();
        compute(i, extent, stop);
      });
    });
  });
}

void bind_masks(nb::module_& m);
void bind_losses(nb::module_& m);

}  // namespace topo
