#include "cost/deployment_cost.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr unsigned kTokenBits = 3;    ///< eight token counts per octave
constexpr unsigned kContextBits = 2;  ///< four contexts per octave
constexpr double kLargestTokens = 1 << 18;
constexpr double kLargestContext = 1 << 24;
constexpr int kMostCopies = 256;
// A batch is cut in two only when each half still fills the machine: vLLM's defaults for its dual batch overlap, decode and prefill.
constexpr double kTwoBatchDecode = 32;
constexpr double kTwoBatchPrefill = 512;

/// Slowest stage over the mean stage: layers are whole.
double stage_imbalance(const CostInputs& in) {
  const int layers = in.model.layer_count();
  const int stages = in.layout.pipeline;
  MOEPLAN_CHECK(layers > 0 && stages > 0);
  return static_cast<double>(share(layers, stages)) * stages / layers;
}

/// Host time that launches the layers of a step outside CUDA graphs, every stage its own.
double launch_seconds(const CostInputs& in) {
  double seconds = 0;
  for (const LayerGroup& group : in.model.layers) {
    if (group.attention.kind == AttentionKind::kMla) seconds += group.count * in.engine.launches_per_latent_layer.value();
  }
  return seconds;
}

}  // namespace

DeploymentCost::DeploymentCost(CostInputs inputs)
    : inputs_(std::move(inputs)),
      layer_scale_(stage_imbalance(inputs_)),
      launch_seconds_(launch_seconds(inputs_)),
      kernels_((MOEPLAN_CHECK(inputs_.kernels != nullptr), *inputs_.kernels), inputs_.gpu, inputs_.engine),
      comm_(inputs_),
      layers_(inputs_, kernels_, comm_, layer_scale_),
      attention_(inputs_, kernels_, layer_scale_),
      later_experts_(inputs_.epochs != nullptr && inputs_.epochs->changes() ? kMostEpochs : 0),
      token_grid_(kTokenBits, kLargestTokens),
      context_grid_(kContextBits, kLargestContext),
      prefill_floor_(attention_.prefill(1, 0)),
      layer_rows_{LazyRows<Tally>(token_grid_.nodes()), LazyRows<Tally>(token_grid_.nodes())},
      head_rows_{LazyRows<Tally>(token_grid_.nodes()), LazyRows<Tally>(token_grid_.nodes())},
      extra_rows_{LazyRows<Tally>(token_grid_.nodes()), LazyRows<Tally>(token_grid_.nodes())},
      decode_attention_(std::size_t{token_grid_.nodes()} * context_grid_.nodes()),
      prefill_attention_(std::size_t{token_grid_.nodes()} * context_grid_.nodes()) {
  MOEPLAN_CHECK(inputs_.layout.attention_data >= 1 && inputs_.layout.attention_data <= kMostCopies);
  MOEPLAN_CHECK(inputs_.layout.expert >= 1 && inputs_.layout.gpus_per_stage() % inputs_.layout.expert == 0);
  if (inputs_.model.is_moe() && !inputs_.model.moe()->soft_routing) {
    expert_layer_ = std::make_unique<ExpertLayer>(inputs_, kernels_, comm_);
    if (inputs_.offload) offload_ = std::make_unique<ExpertOffload>(inputs_);
    experts_ = std::make_unique<ExpertTables>(inputs_, *expert_layer_, layer_scale_, offload_.get());
  }
}

KernelTime DeploymentCost::prefill_node(std::uint32_t tokens, std::uint32_t prefix) const {
  const std::size_t node = std::size_t{tokens} * context_grid_.nodes() + prefix;
  return prefill_attention_.at(node, [&] {
    if (tokens == 0) return prefill_floor_;
    return attention_.prefill(token_grid_.value(tokens), context_grid_.value(prefix));
  });
}

KernelTime DeploymentCost::decode_node(std::uint32_t sequences, std::uint32_t context) const {
  const std::size_t node = std::size_t{sequences} * context_grid_.nodes() + context;
  return decode_attention_.at(node, [&] {
    if (sequences == 0) return KernelTime{0, Origin::kMeasured};
    return attention_.decode(token_grid_.value(sequences), std::max(1.0, context_grid_.value(context)));
  });
}

