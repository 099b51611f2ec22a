// How this module was compiled, for reports of errors.
#pragma once

namespace topo {

#if defined(__VERSION__)
inline constexpr const char* compiler = __VERSION__;
#else
inline constexpr const char* compiler = "unknown compiler";
#endif

#if defined(__AVX2__)
inline constexpr const char* instructions = "AVX2";
#elif defined(__SSE4_2__)
inline constexpr const char* instructions = "SSE4.2";
#elif defined(__x86_64__) || defined(_M_X64)
inline constexpr const char* instructions = "x86-64";
#elif defined(__aarch64__) || defined(_M_ARM64)
inline constexpr const char* instructions = "ARM64";
#else
inline constexpr const char* instructions = "generic";
#endif

#if defined(NDEBUG)
inline constexpr const char* assertions = "off";
#else
inline constexpr const char* assertions = "on";
#endif

#if defined(TOPO_SANITIZE)
inline constexpr const char* sanitizers = TOPO_SANITIZE;
#else
inline constexpr const char* sanitizers = "none";
#endif

}  // namespace topo
