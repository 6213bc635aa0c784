#include "study/simulation.hpp"

#include <fmt/core.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <memory>

#include "metrics/class_metrics.hpp"
#include "metrics/fleet_metrics.hpp"
#include "metrics/goodput_metrics.hpp"
#include "metrics/kv_reuse_metrics.hpp"
#include "metrics/latency_metrics.hpp"
#include "metrics/network_metrics.hpp"
#include "metrics/observer_list.hpp"
#include "metrics/request_counts.hpp"
#include "metrics/request_log.hpp"
#include "metrics/speculation_metrics.hpp"
#include "metrics/step_metrics.hpp"
#include "metrics/throughput_metrics.hpp"
#include "metrics/timeline.hpp"
#include "study/deployment.hpp"
#include "study/expert_summary.hpp"
#include "study/latency_summary.hpp"
#include "study/network_summary.hpp"
#include "study/pools.hpp"
#include "study/routing_text.hpp"
#include "study/scenario_fleet.hpp"
#include "study/shared_links.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// Reports progress by arrivals, a few hundred times a run.
class ProgressObserver final : public Observer {
 public:
  ProgressObserver(std::uint64_t total, std::function<void(double)> report)
      : total_(total), every_(std::max<std::uint64_t>(1, total / 256)), report_(std::move(report)) {}
  void on_arrival(const RequestSpec& spec) override {
    if (spec.id % every_ == 0) report_(static_cast<double>(spec.id) / static_cast<double>(total_));
  }

 private:
  std::uint64_t total_;
  std::uint64_t every_;
  std::function<void(double)> report_;
};

std::vector<LatencyLimit> latency_limits(const std::vector<Objective>& objectives) {
  std::vector<LatencyLimit> limits;
  for (const Objective& o : objectives) {
    if (o.kind == ObjectiveKind::kLatency) limits.push_back({o.statistic.metric, o.bound});
  }
  return limits;
}

/// Of both pools where there are two; of a fleet all places.
int all_replicas(const Scenario& scenario) { return scenario.places() + (scenario.disaggregation ? scenario.disaggregation->prefill_replicas : 0); }

/// Everything that watches one run.
struct Observers {
  Observers(const Scenario& scenario, const Deployment& deployment, const MeasuredRequests& measured, const SharedLinks& links)
      : latency(measured), throughput(measured),
        steps(all_replicas(scenario), deployment.memory().plan.kv_capacity_tokens),
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
  LatencyMetrics latency;
  ThroughputMetrics throughput;
  StepMetrics steps;
  RequestCounter counter;
  GoodputMetrics goodput;
  NetworkMetrics network;
  KvReuseMetrics kv_reuse;
  SpeculationMetrics speculation;
  ObserverList list;
};

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

