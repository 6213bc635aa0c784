#include "calibration/kernel_costs.hpp"

#include <algorithm>

#include "calibration/generic_constants.hpp"

namespace moeplan {
namespace {

constexpr double kMicrosecond = 1e-6;

KernelTime at_least(double microseconds, double roofline_us, Origin origin) {
  return {std::max(microseconds, roofline_us) * kMicrosecond, origin};
}

}  // namespace

struct KernelCosts::Impl {
  KernelDevice device;
};

KernelCosts::KernelCosts(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KernelCosts::KernelCosts(KernelCosts&&) noexcept = default;
KernelCosts& KernelCosts::operator=(KernelCosts&&) noexcept = default;
KernelCosts::~KernelCosts() = default;

KernelCosts KernelCosts::from_datasheet(const GpuSpec& gpu) {
  auto impl = std::make_unique<Impl>();
  impl->device = make_kernel_device(gpu);
  return KernelCosts(std::move(impl));
}

KernelCosts KernelCosts::from_profile(const GpuSpec& gpu, const std::filesystem::path&, const std::vector<std::string>&) {
  return from_datasheet(gpu);
}

KernelTime KernelCosts::gemm(const GemmShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(gemm_us(generic_gemm(d, s.weights), d, s), gemm_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::moe(const MoeShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(moe_us(generic_moe(d, s.weights), d, s), moe_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::decode_attention(const DecodeAttentionShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(decode_attention_us(generic_decode(s.kv), d, s), decode_attention_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::prefill_attention(const PrefillAttentionShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(prefill_attention_us(generic_prefill(s.kv), d, s), prefill_attention_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::mla_decode(const MlaDecodeShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(mla_decode_us(generic_mla_decode(d, s.kv), d, s), mla_decode_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::mla_prefill(const MlaPrefillShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(mla_prefill_us(generic_mla_prefill(s.kv), d, s), mla_prefill_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::collective(const CollectiveShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(collective_us(generic_collective(d, s.kind, s.in_graph), d, s), collective_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::expert_exchange(const ExpertExchangeShape& s) const {
  const KernelDevice& d = impl_->device;
  return at_least(exchange_us(generic_exchange(s), d, s), exchange_roofline_us(d, s), Origin::kDatasheet);
}

KernelTime KernelCosts::elementwise(double bytes) const {
  return {bytes / (impl_->device.bandwidth * kElementwiseEfficiency) * kMicrosecond, Origin::kDatasheet};
}

}  // namespace moeplan
