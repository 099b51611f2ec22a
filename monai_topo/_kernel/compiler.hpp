// What is spelled differently by GCC, Clang and MSVC.
#pragma once

// A second copy of a hot function for processors with AVX2, chosen when the module is loaded, so that wheels still run
// anywhere. (The sanitizers do not support it.)
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define TOPO_ALSO_FOR_AVX2 __attribute__((target_clones("avx2", "default")))
#define TOPO_INTO_CALLER __attribute__((always_inline)) inline
#else
#define TOPO_ALSO_FOR_AVX2
#define TOPO_INTO_CALLER inline
#endif

#ifdef _MSC_VER
#define TOPO_RESTRICT __restrict
#else
#define TOPO_RESTRICT __restrict__
#endif
