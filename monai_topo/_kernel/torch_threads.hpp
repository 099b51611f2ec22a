// The threads of torch, lent to the kernel.
//
// Between two operations of torch its threads are awake: they start at once, and threads of our own would have to share
// the processors with them for some milliseconds. They belong to an OpenMP runtime, which is looked up here, since the
// kernel cannot have one of its own: a second one in a process hangs.
#pragma once

#include <cstddef>

#ifdef __linux__
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace topo {

using ThreadBody = void (*)(void*);

#ifdef __linux__

inline const pid_t process_at_start = getpid();

// Calls body(data) on this thread and on at most `threads` - 1 others, all at the same time. Returns false, without a call,
// where torch has no threads that wait for this one: it has them for the main thread, and a fork does not copy them.
inline bool run_on_torch_threads(std::size_t threads, ThreadBody body, void* data) {
  static const auto parallel =
      reinterpret_cast<void (*)(ThreadBody, void*, unsigned, unsigned)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  static const auto in_parallel = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_in_parallel"));
  const bool is_main_thread = syscall(SYS_gettid) == process_at_start && getpid() == process_at_start;
  if (parallel == nullptr || in_parallel == nullptr || !is_main_thread || in_parallel() != 0) return false;
  parallel(body, data, static_cast<unsigned>(threads), 0);
  return true;
}

#else

inline bool run_on_torch_threads(std::size_t, ThreadBody, void*) { return false; }

#endif

}  // namespace topo