ObjectiveResult judge(const Objective& objective, const Observers& seen) {
  ObjectiveResult result{objective, std::nullopt, false};
  const Throughput& t = seen.throughput.result();
  switch (objective.kind) {
    case ObjectiveKind::kLatency:
      if (seen.latency.of(objective.statistic.metric).count() == 0) return result;
      result.value = seen.latency.value(objective.statistic);
      result.met = *result.value <= objective.bound && !t.saturated();
      return result;
    case ObjectiveKind::kOutputTokensPerSecond: result.value = t.output_tokens_per_s; break;
    case ObjectiveKind::kRequestsPerSecond: result.value = t.requests_per_s; break;
    case ObjectiveKind::kGoodput: result.value = seen.goodput.requests_per_s(); break;
  }
  result.met = *result.value >= objective.bound;
  return result;
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

std::optional<CostSummary> price(const Scenario& scenario, const Deployment& deployment, const StepMetrics& steps, const ThroughputSummary& t,
                                 const std::optional<FleetSummary>& fleet) {
  CostDemand demand{scenario.gpus(), scenario.spare_gpus, steps.mean_utilisation()};
  if (fleet && fleet->autoscaled) {
    demand.busy = fleet->busy;
    demand.held = fleet->held_share();
  }
  const ServedLoad load{t.requests_per_s, t.total_tokens_per_s - t.output_tokens_per_s, t.output_tokens_per_s, prompt_time_share(deployment, steps)};
  const auto& pools = scenario.disaggregation;
  if (!pools || !pools->cost) return summarise_cost(scenario.cost, scenario.deployment.cluster, demand, load, deployment.memory().parameters);
  const CostBeside prefill{*pools->cost, pools->prefill.cluster, {pools->prefill_replicas * pools->prefill.layout.gpus(), pools->spare_gpus, demand.busy}};
  demand.gpus -= prefill.demand.gpus;
  demand.spare_gpus -= prefill.demand.spare_gpus;
  return summarise_cost(scenario.cost, scenario.deployment.cluster, demand, load, deployment.memory().parameters, &prefill);
}

void add_warnings(const Scenario& scenario, const Observers& seen, Result& result) {
  const Throughput& t = seen.throughput.result();
  if (t.saturated()) {
    std::string sign(to_string(t.saturation));
    std::replace(sign.begin(), sign.end(), '_', ' ');
    result.warnings.push_back(fmt::format("saturated ({}): more load is offered than served", sign));
  }
  if (scenario.deployment.features.prefix_cache && !caches_prefixes(result.memory.plan.kv_layout)) {
    result.warnings.push_back("the prefix cache is off: this model has windowed or constant-state layers, whose blocks no other prompt can use");
  }
  const auto full = result.requests.rejected_by[static_cast<std::size_t>(RejectReason::kQueueFull)];
  if (full > 0) result.warnings.push_back(fmt::format("{} requests were rejected because the queue was full{}; latencies are of those served", full,
                                          result.requests.rejected_usd ? fmt::format(" (serving all rejected ones would have cost {:.2f} USD)", *result.requests.rejected_usd) : ""));
  if (t.short_window && !t.saturated()) result.warnings.push_back("the measured window is shorter than three mean end-to-end latencies; raise `requests`");
  const double transferred = result.origin_share[static_cast<std::size_t>(Origin::kTransferred)];
  const double extrapolated = result.origin_share[static_cast<std::size_t>(Origin::kExtrapolated)];
  if (scenario.deployment.cost_profile.empty()) {
    result.warnings.push_back("no measured kernels of this GPU: step times rest on datasheet peaks and generic achievable fractions");
  }
  if (extrapolated > 0.05) result.warnings.push_back(fmt::format("{:.0f} % of the kernel time lies outside the measured shapes", extrapolated * 100));
  if (transferred > 0.05) result.warnings.push_back(fmt::format("{:.0f} % of the kernel time is transferred from other kernels or GPUs", transferred * 100));
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
                     counts.retries,   counts.rejected_by,
                     counts.rejected_prompt_tokens, counts.rejected_output_tokens};
  result.prefix_cache = summarise(seen.kv_reuse, deployment);
  if (seen.speculation.any()) result.speculation = seen.speculation.total();
  for (const Objective& o : scenario.objectives) result.objectives.push_back(judge(o, seen));
  result.cost = price(scenario, deployment, seen.steps, *result.throughput, result.fleet);
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

/// Remembers the end of the run.
class EndObserver final : public Observer {
 public:
  void on_end(SimTime now) override { end_ = now; }
  [[nodiscard]] double seconds() const { return to_seconds(end_).value(); }

 private:
  SimTime end_{0};
};

std::vector<std::string> class_names(const WorkloadConfig& workload) {
  std::vector<std::string> names;
  for (const WorkloadClass& c : workload.classes) names.push_back(c.name);
  return names;
}

/// The requests of one deployment and everything that watches them. `first` of its options' replications.
class Watched {
 public:
  Watched(const Scenario& scenario, const Deployment& deployment, const SharedLinks& links, const RunOptions& options, std::uint64_t seed, bool first)
      : scenario_(scenario), deployment_(deployment), links_(links), inner_(make_request_source(scenario.workload, seed)), source(*inner_),
        measured_{.total = source.total(),
                  .warmup = scenario.workload.warmup_requests,
                  .closed = scenario.workload.arrivals.process == ArrivalProcess::kClosed,
                  .batch = scenario.workload.arrivals.process == ArrivalProcess::kBatch},
        seen(scenario, deployment, measured_, links) {
    seen.list.add(end_, 0);
    if (first && !options.requests_file.empty()) {
      log_.emplace(options.requests_file, class_names(scenario.workload));
      seen.list.add(*log_, ObserverList::kRequests);
    }
    if (first && !options.trace_file.empty()) {
      timeline_.emplace(options.trace_file, all_replicas(scenario), options.trace_limit, class_names(scenario.workload));
      seen.list.add(*timeline_, ObserverList::kRequests | ObserverList::kSteps);
    }
    if (options.progress && options.replications == 1) {
      progress_.emplace(source.total(), options.progress);
      seen.list.add(*progress_, ObserverList::kRequests);
    }
    if (scenario.workload.classes.size() > 1) {
      classes_.emplace(measured_, scenario.workload.classes.size());
      seen.list.add(*classes_, ObserverList::kRequests);
    }
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  void watch_pools(const Deployment& prefill) {
    seen.list.add(pools_.emplace(pool_metrics(scenario_, prefill, deployment_)), ObserverList::kRequests | ObserverList::kSteps);
  }
  void watch_fleet() { seen.list.add(fleet_.emplace(), ObserverList::kRequests); }

  [[nodiscard]] Result result() const {
    Result result = collect(scenario_, deployment_, links_, seen, source, fleet_ ? &*fleet_ : nullptr);
    if (classes_) result.classes = summarise(scenario_, *classes_);
    if (pools_) result.pools = summarise_pools(scenario_, *pools_, result.requests.completed);
    result.duration_s = end_.seconds();
    return result;
  }

 private:
  const Scenario& scenario_;
  const Deployment& deployment_;
  const SharedLinks& links_;
  std::unique_ptr<RequestSource> inner_;

 public:
  CountingSource source;

 private:
  MeasuredRequests measured_;

 public:
  Observers seen;

 private:
  EndObserver end_;
  std::optional<RequestLog> log_;
  std::optional<Timeline> timeline_;
  std::optional<ProgressObserver> progress_;
  std::optional<ClassMetrics> classes_;
  std::optional<PoolMetrics> pools_;
  std::optional<FleetMetrics> fleet_;
};

/// What a scenario runs on beside its own deployment.
struct Surroundings {
  const SharedLinks& links;
  const Deployment* prefill = nullptr;        ///< the other pool
  const ScenarioFleet* fleet = nullptr;
  const std::deque<Deployment>* others = nullptr;  ///< those of the fleet's further deployments
};

/// All deployments of a fleet in one simulated time.
Result run_fleet(const Scenario& scenario, const Deployment& deployment, const Surroundings& around, const RunOptions& options, std::uint64_t seed, bool first) {
  const ScenarioFleet& fleet = *around.fleet;
  RunOptions quiet = options;
  quiet.requests_file.clear();
  quiet.trace_file.clear();
  quiet.progress = nullptr;
  std::deque<Watched> watched;
  std::vector<FleetService> services;
  const auto add = [&](std::size_t k, const Scenario& s, const Deployment& d, const RunOptions& o) {
    // Every deployment has arrivals of its own.
    Watched& w = watched.emplace_back(s, d, fleet.links(k), o, seed + 0x5851F42DULL * k, first);
    w.watch_fleet();
    services.push_back(fleet.service(k, s, d));
    services.back().source = &w.source;
    services.back().observer = &w.seen.list;
  };
  add(0, scenario, deployment, options);
  for (std::size_t i = 0; i < scenario.others.size(); ++i) add(i + 1, scenario.others[i], (*around.others)[i], quiet);
  simulate(fleet.config(), services, seed);
  Result result = watched.front().result();
  for (std::size_t i = 1; i < watched.size(); ++i) result.others.push_back(watched[i].result());
  return result;
}

Result run_once(const Scenario& scenario, const Deployment& deployment, const Surroundings& around, const RunOptions& options, std::uint64_t seed, bool first) {
  if (around.fleet != nullptr) return run_fleet(scenario, deployment, around, options, seed, first);
  Watched watched(scenario, deployment, around.links, options, seed, first);
  if (around.prefill != nullptr) {
    watched.watch_pools(*around.prefill);
    const ScenarioPools placed(scenario, *around.prefill, deployment);
    simulate(placed.config(), around.prefill->cost(), deployment.cost(), watched.source, watched.seen.list, seed);
  } else {
    const std::unique_ptr<FlowNetwork> network = around.links.make_network();
    ClusterConfig cluster = deployment.cluster(scenario.replicas, scenario.router);
    cluster.network = network.get();
    simulate(cluster, deployment.cost(), watched.source, watched.seen.list, seed);
  }
  return watched.result();
}

/// Two-sided 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5), within 0.3 % for 2 degrees of freedom or more.
double student_t(int degrees) {
  if (degrees == 1) return 12.7062;
  if (degrees == 2) return 4.3027;
  const double z = 1.959964;
  const double n = degrees;
  const double z3 = z * z * z;
  const double z5 = z3 * z * z;
  const double z7 = z5 * z * z;
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n);
}

/// Replaces `value` in the first result by the mean over replications and gives its 95 % interval.
template <class Get>
std::array<double, 2> average(std::vector<Result>& results, Get value) {
  const double n = static_cast<double>(results.size());
  double sum = 0;
  for (Result& r : results) sum += value(r);
  const double mean = sum / n;
  double squares = 0;
  for (Result& r : results) squares += (value(r) - mean) * (value(r) - mean);
  const double half = student_t(static_cast<int>(results.size()) - 1) * std::sqrt(squares / (n - 1) / n);
  value(results.front()) = mean;
  return {std::max(0.0, mean - half), mean + half};
}

/// One result out of several: means and intervals of latencies and throughput; everything else is the first run's.
Result combine(std::vector<Result> results) {
  std::map<std::string, std::array<double, 2>> intervals;
  using Member = double LatencySummary::*;
  static constexpr std::array<std::pair<const char*, Member>, 6> kStatistics = {{{"mean", &LatencySummary::mean},
                                                                                 {"p50", &LatencySummary::p50},
                                                                                 {"p90", &LatencySummary::p90},
                                                                                 {"p95", &LatencySummary::p95},
                                                                                 {"p99", &LatencySummary::p99},
                                                                                 {"max", &LatencySummary::max}}};
  for (const LatencyMetric metric : kLatencyMetrics) {
    if ((*results.front().latency)[static_cast<std::size_t>(metric)].count == 0) continue;
    for (const auto& [name, member] : kStatistics) {
      intervals[fmt::format("{}.{}", to_string(metric), name)] =
          average(results, [metric, m = member](Result& r) -> double& { return (*r.latency)[static_cast<std::size_t>(metric)].*m; });
    }
  }
  intervals["throughput.requests_per_s"] = average(results, [](Result& r) -> double& { return r.throughput->requests_per_s; });
  intervals["throughput.output_tokens_per_s"] = average(results, [](Result& r) -> double& { return r.throughput->output_tokens_per_s; });
  Result result = std::move(results.front());
  result.intervals = std::move(intervals);
  result.replications = static_cast<int>(results.size());
  return result;
}

}  // namespace

