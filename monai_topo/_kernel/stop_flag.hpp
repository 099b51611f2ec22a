// A flag that stops a computation, from any thread, and asks now and then whether it should.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>

namespace topo {

class StopFlag {
 public:
  struct Stopped : std::exception {
    const char* what() const noexcept override { return "stopped"; }
  };

  // `is_wanted` tells whether to stop. It is called on the thread that makes the flag, at most every 100 ms, whenever that
  // thread calls check() and while it waits for other threads.
  explicit StopFlag(bool (*is_wanted)() = nullptr) : is_wanted_(is_wanted), outer_(of_this_thread()) {
    of_this_thread() = this;
  }
  ~StopFlag() { of_this_thread() = outer_; }
  StopFlag(const StopFlag&) = delete;
  StopFlag& operator=(const StopFlag&) = delete;

  void raise() { raised_.store(true, std::memory_order_relaxed); }
  bool is_raised() const { return raised_.load(std::memory_order_relaxed); }

  // To be called wherever a computation may be long, but not more often than every ten microseconds: it reads a clock.
  void check() const {
    ask();
    if (is_raised()) throw Stopped();
  }

  // Asks for the flag that this thread has made, if there is one and it is time to.
  static void ask() {
    StopFlag* const flag = of_this_thread();
    if (flag == nullptr || flag->is_wanted_ == nullptr || flag->is_raised()) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < flag->next_) return;
    if (flag->is_wanted_()) flag->raise();
    flag->next_ = now + interval;
  }

  static constexpr std::chrono::milliseconds interval{100};

 private:
  static StopFlag*& of_this_thread() {
    static thread_local StopFlag* flag = nullptr;
    return flag;
  }

  bool (*const is_wanted_)();
  StopFlag* const outer_;
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + interval;
  std::atomic<bool> raised_{false};
};

}  // namespace topo
