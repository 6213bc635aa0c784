#include "calibration/fit_start.hpp"

namespace moeplan {

GemmConstants prior_of(const KernelDevice& d, const KernelKey& key, const GemmOperation&) { return generic_gemm(d, key.format); }
MoeConstants prior_of(const KernelDevice& d, const KernelKey& key, const MoeOperation&) { return generic_moe(d, key.format); }
DecodeConstants prior_of(const KernelDevice&, const KernelKey& key, const DecodeOperation&) { return generic_decode(key.format); }
DecodeConstants prior_of(const KernelDevice& d, const KernelKey& key, const MlaDecodeOperation&) {
  return generic_mla_decode(d, key.format);
}
PrefillConstants prior_of(const KernelDevice&, const KernelKey& key, const PrefillOperation&) {
  PrefillConstants c = generic_prefill(key.products);
  c.fp8_products = bytes_per_activation(key.products) < 1.5 ? 1 : 0;
  return c;
}
PrefillConstants prior_of(const KernelDevice&, const KernelKey& key, const MlaPrefillOperation&) { return generic_mla_prefill(key.format); }
CollectiveConstants prior_of(const KernelDevice& d, const KernelKey& key, const CollectiveOperation&) {
  return generic_collective(d, key.variant == "all_reduce" ? CollectiveKind::kAllReduce : CollectiveKind::kAllGather, !key.kernel.empty());
}
ExchangeConstants prior_of(const KernelDevice&, const KernelKey& key, const ExchangeOperation&) {
  ExpertExchangeShape s;
  s.combine = key.variant.find("combine") != std::string::npos;
  if (key.variant.starts_with("deepep_normal")) s.mode = ExchangeMode::kDeepEpNormal;
  if (key.variant.starts_with("nvlink_one")) s.mode = ExchangeMode::kNvlinkOneSided;
  if (key.variant.starts_with("nvlink_two")) s.mode = ExchangeMode::kNvlinkTwoSided;
  s.nodes = key.variant.back() - '0';
  return generic_exchange(s);
}

std::vector<DecodeConstants> choices_of(const DecodeConstants& c) {
  DecodeConstants wide = c;
  DecodeConstants narrow = c;
  narrow.pad = 16;
  wide.pad = 64;
  return {narrow, wide};
}
std::vector<PrefillConstants> choices_of(const PrefillConstants& c) {
  std::vector<PrefillConstants> all;
  for (const double tile : {1.0, 64.0, 128.0}) {
    all.push_back(c);
    all.back().tile = tile;
  }
  return all;
}

}  // namespace moeplan
