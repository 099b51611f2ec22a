// Loops over independent tasks, on threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>

#include "array.hpp"
#include "stop_flag.hpp"
#include "team.hpp"

namespace topo {

// Calls start(w) on threads w = 0, 1, ..., and what it returns for every i in [0, count), each on one of them. A thread
// begins with a range of its own and goes on with what is left of others'. The first exception is rethrown here when all
// threads have stopped. `team`: threads for loops inside of this one, if they may use more, even if this one uses only one:
// one team for all loops waits only once for threads that other processes have displaced.
template <class Start>
void parallel_workers(std::size_t count, std::size_t threads, Start start, std::size_t team = 1) {
  const std::size_t workers = std::max<std::size_t>(1, std::min(threads, count));
  const auto end = [=](std::size_t worker) { return (worker + 1) * count / workers; };
  Array<std::atomic<std::size_t>> next(workers);
  for (std::size_t worker = 1; worker < workers; ++worker) next[worker] = end(worker - 1);
  const auto is_left = [&] {
    for (std::size_t worker = 0; worker < workers; ++worker)
      if (next[worker] < end(worker)) return true;
    return false;
  };
  std::exception_ptr error;
  std::mutex error_mutex;
  Team::share(workers, team, [&](std::size_t worker) {
    try {
      if (!is_left()) return;
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
  });
  if (error) std::rethrow_exception(error);
}

// Calls task(i, scratch) for i in [0, count), with a Scratch for each thread.
template <class Scratch, class Task>
void parallel_for(std::size_t count, std::size_t threads, Task task, std::size_t team = 1) {
  parallel_workers(
      count, threads,
      [&](std::size_t) { return [&, scratch = Scratch()](std::size_t i) mutable { task(i, scratch); }; }, team);
}

// Calls task(i) for i in [0, count).
template <class Task>
void parallel_for(std::size_t count, std::size_t threads, Task task, std::size_t team = 1) {
  parallel_workers(count, threads, [&](std::size_t) { return [&](std::size_t i) { task(i); }; }, team);
}

// How many threads are worth their start for work that takes one thread so many nanoseconds.
inline std::size_t useful_threads(std::size_t threads, double nanoseconds) {
  if (threads == 1) return 1;
  return std::min(threads, 1 + static_cast<std::size_t>(nanoseconds / Team::nanoseconds_to_start(threads)));
}

// Parts into which threads divide `count` items: one for a single thread, else so many that none waits for long.
inline std::size_t num_slabs(std::size_t count, std::size_t threads) {
  return std::min(count, threads == 1 ? 1 : 4 * threads);
}

// Calls visit(begin, end) for consecutive parts of [0, count), on threads. An item takes one thread so many nanoseconds.
template <class Visit>
void for_each_slab(std::size_t count, std::size_t threads, double nanoseconds, Visit visit) {
  threads = useful_threads(threads, nanoseconds * static_cast<double>(count));
  const std::size_t slabs = num_slabs(count, threads);
  parallel_for(slabs, threads, [&](std::size_t slab) { visit(slab * count / slabs, (slab + 1) * count / slabs); });
}

// Numbers that threads write and read at the same time.
using SharedNumbers = Array<std::atomic<std::uint32_t>>;

}  // namespace topo
