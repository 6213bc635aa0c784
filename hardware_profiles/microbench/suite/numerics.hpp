// Number formats and the running softmax, as functions that compile for the processor and for CUDA alike: the CPU tests check the very lines that
// the GPU kernels run.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define MOEPLAN_HD __host__ __device__
#else
#define MOEPLAN_HD
#endif

namespace moeplan::bench {

MOEPLAN_HD inline std::uint32_t bits_of(float x) {
  std::uint32_t bits = 0;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
MOEPLAN_HD inline float float_of(std::uint32_t bits) {
  float x = 0;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/// bf16, round to nearest, ties to even; not-a-number stays one.
MOEPLAN_HD inline std::uint16_t to_bf16(float x) {
  const std::uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}
MOEPLAN_HD inline float from_bf16(std::uint16_t x) { return float_of(static_cast<std::uint32_t>(x) << 16); }

/// fp8 e4m3 (no infinities, largest 448), round to nearest, ties to even, saturating.
MOEPLAN_HD inline std::uint8_t to_e4m3(float x) {
  const std::uint32_t bits = bits_of(x);
  const auto sign = static_cast<std::uint32_t>((bits >> 24) & 0x80U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint8_t>(sign | 0x7fU);
  if (magnitude >= 0x43e80000U) return static_cast<std::uint8_t>(sign | 0x7eU);  // 464 and beyond: 448
  if (magnitude < 0x3c800000U) {
    // Below 2^-6 steps are 2^-9; adding 2^14 puts that step at the end of the mantissa.
    const float shifted = float_of(magnitude) + 16384.0F;
    return static_cast<std::uint8_t>(sign | (bits_of(shifted) & 0x0fU));
  }
  const std::uint32_t rounded = magnitude + 0x7ffffU + ((magnitude >> 20) & 1U);
  return static_cast<std::uint8_t>(sign | ((rounded >> 20) - (120U << 3)));
}
MOEPLAN_HD inline float from_e4m3(std::uint8_t x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x & 0x80U) << 24;
  const std::uint32_t exponent = (x >> 3) & 0x0fU, mantissa = x & 7U;
  if (exponent == 15 && mantissa == 7) return float_of(sign | 0x7fc00000U);
  if (exponent == 0) return (sign != 0 ? -1.0F : 1.0F) * static_cast<float>(mantissa) * 0.001953125F;
  return float_of(sign | ((exponent + 120U) << 23) | (mantissa << 20));
}

/// fp4 e2m1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; round to nearest, ties to the even code, saturating.
MOEPLAN_HD inline std::uint8_t to_e2m1(float x) {
  const float a = x < 0 ? -x : x;
  std::uint8_t code = 0;
  if (a > 5.0F) code = 7;
  else if (a >= 3.5F) code = 6;
  else if (a > 2.5F) code = 5;
  else if (a >= 1.75F) code = 4;
  else if (a > 1.25F) code = 3;
  else if (a >= 0.75F) code = 2;
  else if (a > 0.25F) code = 1;
  return static_cast<std::uint8_t>(code | (x < 0 ? 8U : 0U));
}
MOEPLAN_HD inline float from_e2m1(std::uint8_t code) {
  const std::uint32_t exponent = (code >> 1) & 3U, mantissa = code & 1U;
  const float a = exponent == 0 ? 0.5F * static_cast<float>(mantissa) : (1.0F + 0.5F * static_cast<float>(mantissa)) * static_cast<float>(1U << (exponent - 1));
  return (code & 8U) != 0 ? -a : a;
}

/// Scale (e4m3) of a block of fp4 numbers whose largest magnitude is `largest`: it comes to lie at 6, the largest code.
MOEPLAN_HD inline std::uint8_t fp4_block_scale(float largest) { return to_e4m3(largest * (1.0F / 6.0F)); }

inline constexpr int kFp4Block = 16;
/// Codes of a block under its scale, the first in the lowest four bits. A block of scale 0 is all zero.
MOEPLAN_HD inline std::uint64_t fp4_block_codes(const float (&x)[kFp4Block], std::uint8_t scale) {
  const float unit = from_e4m3(scale);
  const float inverse = unit > 0 ? 1.0F / unit : 0.0F;
  std::uint64_t codes = 0;
  for (int i = 0; i < kFp4Block; ++i) codes |= static_cast<std::uint64_t>(to_e2m1(x[i] * inverse)) << (4 * i);
  return codes;
}

/// State of a softmax over keys that arrive in parts: the largest score and the sum of exponentials relative to it.
struct RunningSoftmax {
  float top = -3.0e38F;
  float sum = 0;
};

/// What the accumulated values must be multiplied by once a part of top `top` and sum `sum` joins; `part_scale` is for the part's own values.
MOEPLAN_HD inline RunningSoftmax joined(RunningSoftmax a, RunningSoftmax b, float exp_a, float exp_b) {
  RunningSoftmax both;
  both.top = a.top > b.top ? a.top : b.top;
  both.sum = a.sum * exp_a + b.sum * exp_b;
  return both;
}

}  // namespace moeplan::bench
