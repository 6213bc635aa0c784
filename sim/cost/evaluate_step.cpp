// The second half of a step's cost: a prepared step evaluated at a decode context and a draw of the routing.
#include <algorithm>

#include "base/error.hpp"
#include "cost/deployment_cost.hpp"

namespace moeplan {
namespace {

constexpr int kMeanDraw = -1;

/// What one draw of the experts makes of a step that runs them `passes` times.
void set_draw(const ExpertDraw& draw, double passes, StepOutcome& out) {
  out.experts_seconds = draw.experts_seconds * passes;
  out.all_to_all_seconds = draw.exchange_seconds * passes;
  out.hottest_over_mean = draw.hottest_over_mean;
  out.distinct_experts = draw.distinct;
  out.draw_traffic.add(draw.traffic, passes);
  // The second half batch finds the experts that the first one brought.
  out.offload_seconds = draw.offload.seconds;
  out.offload_bytes = draw.offload.bytes;
  out.expert_lookups = draw.offload.lookups;
  out.expert_hits = draw.offload.hits;
}

}  // namespace

std::unique_ptr<ExpertTables> DeploymentCost::make_tables(std::uint32_t index) const {
  MOEPLAN_CHECK(index < kMostEpochs);
  return std::make_unique<ExpertTables>(inputs_, *expert_layer_, layer_scale_, offload_.get(), &inputs_.epochs->draws(index));
}

RoutingEpoch DeploymentCost::epoch_at(SimTime now) const {
  if (!experts_ || inputs_.epochs == nullptr || !inputs_.epochs->changes()) return {};
  const RoutingEpochs::Epoch epoch = inputs_.epochs->at(now);
  RoutingEpoch out{epoch.index, epoch.begin, epoch.end, 0};
  if (epoch.experts_received > 0) {
    const MoeSpec& moe = *inputs_.model.moe();
    const double matrices = inputs_.model.gated_ffn ? 3.0 : 2.0;
    const double weights = matrices * moe.input_width(inputs_.model.hidden) * share(moe.expert_inter, inputs_.layout.expert_tensor());
    const double bytes = epoch.experts_received / inputs_.layout.pipeline * weights * bytes_per_weight(inputs_.precision.experts);
    out.stall_seconds = comm_.all_to_all(bytes, comm_.group(inputs_.layout.expert, inputs_.layout.expert_tensor()), false).seconds;
  }
  return out;
}

void DeploymentCost::add_attention(const PreparedStep& prepared, std::int64_t decode_context, StepOutcome& out) const {
  if (prepared.decode_sequences == 0) return;
  const OctaveGrid::Position c = context_grid_.find(static_cast<double>(decode_context) * prepared.attention[0]);
  const auto over_context = [&](std::uint32_t sequences) {
    const KernelTime low = decode_node(sequences, c.index);
    return low * (1.0 - c.blend) + decode_node(sequences, c.index + 1) * c.blend;
  };
  KernelTime time = over_context(prepared.table_index[0]);
  if (const double blend = prepared.table_blend[0]; blend > 0) {
    time = time * (1.0 - blend) + over_context(prepared.table_index[0] + 1) * blend;
  }
  out.attention_seconds = time.seconds * prepared.passes * (1.0 + prepared.attention[1]);
  out.attention_origin = time.origin;
}

void DeploymentCost::add_experts(const PreparedStep& prepared, int draw, StepOutcome& out) const {
  ExpertDraw sum{0, 0, 0, 0, {}, {}, 0};
  const ExpertTables& experts = tables(prepared.epoch);
  const auto add = [&](RoutingPhase phase, std::uint32_t node, double weight) {
    const ExpertTables::Point& point = experts.point(phase, node);
    sum.add(draw == kMeanDraw ? point.mean : point.draws[static_cast<std::size_t>(draw)], weight);
    out.degraded_tokens += point.degraded * weight;
    out.experts_origin = point.origin;
  };
  const double blend = prepared.table_blend[1];
  const double prefill = prepared.table_blend[2];
  const std::uint32_t node = prepared.table_index[1];
  if (prefill < 1) {
    add(RoutingPhase::kDecode, node, (1.0 - prefill) * (1.0 - blend));
    if (blend != 0) add(RoutingPhase::kDecode, node + 1, (1.0 - prefill) * blend);
  }
  if (prefill > 0) {
    add(RoutingPhase::kPrefill, node, prefill * (1.0 - blend));
    if (blend != 0) add(RoutingPhase::kPrefill, node + 1, prefill * blend);
  }
  set_draw(sum, prepared.passes, out);
  out.imbalance_seconds = std::max(0.0, (sum.experts_seconds + sum.exchange_seconds - sum.even_seconds) * prepared.passes);
}

void DeploymentCost::finish(const PreparedStep& prepared, StepOutcome& out) const {
  out.seconds = prepared.fixed_seconds + out.attention_seconds + out.experts_seconds + out.all_to_all_seconds + out.offload_seconds;
  if (prepared.network_slowdown != 1.0) {
    out.contention_seconds =
        (prepared.network_slowdown - 1.0) * (prepared.fixed_traffic.scale_out_seconds + out.draw_traffic.scale_out_seconds);
    out.seconds += out.contention_seconds;
  }
  if (prepared.hidden_at_most > 0) {
    const double travelling = prepared.fixed_parts[static_cast<std::size_t>(StepPart::kAllToAll)] + out.all_to_all_seconds + out.contention_seconds;
    double computing = prepared.may_hide_seconds;
    if (prepared.routed_may_hide) computing += out.attention_seconds + out.experts_seconds;
    out.hidden_seconds = std::min(prepared.hidden_at_most * travelling, computing);
    out.seconds -= out.hidden_seconds;
  }
  out.launch_wait_seconds = std::max(0.0, prepared.launch_seconds - out.seconds);
  out.seconds += out.launch_wait_seconds;
}

StepOutcome DeploymentCost::evaluate(const PreparedStep& prepared, std::int64_t decode_context, RandomStream& routing) const {
  StepOutcome out;
  add_attention(prepared, decode_context, out);
  if (experts_ && inputs_.routing == RoutingMode::kExact) {
    const int stages = inputs_.layout.pipeline;
    const int verified = inputs_.draft.drafts(prepared.decode_sequences) ? inputs_.draft.tokens + 1 : 1;
    const ExactExperts exact = tables(prepared.epoch).exact(share(prepared.decode_sequences * verified, stages), share(prepared.prefill_tokens, stages), routing);
    set_draw(exact.draw, 1.0, out);
    out.imbalance_seconds = std::max(0.0, exact.draw.experts_seconds + exact.draw.exchange_seconds - exact.draw.even_seconds);
    out.degraded_tokens = exact.degraded;
  } else if (experts_) {
    add_experts(prepared, static_cast<int>(routing.uniform() * ExpertTables::kDraws), out);
  }
  finish(prepared, out);
  return out;
}

StepOutcome DeploymentCost::expected(const PreparedStep& prepared, std::int64_t decode_context) const {
  StepOutcome out;
  add_attention(prepared, decode_context, out);
  if (experts_) add_experts(prepared, kMeanDraw, out);
  finish(prepared, out);
  return out;
}

double DeploymentCost::steady_decode(std::int32_t batch, double context) const {
  PreparedStep prepared;
  prepare(batch, {}, prepared);
  return expected(prepared, static_cast<std::int64_t>(context * batch)).seconds;
}

double DeploymentCost::lone_prefill(std::int32_t tokens, std::int32_t prefix) const {
  const PrefillChunk chunk{tokens, prefix, true};
  PreparedStep prepared;
  prepare(0, {&chunk, 1}, prepared);
  return expected(prepared, 0).seconds;
}

}  // namespace moeplan
