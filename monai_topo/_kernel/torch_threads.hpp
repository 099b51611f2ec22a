// The threads of torch, lent to the kernel.
//
// Between two operations of torch its threads are awake: they start at once, and threads of our own would have to share
// the processors with them for some milliseconds. They belong to an OpenMP runtime, which is looked up here, since the
// kernel should not have one of its own: a second one in a process can hang.
#pragma once

#include <atomic>
#include <cstddef>

#ifdef __linux__
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#endif

namespace topo {

#ifdef __linux__

// The process in which this library was loaded, or -1 if it runs no program of its own but was forked: a fork copies none
// of the threads, though their runtime expects them.
inline pid_t process_with_threads() {
  char line[512] = "";
  std::FILE* const file = std::fopen("/proc/self/stat", "r");
  if (file == nullptr) return -1;
  const bool is_read = std::fgets(line, sizeof line, file) != nullptr;
  std::fclose(file);
  constexpr unsigned forked_without_program = 0x40;  // PF_FORKNOEXEC
  unsigned flags = 0;
  const char* const after_name = is_read ? std::strrchr(line, ')') : nullptr;
  if (after_name == nullptr || std::sscanf(after_name, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1) return -1;
  return flags & forked_without_program ? -1 : getpid();
}
inline const pid_t process_at_start = process_with_threads();

// The entry points of the OpenMP runtime of torch, or null.
struct TorchRuntime {
  using Body = void (*)(void*);
  void (*const parallel)(Body, void*, unsigned, unsigned) =
      reinterpret_cast<void (*)(Body, void*, unsigned, unsigned)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  int (*const max_threads)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  int (*const in_parallel)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_in_parallel"));

  // How many threads of torch wait for this one, itself included: they wait for the main thread only.
  std::size_t num_threads() const {
    if (parallel == nullptr || max_threads == nullptr || in_parallel == nullptr) return 1;
    const bool is_main_thread = syscall(SYS_gettid) == process_at_start && getpid() == process_at_start;
    return is_main_thread && in_parallel() == 0 ? static_cast<std::size_t>(max_threads()) : 1;
  }

  static const TorchRuntime& get() {
    static const TorchRuntime runtime;
    return runtime;
  }
};

inline std::size_t num_torch_threads() { return TorchRuntime::get().num_threads(); }

// Calls body(data) on this thread and on threads - 1 others of torch's. Returns false, without a call, where torch has not
// so many that wait for this thread.
inline bool run_on_torch_threads(std::size_t threads, void (*body)(void*), void* data) {
  if (threads > num_torch_threads()) return false;

  // All of them are called, since the runtime ends those that are left out; but only so many take part.
  struct Call {
    TorchRuntime::Body body;
    void* data;
    pid_t leader;
    std::atomic<std::size_t> places;
  } call{body, data, process_at_start, {threads - 1}};
  const auto take_place = [](void* of_call) {
    Call& here = *static_cast<Call*>(of_call);
    bool takes_part = syscall(SYS_gettid) == here.leader;
    for (std::size_t left = here.places; !takes_part && left > 0;)
      takes_part = here.places.compare_exchange_weak(left, left - 1);
    if (takes_part) here.body(here.data);
  };
  const TorchRuntime& torch = TorchRuntime::get();
  torch.parallel(take_place, &call, static_cast<unsigned>(torch.max_threads()), 0);
  return true;
}

#else

inline std::size_t num_torch_threads() { return 1; }
inline bool run_on_torch_threads(std::size_t, void (*)(void*), void*) { return false; }

#endif

}  // namespace topo
