// A GPU of round numbers for calibration tests: 1 TB/s, 100 TFLOPS in 16 bit, 200 in fp8, 10 SMs, 100 GB/s links.
#pragma once

#include "hardware/gpu_spec.hpp"

namespace moeplan::testing {

inline GpuSpec round_gpu() {
  GpuSpec gpu;
  gpu.id = "round";
  gpu.memory_bandwidth = BytesPerSecond(1e12);
  gpu.dense.bf16 = FlopsPerSecond(100e12);
  gpu.dense.fp8 = FlopsPerSecond(200e12);
  gpu.scale_up_type = "NVLink";
  gpu.scale_up_bandwidth = BytesPerSecond(100e9);
  gpu.l2_cache = Bytes(10'000'000);
  gpu.multiprocessors = 10;
  return gpu;
}

}  // namespace moeplan::testing
