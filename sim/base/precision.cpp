#include "base/precision.hpp"

#include "base/error.hpp"

namespace moeplan {

std::string_view to_string(Precision p) {
  switch (p) {
    case Precision::kFp32: return "fp32";
    case Precision::kBf16: return "bf16";
    case Precision::kFp16: return "fp16";
    case Precision::kFp8: return "fp8";
    case Precision::kFp8Block: return "fp8_block";
    case Precision::kInt8: return "int8";
    case Precision::kInt4: return "int4";
    case Precision::kNvfp4: return "nvfp4";
    case Precision::kMxfp4: return "mxfp4";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::optional<Precision> precision_from_string(std::string_view name) {
  for (const Precision p : kAllPrecisions) {
    if (to_string(p) == name) return p;
  }
  return std::nullopt;
}

double bytes_per_weight(Precision p) {
  switch (p) {
    case Precision::kFp32: return 4.0;
    case Precision::kBf16:
    case Precision::kFp16: return 2.0;
    case Precision::kFp8:
    case Precision::kInt8: return 1.0;
    case Precision::kFp8Block: return 1.0 + 4.0 / (128.0 * 128.0);
    case Precision::kInt4: return 0.5 + (2.0 + 0.5) / 128.0;
    case Precision::kNvfp4: return 0.5 + 1.0 / 16.0;
    case Precision::kMxfp4: return 0.5 + 1.0 / 32.0;
  }
  MOEPLAN_CHECK(false);
  return 0;
}

double bytes_per_activation(Precision p) {
  if (p == Precision::kFp8Block) return 1.0 + 4.0 / 128.0;
  return bytes_per_weight(p);
}

}  // namespace moeplan
