// Independent tasks on plain threads, and a flag that stops them. No OpenMP: a second OpenMP runtime next to torch's
// hangs. No pool that outlives the call: it would not survive a fork, and starting a thread costs tens of microseconds.
#pragma once

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "array.hpp"

namespace topo {

// Raised from outside to abandon a computation, checked wherever one may be long.
class StopFlag {
 public:
  struct Stopped : std::exception {
    const char* what() const noexcept override { return "stopped"; }
  };

  void raise() { raised_.store(true, std::memory_order_relaxed); }
  void check() const {
    if (raised_.load(std::memory_order_relaxed)) throw Stopped();
  }

 private:
  std::atomic<bool> raised_{false};
};

// Moves a new thread away from the processor that this one runs on; from then on it may run wherever this one may.
// Linux may leave both on one processor for longer than an image takes: see docs/benchmarks.md.
inline void spread_over_cpus([[maybe_unused]] std::thread& helper) {
#ifdef __linux__
  cpu_set_t allowed, others;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  others = allowed;
  CPU_CLR(sched_getcpu(), &others);
  if (CPU_COUNT(&others) == 0) return;
  pthread_setaffinity_np(helper.native_handle(), sizeof others, &others);
  pthread_setaffinity_np(helper.native_handle(), sizeof allowed, &allowed);
#endif
}

// Calls start(w) on threads w = 0, 1, ..., and what it returns for every i in [0, count), each on one of them. A thread
// begins with a range of its own and goes on with what is left of others', so that the parts of an array stay in the
// cache of one processor from call to call. The first exception is rethrown here when all threads have stopped.
template <class Start>
void parallel_workers(std::size_t count, std::size_t threads, Start start) {
  const std::size_t workers = std::max<std::size_t>(1, std::min(threads, count));
  const auto end = [=](std::size_t worker) { return (worker + 1) * count / workers; };
  Array<std::atomic<std::size_t>> next(workers);
  for (std::size_t worker = 1; worker < workers; ++worker) next[worker] = end(worker - 1);
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto work = [&](std::size_t worker) {
    try {
      auto task = start(worker);
      for (std::size_t k = 0; k < workers; ++k) {
        const std::size_t owner = (worker + k) % workers;
        for (std::size_t i; (i = next[owner].fetch_add(1)) < end(owner);) task(i);
      }
    } catch (...) {
      for (auto& i : next) i = count;
      const std::lock_guard<std::mutex> lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  };
  Array<std::thread> helpers;
  try {
    for (std::size_t worker = 1; worker < workers; ++worker) {
      helpers.emplace_back(work, worker);
      spread_over_cpus(helpers.back());
    }
  } catch (const std::system_error&) {
    // No more threads are available: those that run, this one at least, do the work.
  }
  work(0);
  for (auto& helper : helpers) helper.join();
  if (error) std::rethrow_exception(error);
}

// Calls task(i, scratch) for i in [0, count), with a Scratch for each thread.
template <class Scratch, class Task>
void parallel_for(std::size_t count, std::size_t threads, Task task) {
  parallel_workers(count, threads,
                   [&](std::size_t) { return [&, scratch = Scratch()](std::size_t i) mutable { task(i, scratch); }; });
}

// Calls task(i) for i in [0, count).
template <class Task>
void parallel_for(std::size_t count, std::size_t threads, Task task) {
  parallel_workers(count, threads, [&](std::size_t) { return [&](std::size_t i) { task(i); }; });
}

// Threads that pay for work that takes one of them so many nanoseconds: to start one takes a tenth of a millisecond.
inline std::size_t useful_threads(std::size_t threads, double nanoseconds) {
  return std::min(threads, 1 + static_cast<std::size_t>(nanoseconds / 2e5));
}

// Parts into which threads divide `count` items: one for a single thread, else so many that none waits for long.
inline std::size_t num_slabs(std::size_t count, std::size_t threads) {
  return std::min(count, threads == 1 ? 1 : 4 * threads);
}

// Numbers that threads write and read at the same time.
using SharedNumbers = Array<std::atomic<std::uint32_t>>;

}  // namespace topo
