#include "calibration/generic_constants.hpp"

namespace moeplan {
namespace {

bool four_bit(const KernelDevice& device, Precision weights) { return weights == Precision::kNvfp4 && device.quantises(weights); }

}  // namespace

GemmConstants generic_gemm(const KernelDevice& device, Precision weights) {
  if (!device.quantises(weights)) return {.t0 = 3.3, .tk = 0.42, .ec = 0.76, .eb = 0.88, .p = 2.5, .k_half = 92};
  if (four_bit(device, weights)) return {.t0 = 4.6, .tk = 0.77, .ec = 0.64, .eb = 0.83, .p = 2.5, .k_half = 186, .eq = 1.0};
  if (weights == Precision::kFp8Block) return {.t0 = 4.2, .tk = 1.0, .ec = 0.72, .eb = 0.92, .p = 2.0, .k_half = 314, .eq = 1.0};
  return {.t0 = 5.4, .tk = 0.59, .ec = 0.68, .eb = 0.88, .p = 2.4, .k_half = 317, .eq = 1.8};
}

MoeConstants generic_moe(const KernelDevice& device, Precision weights) {
  if (!device.quantises(weights)) {
    return {.t0 = 28, .tk = 0.85, .ec = 0.62, .eb = 0.85, .p = 1.6, .il_half = 90, .act = 0.3, .nonlocal = 1.0};
  }
  if (four_bit(device, weights)) return {.t0 = 18, .tk = 0.2, .ec = 0.64, .eb = 0.89, .p = 1.9, .act = 1.6, .nonlocal = 0.3};
  return {.t0 = 26, .tk = 0.3, .ec = 0.65, .eb = 0.87, .p = 2.0, .il_half = 1500, .act = 1.2, .nonlocal = 0.0};
}

DecodeConstants generic_decode(Precision kv) {
  if (bytes_per_activation(kv) < 1.5) return {.t0 = 11.8, .tl = 0.98, .ec = 0.4, .eb = 0.85, .p = 1.0, .tc = 2.3};
  return {.t0 = 8.6, .tl = 0.72, .ec = 0.36, .eb = 0.95, .p = 1.2, .tc = 2.2};
}

DecodeConstants generic_mla_decode(const KernelDevice& device, Precision kv) {
  const bool fp4_units = device.peak_of(Precision::kNvfp4) > 1.5 * device.peak_of(Precision::kFp8);
  if (bytes_per_activation(kv) < 1.5) {
    return {.t0 = 10.2, .tl = 0.9, .ec = 1.0, .eb = 0.9, .p = 1.3, .tc = 3.0, .fp8_products = fp4_units ? 1.0 : 0.0};
  }
  return {.t0 = 11.0, .tl = 1.2, .ec = 0.87, .eb = 0.85, .p = 1.7, .tc = 4.0, .pad = fp4_units ? 64.0 : 16.0};
}

PrefillConstants generic_prefill(Precision kv) {
  if (bytes_per_activation(kv) < 1.5) {
    return {.t0 = 10.9, .tq = 1.2, .ec = 0.47, .eb = 1.0, .p = 1.0, .tc = 2.5, .d_half = 23, .fp8_products = 1};
  }
  return {.t0 = 9.0, .tq = 1.0, .ec = 0.87, .eb = 0.95, .p = 1.2, .tc = 2.3, .d_half = 49};
}

PrefillConstants generic_mla_prefill(Precision kv) {
  if (bytes_per_activation(kv) < 1.5) return {.t0 = 18.1, .tq = 0.87, .ec = 0.8, .eb = 0.42, .p = 1.07, .tc = 2.0};
  return {.t0 = 13.0, .tq = 0.97, .ec = 0.58, .eb = 0.68, .p = 1.4, .tc = 2.5};
}

CollectiveConstants generic_collective(const KernelDevice& device, CollectiveKind kind, bool in_graph) {
  if (device.pcie_fabric) {
    if (kind == CollectiveKind::kAllReduce) return {.t0 = 0.5, .t0_rank = 3.1, .t1 = 0, .eff = 0.39, .p = 1};
    if (kind == CollectiveKind::kAllToAll) return {.t0 = 2.5, .t0_rank = 1.1, .t1 = 2.2, .eff = 0.33, .p = 1};
    return {.t0 = 1.5, .t0_rank = 1.7, .t1 = 1.1, .eff = 0.36, .p = 1};
  }
  if (kind == CollectiveKind::kAllReduce && in_graph) return {.t0 = 1.6, .t0_rank = 0.24, .t1 = 2.9, .eff = 0.59, .p = 1};
  if (kind == CollectiveKind::kAllReduce) return {.t0 = 3.8, .t0_rank = 2.2, .t1 = 2.4, .eff = 0.62, .p = 1};
  if (kind == CollectiveKind::kAllToAll) return {.t0 = 3.7, .t0_rank = 0.17, .t1 = 7.0, .eff = 0.54, .p = 1};
  return {.t0 = 2.0, .t0_rank = 1.0, .t1 = 2.6, .eff = 0.54, .p = 1};
}

ExchangeConstants generic_exchange(const ExpertExchangeShape& s) {
  if (s.mode == ExchangeMode::kNvlinkOneSided) return s.combine ? ExchangeConstants{12, 4.0, 0, 0.6, 2} : ExchangeConstants{11, 2.0, 0, 0.6, 2};
  if (s.mode == ExchangeMode::kNvlinkTwoSided) return s.combine ? ExchangeConstants{10, 1.0, 0, 0.5, 2} : ExchangeConstants{21, 1.5, 0, 0.55, 2};
  if (s.mode == ExchangeMode::kDeepEpNormal) {
    const double t0 = s.combine ? 60.0 : 45.0;
    const double eff[] = {0.40, 0.25, 0.22, 0.08};
    return {.t0 = t0 * (s.nodes > 1 ? 2.0 : 1.0), .eff = eff[s.nodes <= 1 ? 0 : s.nodes <= 2 ? 1 : s.nodes <= 4 ? 2 : 3], .p = 4};
  }
  // Measured on one, two, four and eight nodes of eight H100 with one 400 Gbit/s card per GPU.
  if (s.nodes <= 1) return s.combine ? ExchangeConstants{10.5, 0.48, 0.008, 0.55, 6} : ExchangeConstants{9.7, 1.1, 0.0014, 0.64, 6};
  if (s.nodes <= 2) return s.combine ? ExchangeConstants{24.9, 0, 0.61, 0.208, 2} : ExchangeConstants{11.4, 3.2, 0.51, 0.21, 2};
  if (s.nodes <= 4) return s.combine ? ExchangeConstants{16.7, 3.4, 0.52, 0.136, 2} : ExchangeConstants{19.3, 2.4, 0.51, 0.144, 2};
  return s.combine ? ExchangeConstants{15.2, 4.1, 0.57, 0.118, 2} : ExchangeConstants{19.5, 3.1, 0.52, 0.1225, 2};
}

}  // namespace moeplan