Result memory_only(const Scenario& scenario) {
  Result result;
  result.memory = plan_deployment_memory(scenario.deployment);
  result.warnings = scenario.warnings;
  if (scenario.disaggregation && result.memory.plan.fits) {
    const MemorySummary prefill = plan_deployment_memory(scenario.disaggregation->prefill);
    if (!prefill.plan.fits) {
      result.memory = prefill;
      result.warnings.push_back("it is the prefill pool whose memory is shown");
    }
  }
  for (const Scenario& other : scenario.others) {
    if (!result.memory.plan.fits) break;
    const MemorySummary memory = plan_deployment_memory(other.deployment);
    if (memory.plan.fits) continue;
    result.memory = memory;
    result.warnings.push_back(fmt::format("it is the deployment '{}' whose memory is shown", other.name));
  }
  if (!result.memory.plan.fits) {
    result.warnings.push_back(fmt::format("does not fit: {:.1f} GB missing per GPU", result.memory.plan.missing.as_double() / 1e9));
    DeploymentConfig smaller = scenario.deployment;
    smaller.scheduler.max_batch_requests = std::min(smaller.scheduler.max_batch_requests, 64);
    if (plan_deployment_memory(smaller).plan.fits) {
      result.warnings.push_back(fmt::format("it fits with scheduler.max_batch_requests 64 instead of {}: the engine reserves memory to sample for its largest batch",
                                            scenario.deployment.scheduler.max_batch_requests));
    }
  }
  return result;
}

