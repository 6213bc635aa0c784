#include "calibration/kernel_costs.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "calibration/across_nodes.hpp"
#include "calibration/cost_profile.hpp"
#include "calibration/kernel_choice.hpp"

namespace moeplan {
namespace {

constexpr double kMicrosecond = 1e-6;
constexpr double kLargestCv = 2.5;  // the most uneven load that was measured

template <class Operation>
struct Candidate {
  typename Operation::Constants constants;  // cold caches
  const ResidualTable* table = nullptr;
  Origin best = Origin::kMeasured;          // no better origin than this, whatever the table says
  bool sustained = false;
};

template <class Operation>
using Candidates = std::vector<Candidate<Operation>>;

Origin origin_of(const ResidualAnswer& answer) {
  if (answer.on_point) return Origin::kMeasured;
  return answer.inside && answer.distance <= kNearOctaves ? Origin::kInterpolated : Origin::kExtrapolated;
}

double uneven(const MoeConstants& c, const MoeShape& s) { return 1 + c.skew * std::min(s.load_cv, kLargestCv); }
template <class Constants, class Shape>
double uneven(const Constants&, const Shape&) { return 1; }

/// The fastest of the candidates, never below the roofline. Kernels measured around the shape go before those that would extrapolate to it.
template <class Operation>
KernelTime fastest(const Candidates<Operation>& candidates, const KernelDevice& device, const typename Operation::Shape& shape) {
  KernelTime best{INFINITY, Origin::kExtrapolated};
  bool best_covers = false;
  const ShapeCoordinates at = Operation::coordinates(shape);
  const GridPoint point = Operation::point(shape);
  for (const auto& candidate : candidates) {
    double us = Operation::form(candidate.constants, device, shape) * uneven(candidate.constants, shape);
    Origin origin = Origin::kExtrapolated;
    if (candidate.table) {
      const ResidualAnswer answer = candidate.table->at(at, point);
      us *= std::exp(answer.faded());
      origin = origin_of(answer);
    }
    const bool covers = origin <= Origin::kInterpolated;
    if (covers != best_covers ? covers : us < best.seconds) {
      best = {us, std::max(origin, candidate.best), candidate.sustained};
      best_covers = covers;
    }
  }
  best.seconds = std::max(best.seconds, Operation::roofline(device, shape)) * kMicrosecond;
  return best;
}

KernelTime at_least(double microseconds, double roofline_us) {
  return {std::max(microseconds, roofline_us) * kMicrosecond, Origin::kDatasheet};
}

std::size_t index(Precision p) { return static_cast<std::size_t>(p); }

/// One, two, four, eight nodes and more: the node counts that exchanges were measured on.
std::size_t node_class(int nodes) { return nodes <= 1 ? 0 : nodes <= 2 ? 1 : nodes <= 4 ? 2 : 3; }
constexpr const char* kModes[] = {"deepep_low_latency", "deepep_normal", "nvlink_one_sided", "nvlink_two_sided"};
constexpr const char* kKinds[] = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all"};
constexpr int kNodeClasses[] = {1, 2, 4, 8};

/// How much of its peaks a device's matrix products reach, against the generic products of the same format: the middle of its fitted kernels, at
/// most 1. Attention that nobody measured on the device is taken to fall short as much.
struct Attained {
  double compute = 1;
  double bandwidth = 1;

  template <class Constants>
  [[nodiscard]] Constants operator()(Constants c) const {
    c.ec *= compute;
    c.eb *= bandwidth;
    return c;
  }
};

Attained attained_by(const KernelDevice& device, const std::vector<FittedKernel<GemmOperation>>& products) {
  std::vector<double> compute, bandwidth;
  for (const auto& k : products) {
    const GemmConstants generic = generic_gemm(device, k.key.format);
    compute.push_back(std::min(1.0, k.constants.ec / generic.ec));
    bandwidth.push_back(std::min(1.0, k.constants.eb / generic.eb));
  }
  if (compute.empty()) return {};
  const auto middle = [](std::vector<double>& v) {
    std::sort(v.begin(), v.end());
    return v[(v.size() - 1) / 2];
  };
  return {middle(compute), middle(bandwidth)};
}

template <class Constants>
Constants cold_of(const Constants& c) {
  if constexpr (requires { c.l2_gain; }) return cold(c);
  else return c;
}

}  // namespace

struct KernelCosts::Impl {
  template <class Operation>
  using ByFormat = std::array<Candidates<Operation>, kAllPrecisions.size()>;

  KernelDevice device;
  CostProfile profile;  // the kernels that candidates point into
  Attained attained;
  ByFormat<GemmOperation> gemm;
  ByFormat<MoeOperation> moe;
  ByFormat<DecodeOperation> decode;
  ByFormat<PrefillOperation> prefill;
  ByFormat<MlaDecodeOperation> mla_decode;
  ByFormat<MlaPrefillOperation> mla_prefill;
  std::array<std::array<Candidates<CollectiveOperation>, 2>, 4> collective;                // [kind][in_graph]
  std::array<std::array<std::array<Candidates<ExchangeOperation>, 4>, 2>, kExchangeModes> exchange;  // [mode][combine][nodes]

  template <class Operation>
  Candidates<Operation> candidates(const std::vector<Choice<Operation>>& choices) {
    Candidates<Operation> result;
    for (const Choice<Operation>& choice : choices) {
      const bool has_table = choice.with_table && !choice.kernel->table.empty();
      result.push_back({cold_of(choice.kernel->constants), has_table ? &choice.kernel->table : nullptr, choice.best, choice.kernel->sustained});
    }
    return result;
  }

