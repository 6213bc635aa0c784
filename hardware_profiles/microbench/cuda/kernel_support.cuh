// What the own kernels share on the device.
#pragma once

#include <stdexcept>
#include <string>

#include "suite/indexing.hpp"

namespace moeplan::bench {

inline constexpr unsigned kAllLanes = 0xffffffffU;
inline constexpr int kWarp = 32;

/// Launch errors show at once; the caller reports asynchronous ones.
inline void check_launch(const char* kernel) {
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) throw std::runtime_error(std::string(kernel) + ": " + cudaGetErrorString(status));
}

__device__ inline float warp_sum(float x) {
  for (int lane = kWarp / 2; lane > 0; lane /= 2) x += __shfl_xor_sync(kAllLanes, x, lane);
  return x;
}

template <class Element>
__device__ inline float value_of(Element x);
template <>
__device__ inline float value_of(std::uint16_t x) { return from_bf16(x); }
template <>
__device__ inline float value_of(std::uint8_t x) { return from_e4m3(x); }

template <class Element>
__device__ inline Element element_of(float x);
template <>
__device__ inline std::uint16_t element_of(float x) { return to_bf16(x); }
template <>
__device__ inline std::uint8_t element_of(float x) { return to_e4m3(x); }

}  // namespace moeplan::bench
