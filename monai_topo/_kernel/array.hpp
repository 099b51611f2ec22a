// The arrays of the kernel: std::vector, on huge pages where one is large.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace topo {

// Linux gives memory in pages of 4 KiB, each at the first access to it, which can take a third of the time of a loss on a
// volume. It gives huge pages, of 2 MiB, to whoever asks: see docs/benchmarks.md.
template <class T>
class HugePages {
 public:
  using value_type = T;

  HugePages() = default;
  template <class Other>
  HugePages(const HugePages<Other>&) {}  // NOLINT: allocators convert

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
#ifdef __linux__
    if (bytes >= page) {
      void* memory = nullptr;
      if (posix_memalign(&memory, page, bytes) != 0) throw std::bad_alloc();
      madvise(memory, bytes / page * page, MADV_HUGEPAGE);  // a wish: nothing depends on it
      return static_cast<T*>(memory);
    }
#endif
    return static_cast<T*>(::operator new(bytes));
  }

  void deallocate(T* memory, [[maybe_unused]] std::size_t count) {
#ifdef __linux__
    if (count * sizeof(T) >= page) return std::free(memory);
#endif
    ::operator delete(memory);
  }

  bool operator==(const HugePages&) const { return true; }
  bool operator!=(const HugePages&) const { return false; }

 private:
  static constexpr std::size_t page = std::size_t{1} << 21;
};

template <class T>
using Array = std::vector<T, HugePages<T>>;

// The same, for arrays that are overwritten as a whole: new elements have no value until they are written, so that threads
// are the first to write them.
template <class T>
class WithoutValues : public HugePages<T> {
 public:
  template <class Other>
  struct rebind {
    using other = WithoutValues<Other>;
  };

  WithoutValues() = default;
  template <class Other>
  WithoutValues(const WithoutValues<Other>&) {}  // NOLINT: allocators convert

  template <class Element>
  void construct(Element* place) {
    ::new (static_cast<void*>(place)) Element;
  }
  template <class Element, class... Values>
  void construct(Element* place, Values&&... values) {
    ::new (static_cast<void*>(place)) Element(std::forward<Values>(values)...);
  }
};

template <class T>
using RawArray = std::vector<T, WithoutValues<T>>;

// Frees the memory of an array.
template <class T>
void release(Array<T>& array) {
  Array<T>().swap(array);
}

}  // namespace topo
