// Achievable fractions of a datasheet for a device that nobody measured: constants fitted to all measured devices together, the device's
// peaks swapped in. Leaving one device out shows their error: 10-20 % median on relatives, 20-45 % across generations
// (hardware_profiles/fitted/README.md).
#pragma once

#include "calibration/kernel_forms.hpp"

namespace moeplan {

GemmConstants generic_gemm(const KernelDevice& device, Precision weights);
MoeConstants generic_moe(const KernelDevice& device, Precision weights);
DecodeConstants generic_decode(Precision kv);
DecodeConstants generic_mla_decode(const KernelDevice& device, Precision kv);
PrefillConstants generic_prefill(Precision kv);
PrefillConstants generic_mla_prefill(Precision kv);
/// An engine's custom kernel replayed from a CUDA graph where `in_graph` (all-reduce only), else NCCL; PCIe fabrics have their own.
CollectiveConstants generic_collective(const KernelDevice& device, CollectiveKind kind, bool in_graph);
ExchangeConstants generic_exchange(const ExpertExchangeShape& shape);

/// Fraction of memory bandwidth that element-wise kernels reach.
inline constexpr double kElementwiseEfficiency = 0.75;

}  // namespace moeplan