  template <class Operation>
  void choose_formats(ByFormat<Operation>& slots, const std::vector<std::string>& preference) {
    for (const Precision p : kAllPrecisions) slots[index(p)] = candidates(choose_kernels(profile.of<Operation>(), device, p, preference));
  }

  void choose_links(const std::vector<std::string>& all_reduce) {
    const auto& links = profile.of<CollectiveOperation>();
    for (std::size_t kind = 0; kind < collective.size(); ++kind) {
      for (const bool in_graph : {false, true}) {
        collective[kind][in_graph ? 1 : 0] = candidates(choose_collectives(links, kKinds[kind], in_graph, all_reduce));
      }
    }
    for (std::size_t mode = 0; mode < exchange.size(); ++mode) {
      for (const bool combine : {false, true}) {
        for (std::size_t nodes = 0; nodes < 4; ++nodes) {
          const std::string variant = std::string(kModes[mode]) + (combine ? ".combine." : ".dispatch.") + std::to_string(kNodeClasses[nodes]);
          exchange[mode][combine ? 1 : 0][nodes] = candidates(choose_exchanges(profile.of<ExchangeOperation>(), variant));
        }
      }
    }
  }
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

KernelCosts KernelCosts::from_profile(const GpuSpec& gpu, const std::filesystem::path& profile, const std::vector<std::string>& preference,
                                      const std::vector<std::string>& all_reduce) {
  return from_profile(gpu, read_cost_profile(profile), preference, all_reduce);
}

bool KernelCosts::in_engine() const { return impl_->profile.in_engine; }

KernelCosts KernelCosts::from_profile(const GpuSpec& gpu, const CostProfile& profile, const std::vector<std::string>& preference,
                                      const std::vector<std::string>& all_reduce) {
  if (profile.gpu != gpu.id) throw InputError("cost profile", "is of GPU '" + profile.gpu + "', not of '" + gpu.id + "'");
  KernelCosts costs = from_datasheet(gpu);
  Impl& impl = *costs.impl_;
  impl.profile = profile;
  impl.attained = attained_by(impl.device, profile.of<GemmOperation>());
  impl.choose_formats(impl.gemm, preference);
  impl.choose_formats(impl.moe, preference);
  impl.choose_formats(impl.decode, preference);
  impl.choose_formats(impl.prefill, preference);
  impl.choose_formats(impl.mla_decode, preference);
  impl.choose_formats(impl.mla_prefill, preference);
  impl.choose_links(all_reduce);
  return costs;
}

KernelTime KernelCosts::gemm(const GemmShape& s) const {
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->gemm[index(s.weights)];
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(gemm_us(generic_gemm(d, s.weights), d, s), gemm_roofline_us(d, s));
}

KernelTime KernelCosts::moe(const MoeShape& s) const {
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->moe[index(s.weights)];
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(moe_us(generic_moe(d, s.weights), d, s), moe_roofline_us(d, s));
}

KernelTime KernelCosts::decode_attention(const DecodeAttentionShape& s) const {
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->decode[index(s.kv)];
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(decode_attention_us(impl_->attained(generic_decode(s.kv)), d, s), decode_attention_roofline_us(d, s));
}

KernelTime KernelCosts::prefill_attention(const PrefillAttentionShape& s) const {
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->prefill[index(s.kv)];
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(prefill_attention_us(impl_->attained(generic_prefill(s.kv)), d, s), prefill_attention_roofline_us(d, s));
}

KernelTime KernelCosts::mla_decode(const MlaDecodeShape& s) const {
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->mla_decode[index(s.kv)];
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(mla_decode_us(impl_->attained(generic_mla_decode(d, s.kv)), d, s), mla_decode_roofline_us(d, s));
}

KernelTime KernelCosts::mla_prefill(const MlaPrefillShape& s) const {
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->mla_prefill[index(s.kv)];
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(mla_prefill_us(impl_->attained(generic_mla_prefill(s.kv)), d, s), mla_prefill_roofline_us(d, s));
}

KernelTime KernelCosts::collective(const CollectiveShape& s) const {
  if (s.ranks <= 1) return {0, Origin::kMeasured};
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->collective[static_cast<std::size_t>(s.kind)][s.in_graph ? 1 : 0];
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(collective_us(generic_collective(d, s.kind, s.in_graph), d, s), collective_roofline_us(d, s));
}

KernelTime KernelCosts::expert_exchange(const ExpertExchangeShape& s) const {
  if (s.ranks <= 1) return {0, Origin::kMeasured};
  const KernelDevice& d = impl_->device;
  const auto& candidates = impl_->exchange[static_cast<std::size_t>(s.mode)][s.combine ? 1 : 0][node_class(s.nodes)];
  // Constants of another GPU are relative to its scale-up links and say nothing of cards; a table is of just this network.
  const bool table = !candidates.empty() && candidates.front().table != nullptr && measured_network(s);
  const bool flows = s.nodes > 1 && s.scale_out > 0 && !table;
  if (flows) {
    const AcrossTime time = exchange_across(across_constants(s.mode, s.combine, s.transport), d, s);
    return {time.us * kMicrosecond, Origin::kTransferred};
  }
  if (!candidates.empty()) return fastest(candidates, d, s);
  return at_least(exchange_us(generic_exchange(s), d, s), exchange_roofline_us(d, s));
}

KernelTime KernelCosts::elementwise(double bytes) const {
  const double measured = impl_->profile.elementwise_bandwidth;
  const double share = measured > 0 ? measured : kElementwiseEfficiency;
  return {bytes / (impl_->device.bandwidth * share) * kMicrosecond, measured > 0 ? Origin::kInterpolated : Origin::kDatasheet, measured > 0};
}

}  // namespace moeplan
