#include "study/plan_bounds.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "cost/cost_inputs.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// Requests looked at: bounds are those of a sample, which the simulated requests begin with.
constexpr std::uint64_t kMostProfiled = 1'000'000;

/// 1, 2, 3, 4, 6, 8, 12, ... up to and including `most`: neighbours differ by half at most.
std::vector<int> batch_ladder(int most) {
  std::vector<int> out;
  for (int n = 1; n < most; n *= 2) {
    out.push_back(n);
    if (n >= 2 && n + n / 2 < most) out.push_back(n + n / 2);
  }
  out.push_back(most);
  return out;
}

/// Seconds per token: with speculation a step makes its own and all drafted ones at best, and verifying them is not free.
double decode_seconds(const PlanReplica& replica, int batch, double context) {
  const auto& speculation = replica.config.features.speculation;
  const double most_tokens = 1.0 + (speculation ? static_cast<double>(speculation->config.acceptance.size()) : 0.0);
  return kBoundMargin * replica.cost.steady_decode(batch, std::max(1.0, context)) / most_tokens;
}

/// Seconds of a step of `tokens` prompt tokens without their attention, spread evenly over the copies of attention.
double prefill_seconds(const PlanReplica& replica, int tokens) {
  const int copies = std::min(tokens, replica.config.layout.attention_data);
  const std::vector<PrefillChunk> chunks(static_cast<std::size_t>(copies), PrefillChunk{tokens / copies, 0, false});
  PreparedStep prepared;
  replica.cost.prepare(0, chunks, prepared);
  const double attention = prepared.fixed_parts[static_cast<std::size_t>(StepPart::kAttention)];
  return kBoundMargin * (replica.cost.expected(prepared, 0).seconds - attention);
}

/// Most tokens a second over a ladder of batches, each taken at the time of the next smaller one.
template <class Seconds>
double best_rate(const std::vector<int>& ladder, Seconds seconds) {
  double best = 0;
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    const int next = i + 1 < ladder.size() ? ladder[i + 1] : ladder[i];
    best = std::max(best, next / seconds(ladder[i]));
  }
  return best;
}

/// First token of a lone prompt: its chunks one after another, and the latency of the engine that answers.
class LonePrompt {
 public:
  LonePrompt(const PlanReplica& replica, const SchedulerConfig& scheduler, Seconds latency) : replica_(replica), scheduler_(scheduler), latency_(latency) {}
  [[nodiscard]] double seconds(std::int32_t prompt) const {
    double sum = latency_.value();
    const std::int32_t chunk = scheduler_.chunked_prefill ? std::min(prompt, scheduler_.max_batch_tokens) : prompt;
    for (std::int32_t done = 0; done < prompt; done += chunk) {
      sum += kBoundMargin * replica_.cost.lone_prefill(std::min(chunk, prompt - done), done);
    }
    return sum;
  }

 private:
  const PlanReplica replica_;
  const SchedulerConfig scheduler_;
  Seconds latency_;
};

/// The prefill pool's replica as one that does everything.
PlanReplica prefill_of(const PlanReplica& replica) { return {replica.prefill->config, replica.prefill->memory, replica.prefill->cost}; }

ReplicaConfig serving_of(const PlanReplica& replica) { return cluster_config(replica.config, replica.memory, 1, RequestRouting::kRoundRobin).replica; }

/// First token of a lone prompt wherever it may be computed.
class FirstToken {
 public:
  explicit FirstToken(const PlanReplica& replica) : decode_(replica, serving_of(replica).scheduler, replica.config.engine.request_latency) {
    if (replica.prefill == nullptr) return;
    const PlanReplica prefill = prefill_of(replica);
    prefill_.emplace(prefill, serving_of(prefill).scheduler, replica.config.engine.request_latency);
    stay_below_ = replica.prefill->spec.stay_below_tokens;
  }
  [[nodiscard]] double seconds(std::int32_t prompt) const {
    if (!prefill_) return decode_.seconds(prompt);
    // What is known of a prompt may be its own part only: whether the whole stays is not.
    return stay_below_ > 0 ? std::min(prefill_->seconds(prompt), decode_.seconds(prompt)) : prefill_->seconds(prompt);
  }