void DeploymentCost::add_chunk(const PrefillChunk& chunk, RankPrefill& to) const {
  const OctaveGrid::Position q = token_grid_.find(chunk.tokens);
  const OctaveGrid::Position c = context_grid_.find(chunk.prefix);
  const auto over_prefix = [&](std::uint32_t tokens) {
    const KernelTime low = prefill_node(tokens, c.index);
    if (c.blend == 0) return low;
    return low * (1.0 - c.blend) + prefill_node(tokens, c.index + 1) * c.blend;
  };
  KernelTime time = over_prefix(q.index);
  if (q.blend > 0) time = time * (1.0 - q.blend) + over_prefix(q.index + 1) * q.blend;
  // All chunks of a step share one launch per layer.
  to.attention += std::max(0.0, time.seconds - prefill_floor_.seconds);
  to.origin = std::max(to.origin, time.origin);
  to.tokens += chunk.tokens;
  to.chunks += 1;
  to.samples += chunk.samples ? 1 : 0;
}

DeploymentCost::RankPrefill DeploymentCost::busiest_prefill(std::span<const PrefillChunk> prefill) const {
  const int copies = inputs_.layout.attention_data;
  if (copies == 1 || prefill.size() == 1) {
    RankPrefill all;
    for (const PrefillChunk& chunk : prefill) add_chunk(chunk, all);
    return all;
  }
  std::array<RankPrefill, kMostCopies> ranks;
  const auto used = std::min<std::size_t>(prefill.size(), static_cast<std::size_t>(copies));
  const auto fewer = [](const RankPrefill& a, const RankPrefill& b) { return a.tokens < b.tokens; };
  for (const PrefillChunk& chunk : prefill)
    add_chunk(chunk, *std::min_element(ranks.begin(), ranks.begin() + static_cast<long>(used), fewer));
  return *std::max_element(ranks.begin(), ranks.begin() + static_cast<long>(used), fewer);
}

void DeploymentCost::add_layers(double tokens, KernelPhase phase, Tally& to) const {
  const LazyRows<Tally>& rows = layer_rows_[static_cast<std::size_t>(phase)];
  const OctaveGrid::Position at = token_grid_.find(tokens);
  const auto build = [&](std::uint32_t node) { return [this, node, phase] { return layers_.layers(token_grid_.value(node), phase); }; };
  to.add(rows.at(at.index, build(at.index)), 1.0 - at.blend);
  if (at.blend != 0) to.add(rows.at(at.index + 1, build(at.index + 1)), at.blend);
}

void DeploymentCost::add_head(double rows_sampled, KernelPhase phase, Tally& to) const {
  const LazyRows<Tally>& rows = head_rows_[static_cast<std::size_t>(phase)];
  const OctaveGrid::Position at = token_grid_.find(rows_sampled);
  const auto build = [&](std::uint32_t node) { return [this, node, phase] { return layers_.head(token_grid_.value(node), phase); }; };
  to.add(rows.at(at.index, build(at.index)), 1.0 - at.blend);
  if (at.blend != 0) to.add(rows.at(at.index + 1, build(at.index + 1)), at.blend);
}

void DeploymentCost::add_extras(double sequences, double prefill_tokens, Tally& to) const {
  const auto add = [&](const LazyRows<Tally>& rows, double x, auto&& cost) {
    const OctaveGrid::Position at = token_grid_.find(x);
    to.add(rows.at(at.index, [&] { return cost(token_grid_.value(at.index)); }), 1.0 - at.blend);
    if (at.blend != 0) to.add(rows.at(at.index + 1, [&] { return cost(token_grid_.value(at.index + 1)); }), at.blend);
  };
  if (sequences > 0) add(extra_rows_[0], sequences, [this](double x) { return attention_.decode_extras(x); });
  if (prefill_tokens > 0) add(extra_rows_[1], prefill_tokens, [this](double x) { return attention_.prefill_extras(x); });
}

