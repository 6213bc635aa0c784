#include "cost/device_kernels.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

DeviceKernels::DeviceKernels(const KernelCosts& kernels, const GpuSpec& gpu, const EngineProfile& engine)
    : kernels_(kernels),
      gpu_(gpu),
      bandwidth_(gpu.memory_bandwidth.value()),
      // Kernels measured in a running engine have its clocks already.
      multiplier_(kernels.in_engine() ? engine.kernel_multiplier / engine.burst_clock_multiplier : engine.kernel_multiplier),
      sustained_multiplier_(engine.kernel_multiplier / engine.burst_clock_multiplier),
      prefill_multiplier_(engine.prefill_kernel_multiplier),
      experts_in_prefill_(engine.experts_in_prefill),
      factors_(engine.operations) {
  MOEPLAN_CHECK(bandwidth_ > 0);
}

double DeviceKernels::peak(Precision weights) const {
  const auto peak = gpu_.peak(gpu_.compute_precision(weights));
  MOEPLAN_CHECK(peak && peak->value() > 0);
  return peak->value();
}

KernelTime DeviceKernels::sustained(KernelTime time, double factor, double bytes, double flops, double peak, KernelPhase phase) const {
  const double memory_seconds = bytes / bandwidth_;
  const double compute_seconds = flops / peak;
  double multiplier = (time.sustained ? sustained_multiplier_ : multiplier_) * factor;
  if (!time.sustained && phase == KernelPhase::kPrefill && compute_seconds > memory_seconds) {
    // Full effect from twice the ridge on: a step at the ridge would make the time jump with one more token.
    const double bound = memory_seconds > 0 ? std::min(compute_seconds / memory_seconds - 1.0, 1.0) : 1.0;
    multiplier *= 1.0 + (prefill_multiplier_ - 1.0) * bound;
  }
  return {std::max({time.seconds * multiplier, memory_seconds, compute_seconds}), time.origin};
}

KernelTime DeviceKernels::gemm(const GemmShape& s, KernelPhase phase) const {
  return sustained(kernels_.gemm(s), factors_.gemm, s.n * s.k * bytes_per_weight(s.weights), 2.0 * s.m * s.n * s.k, peak(s.weights), phase);
}

KernelTime DeviceKernels::beside(const GemmShape& s) const {
  const double seconds = std::max(s.n * s.k * bytes_per_weight(s.weights) / bandwidth_, 2.0 * s.m * s.n * s.k / peak(s.weights));
  return {seconds * multiplier_, Origin::kDatasheet};
}

KernelTime DeviceKernels::moe(const MoeShape& s, KernelPhase phase) const {
  const double matrices = s.gated ? 3.0 : 2.0;
  const double expert = matrices * s.hidden * s.inter;
  const double factor = factors_.experts * (phase == KernelPhase::kPrefill ? experts_in_prefill_ : 1.0);
  return sustained(kernels_.moe(s), factor, s.experts * expert * bytes_per_weight(s.weights), 2.0 * s.pairs * expert, peak(s.weights), phase);
}

KernelTime DeviceKernels::decode_attention(const DecodeAttentionShape& s) const {
  const double bytes = 2.0 * s.context * s.kv_heads * s.head_dim * bytes_per_activation(s.kv);
  return sustained(kernels_.decode_attention(s), factors_.attention, bytes, 4.0 * s.context * s.heads * s.head_dim, peak(s.kv), KernelPhase::kDecode);
}

KernelTime DeviceKernels::mla_decode(const MlaDecodeShape& s) const {
  const double bytes = s.context * (s.kv_lora + s.qk_rope) * bytes_per_activation(s.kv);
  const double flops = 2.0 * s.context * s.heads * (2.0 * s.kv_lora + s.qk_rope);
  return sustained(kernels_.mla_decode(s), factors_.attention, bytes, flops, peak(s.kv), KernelPhase::kDecode);
}

KernelTime DeviceKernels::prefill_attention(const PrefillAttentionShape& s) const {
  const double bytes = 2.0 * (s.prefix + s.tokens) * s.kv_heads * s.head_dim * bytes_per_activation(s.kv);
  const double flops = 4.0 * s.heads * s.head_dim * s.tokens * (s.prefix + 0.5 * s.tokens);
  return sustained(kernels_.prefill_attention(s), factors_.attention, bytes, flops, peak(s.kv), KernelPhase::kPrefill);
}

KernelTime DeviceKernels::mla_prefill(const MlaPrefillShape& s) const {
  const double flops = 2.0 * s.heads * (s.qk_head_dim + s.v_head_dim) * s.tokens * (s.prefix + 0.5 * s.tokens);
  const double bytes = 2.0 * (s.prefix + s.tokens) * s.heads * (s.qk_head_dim + s.v_head_dim);
  return sustained(kernels_.mla_prefill(s), factors_.attention, bytes, flops, peak(s.kv), KernelPhase::kPrefill);
}

KernelTime DeviceKernels::elementwise(double bytes) const { return sustained(kernels_.elementwise(bytes), 1, 0, 0, 1, KernelPhase::kDecode); }

KernelTime DeviceKernels::roofline(double bytes, double memory_fraction, double flops, double compute_fraction, double fixed) const {
  const double seconds = std::max(bytes / (bandwidth_ * memory_fraction), flops / (peak(Precision::kBf16) * compute_fraction)) + fixed;
  return {seconds * multiplier_, Origin::kDatasheet};
}

}  // namespace moeplan