 private:
  LonePrompt decode_;
  std::optional<LonePrompt> prefill_;
  std::int32_t stay_below_ = 0;
};

/// The statistic of values that rise with the sorted keys.
template <class Value>
double statistic_of(const LatencyStatistic& statistic, const std::vector<std::int32_t>& sorted, Value value) {
  if (sorted.empty()) return 0;
  const auto rank = [&](double q) {
    const auto n = static_cast<double>(sorted.size());
    return sorted[static_cast<std::size_t>(std::clamp(std::ceil(q * n) - 1, 0.0, n - 1))];
  };
  switch (statistic.kind) {
    case LatencyStatistic::Kind::kQuantile: return value(rank(statistic.quantile));
    case LatencyStatistic::Kind::kMax: return value(sorted.back());
    case LatencyStatistic::Kind::kMean: break;
  }
  // Deciles from below: each tenth is taken at its least.
  double sum = 0;
  for (int i = 0; i < 10; ++i) sum += value(sorted[static_cast<std::size_t>(i) * sorted.size() / 10]);
  return sum / 10;
}

double best_value(const Objective& o, const WorkloadProfile& profile, const FirstToken& first, double step, int stream_interval) {
  // A client that sees tokens n at a time has its first one n - 1 steps late, and its last one not.
  const auto tpot = [&](std::int32_t n) { return n > stream_interval ? step * (n - stream_interval) / (n - 1) : 0.0; };
  switch (o.statistic.metric) {
    case LatencyMetric::kTtft: return statistic_of(o.statistic, profile.prompts, [&](std::int32_t p) { return first.seconds(p); });
    case LatencyMetric::kTpot: return statistic_of(o.statistic, profile.outputs, tpot);
    case LatencyMetric::kE2e: return first.seconds(profile.shortest_prompt) + statistic_of(o.statistic, profile.outputs, [&](std::int32_t n) { return (n - 1) * step; });
    // With streaming in groups most gaps are zero; and a queue may be empty.
    case LatencyMetric::kItl:
    case LatencyMetric::kQueue: return 0;
  }
  MOEPLAN_CHECK(false);
  return 0;
}

/// A run is finite: what it leaves for its end need not be borne.
int at_least(double replicas) {
  constexpr double kDrained = 0.9;
  return std::max(1, static_cast<int>(std::ceil(replicas * kDrained)));
}

/// Replicas that the prompts keep busy in their best batches.
double for_prompts(const WorkloadProfile& profile, const PlanReplica& replica, const ReplicaConfig& serving) {
  const double rate = best_rate(batch_ladder(serving.scheduler.max_batch_tokens), [&](int c) { return prefill_seconds(replica, c); });
  return profile.requests_per_s * profile.mean_prompt / rate;
}

/// Fewest replicas whose best batches make the tokens that are asked for, and whose caches hold the prompts while they decode.
int fewest_replicas(const WorkloadProfile& profile, const PlanReplica& replica, const ReplicaConfig& serving, double shortest_step) {
  if (!(profile.requests_per_s > 0)) return 1;
  const double context = 0.5 * (profile.mean_prompt + 0.5 * profile.mean_output);
  const double decode = best_rate(batch_ladder(serving.scheduler.max_batch_requests), [&](int b) { return decode_seconds(replica, b, context); });
  double replicas = profile.requests_per_s * (profile.mean_output - 1) / decode;
  if (replica.prefill == nullptr) replicas = std::max(replicas, for_prompts(profile, replica, serving));
  const KvLayout& layout = serving.kv_layout;
  const bool plain = layout.window_blocks == KvLayout::kNoWindow && layout.sequence_state.value() == 0 && layout.block.value() > 0;
  if (plain) {
    const double tokens = serving.kv_capacity.as_double() / layout.block.as_double() * layout.block_tokens;
    replicas = std::max(replicas, profile.requests_per_s * (profile.mean_output - 1) * shortest_step * profile.shortest_prompt / tokens);
  }
  return at_least(replicas);
}

