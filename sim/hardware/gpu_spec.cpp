#include "hardware/gpu_spec.hpp"

#include "base/error.hpp"

namespace moeplan {

std::optional<FlopsPerSecond> GpuSpec::peak(Precision p) const {
  switch (p) {
    case Precision::kFp32: return dense.fp32;
    case Precision::kBf16: return dense.bf16;
    case Precision::kFp16: return dense.fp16;
    case Precision::kFp8:
    case Precision::kFp8Block: return dense.fp8;
    case Precision::kInt8: return dense.int8;
    case Precision::kInt4: return std::nullopt;
    case Precision::kNvfp4:
    case Precision::kMxfp4: return dense.fp4;
  }
  MOEPLAN_CHECK(false);
  return std::nullopt;
}

Precision GpuSpec::compute_precision(Precision weights) const {
  if (peak(weights)) return weights;
  if (dense.bf16) return Precision::kBf16;
  if (dense.fp16) return Precision::kFp16;
  return Precision::kFp32;
}

}  // namespace moeplan
