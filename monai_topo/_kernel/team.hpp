// Threads that share a loop and all loops inside of it, so that inner loops start no threads.
#pragma once

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
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
  // Outside of all teams, so many threads, or `threads` if these are more and there are processors for them, form one until
  // the work is done: those of torch, or new ones. `work` must not throw.
  template <class Work>
  static void share(std::size_t workers, std::size_t threads, const Work& work) {
    if (workers <= 1 && (threads <= 1 || of_this_thread() != nullptr)) return work(0);
    Job job{[](const void* of_job, std::size_t worker) { (*static_cast<const Work*>(of_job))(worker); }, &work,
            workers};
    if (Team* const team = of_this_thread())
      team->run(job);
    else
      Team(job).work(std::max(workers, std::min(threads, processors())));
  }

  // How long it takes to bring so many threads to work.
  static double nanoseconds_to_start(std::size_t threads) {
    if (of_this_thread() != nullptr) return 2e4;
    return threads <= num_torch_threads() ? 5e4 : 2e5;
  }

 private:
  struct Job {
    void (*call)(const void* work, std::size_t worker);
    const void* work;
    std::size_t workers;
    std::size_t next_worker = 1;
    std::size_t helpers = 0;  // that work on it
    std::size_t number = 0;   // of all jobs of the team, in the order in which they began
    Job* below = nullptr;
  };
  using Lock = std::unique_lock<std::mutex>;

  explicit Team(Job& first) : first_(first) {}

  static std::size_t processors() {
    static const std::size_t count = std::thread::hardware_concurrency();  // takes long
    return count;
  }

  static Team*& of_this_thread() {
    static thread_local Team* team = nullptr;
    return team;
  }

  void work(std::size_t threads) {
    const auto body = [](void* team) { static_cast<Team*>(team)->take_part(); };
    if (run_on_torch_threads(threads, body, this)) return;
    Array<std::thread> helpers;
    try {
      helpers.reserve(threads - 1);
      for (std::size_t i = 1; i < threads; ++i) {
        helpers.emplace_back(body, this);
        spread_over_cpus(helpers.back());
      }
    } catch (const std::exception&) {
      // No more threads are available: those that run, this one at least, do the work.
    }
    take_part();
    for (auto& helper : helpers) helper.join();
  }

  void take_part() {
    of_this_thread() = this;
    if (std::this_thread::get_id() == leader_) {
      run(first_);
      const Lock lock(mutex_);
      is_done_ = true;
      announce();
    } else {
      Lock lock(mutex_);
      help(0, lock, [&] { return is_done_; });
    }
    of_this_thread() = nullptr;
  }

  void run(Job& job) {
    {
      const Lock lock(mutex_);
      job.number = ++jobs_;
      job.below = top_;
      top_ = &job;
      announce();
    }
    job.call(job.work, 0);
    Lock lock(mutex_);
    Job** place = &top_;
    while (*place != &job) place = &(*place)->below;
    *place = job.below;  // from here on nobody joins
    help(job.number, lock, [&] { return job.helpers == 0; });
  }

  // Works on jobs that began after the one with this number, or waits for such a job, until `is_over`.
  template <class IsOver>
  void help(std::size_t number, Lock& lock, IsOver is_over) {
    while (!is_over()) {
      Job* job = top_;
      while (job != nullptr && job->next_worker == job->workers) job = job->below;
      if (job == nullptr || job->number <= number) {
        wait(lock);
        continue;
      }
      const std::size_t worker = job->next_worker++;
      ++job->helpers;
      lock.unlock();
      job->call(job->work, worker);
      lock.lock();
      if (--job->helpers == 0) announce();
    }
  }

  void announce() {
    ++news_;
    changed_.notify_all();
  }

  // Waits for news: awake for some microseconds, since to fall asleep and be woken takes longer.
  void wait(Lock& lock) {
    const std::size_t news = news_;
    lock.unlock();
    for (int i = 0; i < 100 && news_ == news; ++i) std::this_thread::yield();
    StopFlag::ask();
    lock.lock();
    if (news_ == news) changed_.wait_for(lock, StopFlag::interval);
  }

  Job& first_;
  const std::thread::id leader_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<std::size_t> news_{0};  // jobs that have begun or ended, and the end of all
  std::size_t jobs_ = 0;              // that have begun
  Job* top_ = nullptr;                // the newest one, and below it the others
  bool is_done_ = false;
};

}  // namespace topo