DeploymentCost::Cut DeploymentCost::cut_of(std::int32_t decode_sequences, const RankPrefill& rank) const {
  Cut cut;
  const ParallelLayout& layout = inputs_.layout;
  if (layout.pipeline > 1) cut.prefill_parts = std::clamp(rank.chunks, 1.0, static_cast<double>(layout.pipeline));
  const bool travels = experts_ && layout.attention_data > 1;
  const double sequences = share(decode_sequences, layout.attention_data * layout.pipeline);
  const bool filled = rank.tokens > 0 ? rank.tokens / cut.prefill_parts >= kTwoBatchPrefill : sequences >= kTwoBatchDecode;
  if (inputs_.engine.overlap.two_batch && travels && filled) cut.halves = 2;
  return cut;
}

void DeploymentCost::add_overlap(const Tally& tally, int halves, PreparedStep& out) const {
  if (!experts_ || inputs_.layout.attention_data == 1) return;
  if (halves > 1) {
    // The first half of the first layer and the second half of the last have nobody to hide behind.
    out.hidden_at_most = 1.0 - 0.5 / std::max(1, inputs_.model.moe_layer_count());
    for (const StepPart part : {StepPart::kDenseGemm, StepPart::kAttention, StepPart::kRouter, StepPart::kElementwise}) {
      out.may_hide_seconds += tally.parts[static_cast<std::size_t>(part)];
    }
    out.routed_may_hide = true;
  } else if (inputs_.engine.overlap.shared_expert) {
    out.hidden_at_most = 1.0;
    out.may_hide_seconds = tally.shared_experts;
  }
}

// One pass per drafted token: an average layer, its experts at the mean of the draws, and the head; or a step of the drafting model.
void DeploymentCost::add_drafts(std::int32_t decode_sequences, double micro_sequences, PreparedStep& out, Tally& to) const {
  const DraftCost& draft = inputs_.draft;
  if (draft.model != nullptr) {
    PreparedStep step;
    draft.model->prepare(decode_sequences, {}, step);
    const StepOutcome one = draft.model->expected(step, static_cast<std::int64_t>(draft.model_context * decode_sequences));
    step.fixed_parts[static_cast<std::size_t>(StepPart::kHost)] = 0;  // the engine schedules once
    for (std::size_t i = 0; i < to.parts.size(); ++i) to.parts[i] += draft.tokens * step.fixed_parts[i];
    for (std::size_t i = 0; i < to.origins.size(); ++i) to.origins[i] += draft.tokens * step.fixed_origins[i];
    to.add(StepPart::kAttention, KernelTime{one.attention_seconds, one.attention_origin}, draft.tokens);
    to.add(StepPart::kExperts, KernelTime{one.experts_seconds, one.experts_origin}, draft.tokens);
    to.add(StepPart::kAllToAll, KernelTime{one.all_to_all_seconds, one.experts_origin}, draft.tokens);
    return;
  }
  const double share = draft.tokens * draft.layers / inputs_.model.layer_count();
  Tally layers;
  add_layers(micro_sequences, KernelPhase::kDecode, layers);
  to.add(layers, share);
  Tally head;
  add_head(micro_sequences, KernelPhase::kDecode, head);
  to.add(head, draft.tokens);
  out.attention[1] = share;
  if (!experts_) return;
  const ExpertTables::Point& point = experts_->point(RoutingPhase::kDecode, experts_->find(decode_sequences).index);
  to.add(StepPart::kExperts, KernelTime{point.mean.experts_seconds, point.origin}, share);
  to.add(StepPart::kAllToAll, KernelTime{point.mean.exchange_seconds, point.origin}, share);
}

