// Kernel times as a serving engine sees them: KernelCosts times the engine's sustained-clock multipliers, and never below the roofline of
// the datasheet (weights and KV cold in HBM, products at dense peak).
#pragma once

#include "calibration/kernel_costs.hpp"
#include "hardware/engine_profile.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

/// Whether a kernel runs in a step with prefill: compute-bound kernels then pay `prefill_kernel_multiplier` (power throttling).
enum class KernelPhase : std::uint8_t { kDecode, kPrefill };

class DeviceKernels {
 public:
  /// REQUIRES: `kernels` outlives this.
  DeviceKernels(const KernelCosts& kernels, const GpuSpec& gpu, const EngineProfile& engine);

  [[nodiscard]] KernelTime gemm(const GemmShape& shape, KernelPhase phase) const;
  /// A product that runs beside a longer kernel, which hides its latency: the bandwidth and arithmetic that it takes from that kernel.
  [[nodiscard]] KernelTime beside(const GemmShape& shape) const;
  [[nodiscard]] KernelTime moe(const MoeShape& shape, KernelPhase phase) const;
  [[nodiscard]] KernelTime decode_attention(const DecodeAttentionShape& shape) const;
  [[nodiscard]] KernelTime mla_decode(const MlaDecodeShape& shape) const;
  [[nodiscard]] KernelTime prefill_attention(const PrefillAttentionShape& shape) const;
  [[nodiscard]] KernelTime mla_prefill(const MlaPrefillShape& shape) const;
  [[nodiscard]] KernelTime elementwise(double bytes) const;
  /// A kernel without a fitted form: max(bytes / (bandwidth x memory_fraction), flops / (bf16 peak x compute_fraction)) + fixed.
  [[nodiscard]] KernelTime roofline(double bytes, double memory_fraction, double flops, double compute_fraction, double fixed) const;

  /// Dense peak of products with weights held in `weights`, FLOP/s.
  [[nodiscard]] double peak(Precision weights) const;
  [[nodiscard]] double bandwidth() const { return bandwidth_; }

 private:
  /// `time` under the multipliers and the operation's own `factor`, at least max(bytes / bandwidth, flops / peak).
  [[nodiscard]] KernelTime sustained(KernelTime time, double factor, double bytes, double flops, double peak, KernelPhase phase) const;

  const KernelCosts& kernels_;
  const GpuSpec& gpu_;
  double bandwidth_;
  double multiplier_;
  double sustained_multiplier_;  ///< of kernels measured under continuous load
  double prefill_multiplier_;
  double experts_in_prefill_;
  OperationFactors factors_;
};

}  // namespace moeplan
