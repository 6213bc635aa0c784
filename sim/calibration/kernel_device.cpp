#include "calibration/kernel_device.hpp"

#include <optional>

namespace moeplan {
namespace {

struct Products {
  Precision format;
  double rate;
};

double microsecond_rate(const FlopsPerSecond& rate) { return rate.value() * 1e-6; }

/// 16-bit products; fp32 where a device has nothing else.
Products wide_products(const MatmulPeaks& dense) {
  if (dense.bf16) return {Precision::kBf16, microsecond_rate(*dense.bf16)};
  if (dense.fp16) return {Precision::kFp16, microsecond_rate(*dense.fp16)};
  if (dense.fp32) return {Precision::kFp32, microsecond_rate(*dense.fp32)};
  return {Precision::kBf16, 1.0};
}

Products products_of(const MatmulPeaks& dense, Precision weights) {
  const auto pick = [&](const std::optional<FlopsPerSecond>& rate, Precision format) {
    return rate ? Products{format, microsecond_rate(*rate)} : wide_products(dense);
  };
  switch (weights) {
    case Precision::kFp32: return pick(dense.fp32, Precision::kFp32);
    case Precision::kFp16: return pick(dense.fp16, Precision::kFp16);
    case Precision::kFp8: return pick(dense.fp8, Precision::kFp8);
    case Precision::kFp8Block: return pick(dense.fp8, Precision::kFp8Block);
    case Precision::kInt8: return pick(dense.int8, Precision::kInt8);
    case Precision::kNvfp4: return pick(dense.fp4, Precision::kNvfp4);
    case Precision::kMxfp4: return dense.fp4 ? pick(dense.fp8, Precision::kFp8) : wide_products(dense);
    case Precision::kInt4:
    case Precision::kBf16: break;
  }
  return wide_products(dense);
}

/// Share of Hopper's tensor peak that weight-only kernels can use: they feed the tensor cores from registers after unpacking the weights, by
/// mma.sync, which reaches 62 % of the peak there (Luo et al. 2024, "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture via
/// Microbenchmarking": 62.9 % on average against wgmma).
constexpr double kHopperRegisterFed = 0.62;

/// Four-bit weights against 16-bit activations.
bool weight_only(Precision weights, Precision products) {
  return bytes_per_weight(weights) < 0.9 && bytes_per_activation(products) > 1.5;
}

}  // namespace

KernelDevice make_kernel_device(const GpuSpec& gpu) {
  KernelDevice device;
  device.bandwidth = gpu.memory_bandwidth.value() * 1e-6;
  device.scale_up = gpu.scale_up_bandwidth.value() * 1e-6;
  device.pcie_fabric = gpu.scale_up_type.starts_with("PCIe");
  device.l2_bytes = gpu.l2_cache.as_double();
  if (gpu.multiprocessors > 0) device.multiprocessors = gpu.multiprocessors;
  device.transforms_block_scales = gpu.architecture == "Blackwell" || gpu.architecture == "Blackwell Ultra";
  for (const Precision p : kAllPrecisions) {
    const Products products = products_of(gpu.dense, p);
    const auto i = static_cast<std::size_t>(p);
    const bool register_fed = gpu.architecture == "Hopper" && weight_only(p, products.format);
    device.peak[i] = register_fed ? products.rate * kHopperRegisterFed : products.rate;
    device.activation_bytes[i] = bytes_per_activation(products.format);
    device.quantised[i] = bytes_per_activation(products.format) < 1.5;
  }
  return device;
}

}  // namespace moeplan
