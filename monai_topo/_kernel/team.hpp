// Threads that share the loops of one image: also a loop inside of another one, which then needs no further threads.
#pragma once

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <system_error>
#include <thread>

#include "array.hpp"
#include "stop_flag.hpp"
#include "torch_threads.hpp"

namespace topo {

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

class Team {
 public:
  // Calls work(0) on this thread, and work(w) for further w < workers on threads of its team that have nothing else to do.
  // Outside of all teams, `threads` threads form one until the work is done: those of torch, or new ones. `work` must not
  // throw.
  template <class Work>
  static void share(std::size_t workers, std::size_t threads, const Work& work) {
    if (workers <= 1) return work(0);
    Job job{[](const void* of_job, std::size_t worker) { (*static_cast<const Work*>(of_job))(worker); }, &work,
            workers};
    if (Team* const team = of_this_thread())
      team->run(job);
    else
      Team(job).work(threads);
  }

 private:
  struct Job {
    void (*call)(const void* work, std::size_t worker);
    const void* work;
    std::size_t workers;
    std::size_t next_worker = 1;
    std::atomic<std::size_t> helpers{0};  // that work on it
    Job* below = nullptr;

    Job(void (*call_work)(const void*, std::size_t), const void* the_work, std::size_t all_workers)
        : call(call_work), work(the_work), workers(all_workers) {}
  };

  explicit Team(Job& first) : first_(first) {}

  static Team*& of_this_thread() {
    static thread_local Team* team = nullptr;
    return team;
  }

  void work(std::size_t threads) {
    const auto body = [](void* team) { static_cast<Team*>(team)->take_part(); };
    if (run_on_torch_threads(threads, body, this)) return;
    Array<std::thread> helpers;
    try {
      for (std::size_t i = 1; i < threads; ++i) {
        helpers.emplace_back(body, this);
        spread_over_cpus(helpers.back());
      }
    } catch (const std::system_error&) {
      // No more threads are available: those that run, this one at least, do the work.
    }
    take_part();
    for (auto& helper : helpers) helper.join();
  }

  void take_part() {
    of_this_thread() = this;
    if (std::this_thread::get_id() == leader_) {
      run(first_);
      const std::lock_guard<std::mutex> lock(mutex_);
      is_done_ = true;
      announce();
    } else {
      help();
    }
    of_this_thread() = nullptr;
  }

  void run(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job.below = top_;
      top_ = &job;
      announce();
    }
    job.call(job.work, 0);
    std::unique_lock<std::mutex> lock(mutex_);
    Job** place = &top_;
    while (*place != &job) place = &(*place)->below;
    *place = job.below;  // from here on nobody joins
    lock.unlock();
    if (soon([&] { return job.helpers == 0; })) return;
    lock.lock();
    while (job.helpers != 0) {
      finished_.wait_for(lock, StopFlag::interval);
      lock.unlock();
      StopFlag::ask();
      lock.lock();
    }
  }

  // Works on jobs until all work of the team is done.
  void help() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!is_done_) {
      Job* job = top_;
      while (job != nullptr && job->next_worker == job->workers) job = job->below;
      const std::size_t news = news_;
      if (job != nullptr) {
        const std::size_t worker = job->next_worker++;
        ++job->helpers;
        lock.unlock();
        job->call(job->work, worker);
        lock.lock();
        if (--job->helpers == 0) finished_.notify_all();
        continue;
      }
      lock.unlock();
      const bool came = soon([&] { return news_ != news; });
      lock.lock();
      if (!came) idle_.wait(lock, [&] { return news_ != news; });
    }
  }

  void announce() {
    ++news_;
    idle_.notify_all();
  }

  // Waits for some microseconds only: to fall asleep and be woken takes longer.
  template <class Condition>
  static bool soon(Condition condition) {
    for (int i = 0; i < 100; ++i) {
      if (condition()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  Job& first_;
  const std::thread::id leader_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable idle_, finished_;
  Job* top_ = nullptr;                // the newest one, and below it the others
  std::atomic<std::size_t> news_{0};  // jobs begun so far, and the end
  bool is_done_ = false;
};

}  // namespace topo
