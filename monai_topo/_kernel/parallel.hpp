// Independent tasks on plain threads, and a flag that stops them. No OpenMP: a second OpenMP runtime next to torch's
// hangs. No pool that outlives the call: it would not survive a fork, and starting a thread costs tens of microseconds.
#pragma once

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

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

// Calls task(i, scratch) for i in [0, count), with a Scratch for each thread. The first exception is rethrown here when
// all threads have stopped.
template <class Scratch, class Task>
void parallel_for(std::size_t count, std::size_t threads, Task task) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto work = [&] {
    try {
      Scratch scratch;
      for (std::size_t i; (i = next.fetch_add(1)) < count;) task(i, scratch);
    } catch (...) {
      next = count;
      const std::lock_guard<std::mutex> lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  };
  std::vector<std::thread> helpers;
  try {
    for (std::size_t t = 1; t < threads && t < count; ++t) {
      helpers.emplace_back(work);
      spread_over_cpus(helpers.back());
    }
  } catch (const std::system_error&) {
    // No more threads are available: those that run, this one at least, do the work.
  }
  work();
  for (auto& helper : helpers) helper.join();
  if (error) std::rethrow_exception(error);
}

// Calls task(i) for i in [0, count).
template <class Task>
void parallel_for(std::size_t count, std::size_t threads, Task task) {
  struct None {};
  parallel_for<None>(count, threads, [&](std::size_t i, None&) { task(i); });
}

}  // namespace topo
