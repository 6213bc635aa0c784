// Sixteen floats at once by the compiler's vector extension: lowered to whatever the function that uses them is compiled for (AVX-512, AVX2, SSE).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// Functions compiled several times; the processor's best is taken at start.
#define MOEPLAN_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define MOEPLAN_INLINE inline __attribute__((always_inline))

namespace moeplan::bench {

inline constexpr int kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));            // NOLINT: the attribute needs a typedef
typedef std::int32_t Ints __attribute__((vector_size(64)));       // NOLINT
typedef std::uint32_t Words __attribute__((vector_size(64)));     // NOLINT
typedef std::uint16_t Halves __attribute__((vector_size(32)));    // NOLINT

MOEPLAN_INLINE void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof to); }
MOEPLAN_INLINE void load(const std::uint16_t* from, Floats& to) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  to = reinterpret_cast<Floats>(__builtin_convertvector(halves, Words) << 16);
}
MOEPLAN_INLINE void store(float* to, const Floats& x) { std::memcpy(to, &x, sizeof x); }
/// Rounds to nearest; for finite values.
MOEPLAN_INLINE void store(std::uint16_t* to, const Floats& x) {
  const Words bits = reinterpret_cast<Words>(x);
  const Halves halves = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, Halves);
  std::memcpy(to, &halves, sizeof halves);
}

MOEPLAN_INLINE float sum_of(const Floats& x) {
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += x[i];
  return total;
}

/// e^x, relative error below 3e-7; 0 below -87, never infinite. Degree 6 polynomial after Cody and Waite's reduction by powers of two.
MOEPLAN_INLINE void exponential(Floats& x) {
  const Floats low = x * 0 - 87.0F, high = x * 0 + 87.0F;
  const Ints below = x < low;
  Floats y = below ? low : x;
  y = y > high ? high : y;
  const Floats shifted = y * 1.44269504F + 12582912.0F;  // rounds to a whole number in the lowest bits
  const Floats whole = shifted - 12582912.0F;
  const Floats rest = (y - whole * 0.693359375F) + whole * 2.12194440e-4F;
  Floats p = rest * 1.3981999e-3F + 8.3334519e-3F;
  p = p * rest + 4.1665796e-2F;
  p = p * rest + 1.6666666e-1F;
  p = p * rest + 0.5F;
  p = p * rest * rest + rest + 1.0F;
  const Ints power = (__builtin_convertvector(whole, Ints) + 127) << 23;
  const Floats result = p * reinterpret_cast<Floats>(power);
  x = below ? x * 0 : result;
}

}  // namespace moeplan::bench