void DeploymentCost::prepare(std::int32_t decode_sequences, std::span<const PrefillChunk> prefill, PreparedStep& out) const {
  MOEPLAN_CHECK(decode_sequences >= 0);
  out = PreparedStep{};
  const int stages = inputs_.layout.pipeline;
  std::int64_t prefill_tokens = 0;
  for (const PrefillChunk& chunk : prefill) prefill_tokens += chunk.tokens;
  const KernelPhase phase = prefill_tokens > 0 ? KernelPhase::kPrefill : KernelPhase::kDecode;
  RankPrefill rank;
  if (prefill_tokens > 0) rank = busiest_prefill(prefill);
  const Cut cut = cut_of(decode_sequences, rank);
  const int micro_sequences = share(decode_sequences, inputs_.layout.attention_data * stages);
  const int half_sequences = share(micro_sequences, cut.halves);
  const double part_share = 1.0 / cut.prefill_parts;
  // A verification computes all drafted tokens and one more.
  const bool drafts = inputs_.draft.drafts(decode_sequences);
  const int verified = drafts ? inputs_.draft.tokens + 1 : 1;

  Tally tally;
  if (prefill_tokens > 0) {
    tally.add(StepPart::kAttention, KernelTime{prefill_floor_.seconds + rank.attention * part_share, std::max(rank.origin, prefill_floor_.origin)});
  }
  const double micro_prefill = rank.tokens > 0 ? std::max(1.0, rank.tokens * part_share / cut.halves) : 0.0;
  Tally half;
  add_layers(half_sequences * verified + micro_prefill, phase, half);
  if (attention_.has_extras()) add_extras(half_sequences * verified, micro_prefill, half);
  tally.add(half, cut.halves);
  if (const double rows = micro_sequences * verified + rank.samples * part_share; rows > 0) add_head(rows, phase, tally);
  if (cut.prefill_parts < stages && rank.tokens > 0) {
    // What the same step would take if its prompts could be spread over all stages; the rest is waiting.
    Tally even;
    add_layers(half_sequences * verified + std::max(1.0, rank.tokens / stages / cut.halves), phase, even);
    const double layers_share = half.total() > 0 ? even.total() / half.total() : 1.0;
    double waiting = 0;
    for (const StepPart part : {StepPart::kDenseGemm, StepPart::kAttention, StepPart::kRouter, StepPart::kElementwise}) {
      double& seconds = tally.parts[static_cast<std::size_t>(part)];
      waiting += seconds * (1.0 - layers_share);
      seconds *= layers_share;
    }
    tally.parts[static_cast<std::size_t>(StepPart::kPipeline)] += waiting;
  }
  if (drafts) add_drafts(decode_sequences, micro_sequences, out, tally);

  out.decode_sequences = decode_sequences;
  out.prefill_tokens = static_cast<std::int32_t>(prefill_tokens);
  out.pure_decode = prefill_tokens == 0;
  out.passes = cut.halves;
  out.fixed_origins = tally.origins;
  out.fixed_traffic = tally.traffic;
  add_overlap(tally, cut.halves, out);
  const EngineProfile& engine = inputs_.engine;
  const double running = share(decode_sequences, inputs_.layout.attention_data) + rank.chunks;
  const double across = inputs_.layout.gpus() > 1 ? 0.0 : engine.host_per_sequence_across.value();
  const double per_sequence = std::max(0.0, engine.host_per_sequence.value() - across);
  tally.parts[static_cast<std::size_t>(StepPart::kHost)] += engine.host_per_step.value() + per_sequence * running +
                                                            engine.host_per_prompt.value() * rank.samples +
                                                            engine.host_per_layer.value() * inputs_.model.layer_count();
  if (prefill_tokens > 0) out.launch_seconds = launch_seconds_ * cut.halves;
  out.fixed_parts = tally.parts;
  out.fixed_seconds = tally.total();

  if (decode_sequences > 0) {
    const OctaveGrid::Position at = token_grid_.find(half_sequences);
    out.table_index[0] = at.index;
    out.table_blend[0] = at.blend;
    out.attention[0] = 1.0 / decode_sequences;
  }
  if (experts_) {
    // One attention copy's stage share of the tokens, all copies together: what enters the experts at once.
    const double micro_tokens = static_cast<double>(share(share(decode_sequences * verified, stages), cut.halves)) +
                                (prefill_tokens > 0 ? std::max(1.0, static_cast<double>(prefill_tokens) * part_share / cut.halves) : 0.0);
    const OctaveGrid::Position at = experts_->find(micro_tokens);
    out.table_index[1] = at.index;
    out.table_blend[1] = at.blend;
    out.table_blend[2] =
        static_cast<double>(prefill_tokens) / static_cast<double>(std::max<std::int64_t>(1, std::int64_t{decode_sequences} * verified + prefill_tokens));
  }
}

}  // namespace moeplan
