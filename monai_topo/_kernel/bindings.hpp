// What all parts of the Python face share: arrays in and out, and work that Ctrl-C can stop.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <chrono>
#include <future>
#include <memory>

#include "parallel.hpp"

namespace topo {

namespace nb = nanobind;

constexpr std::size_t long_work_voxels = std::size_t{1} << 19;  // a fraction of a second

template <class T>
using Images = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Column = nb::ndarray<nb::numpy, T, nb::ndim<1>>;

template <class T>
Column<T> to_numpy(std::vector<T>&& values) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  nb::capsule owner(owned.get(), [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  auto* vector = owned.release();
  return Column<T>(vector->data(), {vector->size()}, owner);
}

template <class T>
Column<T> to_numpy(std::unique_ptr<T[]>&& values, std::size_t size) {
  nb::capsule owner(values.get(), [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return Column<T>(values.release(), {size}, owner);
}

// Runs work(stop) on a thread of its own while this one waits for signals: Ctrl-C stops the work at its next check, and
// is raised here. Work that is over in a blink runs at once.
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

// What works on masks; the rest works on filtered images.
void bind_masks(nb::module_& m);

}  // namespace topo