/// Prompts that stay where they decode need no prefill replica.
int fewest_prefill(const WorkloadProfile& profile, const PlanReplica& replica) {
  if (!(profile.requests_per_s > 0) || replica.prefill->spec.stay_below_tokens > 0) return 1;
  const PlanReplica prefill = prefill_of(replica);
  return at_least(for_prompts(profile, prefill, serving_of(prefill)));
}

/// Prompt tokens of a request that no cache can spare: all but what it may share with others. `cached`: there is one.
std::int32_t own_tokens(const RequestSpec& spec, bool cached) {
  if (!cached) return spec.prompt_tokens;
  if (spec.session_id >= 0 || !spec.trace_blocks.empty()) return 1;
  return spec.prefix_id >= 0 ? std::max(1, spec.prompt_tokens - spec.prefix_tokens) : spec.prompt_tokens;
}

}  // namespace

WorkloadProfile profile_workload(const PlanQuestion& question) {
  const auto source = make_request_source(question.workload, question.seed);
  WorkloadProfile profile;
  const std::uint64_t first = question.workload.arrivals.process == ArrivalProcess::kBatch ? 0 : question.workload.warmup_requests;
  double last = 0;
  double prompts = 0;
  double outputs = 0;
  std::uint64_t count = 0;
  profile.shortest_prompt = kMaxTokens;
  for (; count < kMostProfiled; ++count) {
    const auto spec = source->next();
    if (!spec) break;
    if (source->closed()) {
      source->on_arrived(spec->id);
      source->on_finished(spec->id, spec->arrival);
    }
    const std::int32_t prompt = own_tokens(*spec, question.workload.arrivals.prompt_blocks);
    last = to_seconds(spec->arrival).value();
    prompts += prompt;
    outputs += spec->output_tokens;
    profile.shortest_prompt = std::min(profile.shortest_prompt, prompt);
    if (spec->id < first) continue;
    profile.prompts.push_back(prompt);
    profile.outputs.push_back(spec->output_tokens);
  }
  std::sort(profile.prompts.begin(), profile.prompts.end());
  std::sort(profile.outputs.begin(), profile.outputs.end());
  profile.mean_prompt = prompts / static_cast<double>(count);
  profile.mean_output = outputs / static_cast<double>(count);
  const bool open = !source->closed() && question.workload.arrivals.process != ArrivalProcess::kBatch;
  if (open && last > 0) profile.requests_per_s = static_cast<double>(count) / last;
  for (const Objective& o : question.objectives) {
    if (o.kind == ObjectiveKind::kLatency) continue;
    const double rate = o.kind == ObjectiveKind::kOutputTokensPerSecond ? o.bound / profile.mean_output : o.bound;
    if (!open) profile.requests_per_s = std::max(profile.requests_per_s, rate);
  }
  return profile;
}

PlanBounds bound_plan(const PlanQuestion& question, const WorkloadProfile& profile, const PlanReplica& replica) {
  const ReplicaConfig serving = serving_of(replica);
  PlanBounds bounds;
  const double context = profile.shortest_prompt;
  bounds.decode_step_s = decode_seconds(replica, 1, context);
  for (const int batch : batch_ladder(serving.scheduler.max_batch_requests)) {
    bounds.decode_step_s = std::min(bounds.decode_step_s, decode_seconds(replica, batch, context));
  }
  const FirstToken first(replica);
  for (const Objective& o : question.objectives) {
    // Which requests are of a class is not looked at.
    const bool bounded = o.kind == ObjectiveKind::kLatency && o.workload_class.empty();
    bounds.objectives.push_back(bounded ? best_value(o, profile, first, bounds.decode_step_s, serving.stream_interval) : 0);
    if (!bounded || bounds.objectives.back() <= o.bound || !bounds.failing.empty()) continue;
    bounds.failing = o.key;
    bounds.miss = bounds.objectives.back() / o.bound;
    bounds.problem = fmt::format("{} is at least {} however many replicas there are; the objective is {}", o.key,
                                 objective_value_text(o, bounds.objectives.back()), objective_value_text(o, o.bound));
  }
  if (!bounds.failing.empty()) return bounds;
  bounds.replicas = fewest_replicas(profile, replica, serving, bounds.decode_step_s);
  if (replica.prefill != nullptr) bounds.prefill = fewest_prefill(profile, replica);
  return bounds;
}

}  // namespace moeplan
