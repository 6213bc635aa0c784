#include "study/run_result.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "study/expert_summary.hpp"
#include "study/latency_summary.hpp"
#include "study/network_summary.hpp"
#include "study/scenario_fleet.hpp"
#include "study/steady_load.hpp"

namespace moeplan {

namespace {

std::vector<LatencyLimit> latency_limits(const std::vector<Objective>& objectives) {
  std::vector<LatencyLimit> limits;
  for (const Objective& o : objectives) {
    if (o.kind == ObjectiveKind::kLatency) limits.push_back({o.statistic.metric, o.bound});
  }
  return limits;
}

StepSummary summarise(const StepKind& kind) {
  StepSummary s;
  s.steps = kind.steps;
  s.mean_s = kind.mean_seconds();
  for (int i = 0; i < kStepParts; ++i) s.share[static_cast<std::size_t>(i)] = kind.share(static_cast<StepPart>(i));
  return s;
}

ThroughputSummary summarise(const Throughput& t, double gpus) {
  ThroughputSummary s;
  s.requests_per_s = t.requests_per_s;
  s.output_tokens_per_s = t.output_tokens_per_s;
  s.total_tokens_per_s = t.total_tokens_per_s;
  s.output_tokens_per_s_per_gpu = t.output_tokens_per_s / gpus;
  s.offered_per_s = t.offered_per_s;
  s.saturated = t.saturated();
  s.too_short = t.shorter_than(1);
  return s;
}

std::optional<PrefixCacheSummary> summarise(const KvReuseMetrics& seen, const Deployment& deployment) {
  if (!seen.any()) return std::nullopt;
  PrefixCacheSummary s;
  s.total = seen.total();
  s.block_tokens = deployment.memory().plan.kv_layout.block_tokens;
  s.lowest_hit_rate = seen.lowest();
  s.highest_hit_rate = seen.highest();
  s.tiers = deployment.config().features.kv_tiers.has_value();
  return s;
}

ObjectiveResult judge(const Objective& objective, const Observers& seen, const ThroughputSummary& t, const ServedRates& served) {
  ObjectiveResult result{objective, std::nullopt, false};
  if (objective.kind == ObjectiveKind::kLatency) {
    if (seen.latency.of(objective.statistic.metric).count() == 0) return result;
    result.value = seen.latency.value(objective.statistic);
    result.met = *result.value <= objective.bound && !t.saturated;
    return result;
  }
  result.value = throughput_value(objective.kind, served, t, seen.goodput.requests_per_s(t.requests_per_s));
  result.met = *result.value >= objective.bound;
  return result;
}

/// What cost and objectives of throughput are taken at. Where capacity `changes` in the run, that is what was measured.
ServedRates served_in(const Scenario& scenario, const ThroughputSummary& t, bool all_served, bool changes) {
  const bool asked = std::any_of(scenario.objectives.begin(), scenario.objectives.end(), [](const Objective& o) { return o.kind != ObjectiveKind::kLatency; });
  const bool priced = scenario.cost.rental_usd_per_gpu_hour || scenario.cost.owned;
  const MeanLengths lengths = changes || !(asked || priced) ? MeanLengths{} : long_run_lengths(scenario.workload, scenario.seed);
  return served_rates(scenario.workload, lengths, t, all_served && !changes);
}

/// Share of the engine's time that prompts take: steps of prompts alone, and what mixed steps take beyond decoding the same sequences.
double prompt_time_share(const Deployment& deployment, const StepMetrics& steps) {
  const double all = steps.decode().seconds + steps.prefill().seconds;
  if (!(all > 0)) return 0;
  const MixedSteps& mixed = steps.mixed();
  const double alone = steps.prefill().seconds - mixed.seconds;
  if (mixed.steps == 0) return alone / all;
  const double sequences = mixed.decode_sequences / static_cast<double>(mixed.steps);
  const double context = mixed.decode_context / mixed.decode_sequences;
  const double decoding = deployment.cost().steady_decode(static_cast<std::int32_t>(std::lround(sequences)), context);
  return (alone + std::max(0.0, mixed.seconds - static_cast<double>(mixed.steps) * decoding)) / all;
}

std::optional<CostSummary> price(const Scenario& scenario, const Deployment& deployment, const StepMetrics& steps, const ServedRates& served,
                                 const std::optional<FleetSummary>& fleet) {
  CostDemand demand{scenario.gpus(), scenario.spare_gpus, steps.mean_utilisation()};
  demand.part_of_nodes = fleet.has_value();
  if (fleet && fleet->autoscaled) {
    demand.busy = fleet->busy;
    demand.held = fleet->held_share();
  }
  const ServedLoad load{served.requests, served.input_tokens, served.output_tokens, prompt_time_share(deployment, steps)};
  const auto& pools = scenario.disaggregation;
  if (!pools || !pools->cost) return summarise_cost(scenario.cost, scenario.deployment.cluster, demand, load, deployment.memory().parameters);
  const CostBeside prefill{*pools->cost, pools->prefill.cluster, {pools->prefill_replicas * pools->prefill.layout.gpus(), pools->spare_gpus, demand.busy}};
  demand.gpus -= prefill.demand.gpus;
  demand.spare_gpus -= prefill.demand.spare_gpus;
  return summarise_cost(scenario.cost, scenario.deployment.cluster, demand, load, deployment.memory().parameters, &prefill);
}

/// That a checkpoint is taken for granted which the publisher's rules out: experts released in four bits, served in eight. Empty: nothing of the kind.
std::string assumed_checkpoint(const DeploymentConfig& d) {
  const auto eight = [](Precision p) { return p == Precision::kFp8 || p == Precision::kFp8Block || p == Precision::kInt8; };
  const auto four = [](Precision p) { return p == Precision::kMxfp4 || p == Precision::kNvfp4 || p == Precision::kInt4; };
  const NativePrecision& native = d.model.native;
  // Eight bits elsewhere in the release: then fp8_checkpoint is the publisher's.
  if (!d.model.is_moe() || !four(native.experts) || eight(native.weights) || !eight(d.precision.experts)) return {};
  return fmt::format("{} experts are assumed: {} is released with {} experts, and what is converted from them is larger and no better", to_string(d.precision.experts), d.model.name,
                     to_string(native.experts));
}

void add_warnings(const Scenario& scenario, const Observers& seen, Result& result) {
  const Throughput& t = seen.throughput.result();
  if (t.saturated()) {
    std::string sign(to_string(t.saturation));
    std::replace(sign.begin(), sign.end(), '_', ' ');
    result.warnings.push_back(fmt::format("saturated ({}): more load is offered than served", sign));
  }
  if (const std::string assumed = assumed_checkpoint(scenario.deployment); !assumed.empty()) result.warnings.push_back(assumed);
  if (scenario.deployment.features.prefix_cache && !caches_prefixes(result.memory.plan.kv_layout)) {
    result.warnings.push_back("the prefix cache is off: this model has windowed or constant-state layers, whose blocks no other prompt can use");
  }
  const auto full = result.requests.rejected_by[static_cast<std::size_t>(RejectReason::kQueueFull)];
  if (full > 0) result.warnings.push_back(fmt::format("{} requests were rejected because the queue was full{}; latencies are of those served", full,
                                          result.requests.rejected_usd ? fmt::format(" (serving all rejected ones would have cost {:.2f} USD)", *result.requests.rejected_usd) : ""));
  if (result.requests.turned_away > 0) {
    result.warnings.push_back(fmt::format("{} attempts found the queue full and were made again (retry_after); latencies count from a request's first attempt",
                                          result.requests.turned_away));
  }
  if (result.speculation && result.speculation->verified > 0 && result.speculation->drafted == 0) {
    result.warnings.push_back(fmt::format("nothing was drafted: more than {} sequences decoded in every step (speculation.most_sequences)",
                                          scenario.deployment.features.speculation->config.most_sequences));
  }
  if (t.shorter_than(1) && !t.saturated()) {
    result.warnings.push_back("the measured window is shorter than one mean end-to-end latency: throughput is that of the measured requests to their last token, as of a batch; raise `requests`");
  } else if (t.shorter_than(3) && !t.saturated()) {
    result.warnings.push_back("the measured window is shorter than three mean end-to-end latencies; raise `requests`");
  } else if (t.saturation == Saturation::kBacklogGrows && t.window_services.value_or(0) < 3) {
    result.warnings.push_back("the run is too short to tell an overloaded deployment from one that is filling up; raise `requests`");
  }
  const double transferred = result.origin_share[static_cast<std::size_t>(Origin::kTransferred)];
  const double extrapolated = result.origin_share[static_cast<std::size_t>(Origin::kExtrapolated)];
  if (scenario.deployment.cost_profile.empty()) {
    result.warnings.push_back("no measured kernels of this GPU: step times rest on datasheet peaks and generic achievable fractions");
  }
  if (extrapolated > 0.05) result.warnings.push_back(fmt::format("{:.0f} % of the kernel time lies outside the measured shapes", extrapolated * 100));
  if (transferred > 0.05) result.warnings.push_back(fmt::format("{:.0f} % of the kernel time is transferred from other kernels or GPUs", transferred * 100));
}

}  // namespace

int all_replicas(const Scenario& scenario) { return scenario.places() + (scenario.disaggregation ? scenario.disaggregation->prefill_replicas : 0); }

Observers::Observers(const Scenario& scenario, const Deployment& deployment, const MeasuredRequests& measured, const SharedLinks& links)
    : latency(measured), throughput(measured),
      steps(all_replicas(scenario), deployment.kv_room()),
      goodput(measured, latency_limits(scenario.objectives)), network(links.groups()) {
  if (!scenario.disaggregation) list.add(network, ObserverList::kSteps);
  list.add(latency, ObserverList::kRequests | ObserverList::kTokens);
  list.add(throughput, ObserverList::kRequests | ObserverList::kTokens);
  list.add(steps, ObserverList::kSteps);
  list.add(counter, ObserverList::kRequests);
  list.add(goodput, ObserverList::kRequests);
  list.add(kv_reuse, 0);
  list.add(speculation, 0);
}

std::vector<ClassSummary> summarise(const Scenario& scenario, const ClassMetrics& seen) {
  std::vector<ClassSummary> out;
  for (std::size_t i = 0; i < seen.classes().size(); ++i) {
    const ClassMetrics::Class& c = seen.classes()[i];
    ClassSummary s;
    s.name = scenario.workload.classes[i].name;
    s.arrived = c.arrived;
    s.completed = c.completed;
    if (c.completed > 0) {
      s.mean_prompt_tokens = static_cast<double>(c.prompt_tokens) / static_cast<double>(c.completed);
      s.mean_output_tokens = static_cast<double>(c.output_tokens) / static_cast<double>(c.completed);
    }
    s.rejected = c.rejected;
    s.preempted = c.preemptions;
    for (const LatencyMetric metric : kLatencyMetrics) s.latency[static_cast<std::size_t>(metric)] = summarise(c.latency.of(metric));
    const auto objectives = scenario.class_objectives.find(s.name);
    if (objectives != scenario.class_objectives.end()) {
      for (const Objective& o : objectives->second) {
        ObjectiveResult result{o, std::nullopt, false};
        if (c.latency.of(o.statistic.metric).count() > 0) {
          result.value = c.latency.value(o.statistic);
          result.met = *result.value <= o.bound;
        }
        s.objectives.push_back(std::move(result));
      }
    }
    out.push_back(std::move(s));
  }
  return out;
}

Result collect(const Scenario& scenario, const Deployment& deployment, const SharedLinks& links, const Observers& seen, const CountingSource& source,
               const FleetMetrics* fleet) {
  Result result;
  result.memory = deployment.memory();
  result.latency.emplace();
  for (const LatencyMetric metric : kLatencyMetrics) {
    (*result.latency)[static_cast<std::size_t>(metric)] = summarise(seen.latency.of(metric));
  }
  const RequestCounts counts = seen.counter.counts(source.issued());
  if (fleet != nullptr) result.fleet = summarise_fleet(scenario, *fleet, counts.retries, counts.failed, seen.steps.mean_utilisation());
  result.throughput = summarise(seen.throughput.result(), scenario.gpus() * (result.fleet ? result.fleet->held_share() : 1.0));
  result.decode_step = summarise(seen.steps.decode());
  result.prefill_step = summarise(seen.steps.prefill());
  result.origin_share = seen.steps.origin_shares();
  if (scenario.deployment.model.is_moe() && seen.steps.steps() > 0) {
    const LogHistogram& hottest = seen.steps.hottest_over_mean();
    result.experts = describe_experts(deployment);
    ExpertSummary& experts = *result.experts;
    experts.hottest_over_mean_mean = hottest.mean();
    experts.hottest_over_mean_p50 = hottest.quantile(0.5);
    experts.hottest_over_mean_p99 = hottest.quantile(0.99);
    experts.distinct_experts_mean = seen.steps.mean_distinct_experts();
    experts.imbalance_share = seen.steps.imbalance_share();
    if (scenario.deployment.routing.capacity_factor > 0) experts.dropped_token_share = seen.steps.degraded_token_share();
    if (scenario.deployment.placement.rebalance.on()) experts.rebalances = seen.steps.rebalances();
    experts.rebalance_stall_s = seen.steps.stall_seconds();
  }
  result.requests = {counts.arrived,   counts.completed,   counts.rejected(),
                     counts.preempted, counts.in_flight,   counts.failed,
                     counts.retries,   counts.turned_away, counts.rejected_by,
                     counts.rejected_prompt_tokens, counts.rejected_output_tokens};
  result.prefix_cache = summarise(seen.kv_reuse, deployment);
  if (seen.speculation.any()) result.speculation = seen.speculation.total();
  const bool changes = scenario.failures || (result.fleet && result.fleet->autoscaled);
  const ServedRates served = served_in(scenario, *result.throughput, result.requests.rejected == 0, changes);
  for (const Objective& o : scenario.objectives) result.objectives.push_back(judge(o, seen, *result.throughput, served));
  result.cost = price(scenario, deployment, seen.steps, served, result.fleet);
  // Flat out: what is served is what the GPUs bear.
  const bool flat_out = result.throughput->saturated || scenario.workload.arrivals.process == ArrivalProcess::kBatch;
  if (result.cost && flat_out && served.requests > 0) know_largest_load({served.requests}, *result.cost);
  if (result.requests.rejected > 0 && result.cost && result.cost->usd_per_million_total_tokens) {
    const auto tokens = static_cast<double>(result.requests.rejected_prompt_tokens + result.requests.rejected_output_tokens);
    result.requests.rejected_usd = tokens * *result.cost->usd_per_million_total_tokens / 1e6;
  }
  if (!scenario.disaggregation) result.network = summarise_network(scenario, links, seen.network);
  if (!scenario.disaggregation) result.offload = summarise_offload(scenario, seen.network);
  result.mean_batch = seen.steps.mean_running();
  result.utilisation = result.fleet ? result.fleet->busy : seen.steps.mean_utilisation();
  result.kv_utilisation = seen.steps.mean_kv_utilisation();
  result.warnings = scenario.warnings;
  add_warnings(scenario, seen, result);
  return result;
}

}  // namespace moeplan