Result run_scenario(const Scenario& scenario, const RunOptions& options) {
  Result fit = memory_only(scenario);
  if (!fit.memory.plan.fits) {
    for (const Objective& o : scenario.objectives) fit.objectives.push_back({o, std::nullopt, false});
    if (!options.requests_file.empty()) RequestLog(options.requests_file, {}).on_end(SimTime{0});
    if (!options.trace_file.empty()) Timeline(options.trace_file, scenario.replicas, options.trace_limit, {}).on_end(SimTime{0});
    return fit;
  }
  std::optional<StudyLibraries> own;
  StudyLibraries& shared = options.shared != nullptr ? *options.shared : own.emplace();
  const RoutingMode mode = options.exact_routing ? RoutingMode::kExact : RoutingMode::kTabulated;
  RunOptions sharing = options;
  sharing.shared = &shared;
  return run_on(scenario, Deployment(scenario.deployment, shared, mode), sharing);
}

Result run_on(const Scenario& scenario, const Deployment& deployment, const RunOptions& options) {
  const RoutingMode mode = options.exact_routing ? RoutingMode::kExact : RoutingMode::kTabulated;
  std::optional<SharedLinks> links;
  std::optional<ScenarioFleet> fleet;
  scenario.in_fleet() ? static_cast<void>(fleet.emplace(scenario)) : static_cast<void>(links.emplace(scenario));
  std::deque<Deployment> others;
  const auto build = [&](const DeploymentConfig& config) -> const Deployment& {
    return options.shared != nullptr ? others.emplace_back(config, *options.shared, mode) : others.emplace_back(config, mode);
  };
  for (const Scenario& other : scenario.others) build(other.deployment);
  Surroundings around{fleet ? fleet->links(0) : *links};
  if (scenario.disaggregation) around.prefill = &build(scenario.disaggregation->prefill);
  if (fleet) around.fleet = &*fleet;
  around.others = &others;
  if (options.replications == 1) return run_once(scenario, deployment, around, options, scenario.seed, true);
  std::optional<tbb::global_control> limit;
  if (options.jobs > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(options.jobs));
  std::vector<Result> results(static_cast<std::size_t>(options.replications));
  std::atomic<int> done{0};
  tbb::parallel_for(0, options.replications, [&](int i) {
    results[static_cast<std::size_t>(i)] = run_once(scenario, deployment, around, options, scenario.seed + static_cast<std::uint64_t>(i), i == 0);
    if (options.progress) options.progress(static_cast<double>(++done) / options.replications);
  });
  return combine(std::move(results));
}

}  // namespace moeplan
