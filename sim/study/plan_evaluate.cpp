#include "study/plan_evaluate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "metrics/class_metrics.hpp"
#include "metrics/goodput_metrics.hpp"
#include "metrics/latency_metrics.hpp"
#include "metrics/observer_list.hpp"
#include "metrics/throughput_metrics.hpp"
#include "study/latency_summary.hpp"
#include "study/plan_packing.hpp"
#include "study/plan_watch.hpp"
#include "study/pools.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// A run is made at most so many times longer than the workload states.
constexpr std::uint64_t kMostLengthening = 64;
constexpr std::uint64_t kMostDoubt = 16;  ///< of a run that seems saturated

std::vector<LatencyLimit> limits_of(const std::vector<Objective>& objectives) {
  std::vector<LatencyLimit> limits;
  for (const Objective& o : objectives) {
    if (o.kind == ObjectiveKind::kLatency && o.workload_class.empty()) limits.push_back({o.statistic.metric, o.bound});
  }
  return limits;
}

bool by_class(const std::vector<Objective>& objectives) {
  return std::any_of(objectives.begin(), objectives.end(), [](const Objective& o) { return !o.workload_class.empty(); });
}

std::size_t class_index(const WorkloadConfig& workload, const std::string& name) {
  const auto& all = workload.classes;
  const auto found = std::find_if(all.begin(), all.end(), [&](const WorkloadClass& c) { return c.name == name; });
  MOEPLAN_CHECK(found != all.end());
  return static_cast<std::size_t>(found - all.begin());
}

/// Of a closed loop: so few requests for each client that its end, where clients fall silent one by one, weighs in the means.
bool few_waves(const WorkloadConfig& w) {
  if (w.arrivals.process != ArrivalProcess::kClosed) return false;
  return static_cast<double>(w.requests - std::min(w.requests, w.warmup_requests)) < kSteadyLatencies * w.arrivals.concurrency;
}

/// What watches one run to its end.
struct Watch {
  Watch(const PlanQuestion& question, const MeasuredRequests& measured, PlanCounts counts)
      : workload(question.workload), bounds(question.objectives, measured), latency(measured), throughput(measured), goodput(measured, limits_of(question.objectives)),
        busy(counts.serving, counts.prefill) {
    list.add(bounds, ObserverList::kRequests);
    list.add(latency, ObserverList::kRequests | ObserverList::kTokens);
    list.add(throughput, ObserverList::kRequests | ObserverList::kTokens);
    list.add(goodput, ObserverList::kRequests);
    list.add(busy, ObserverList::kSteps);
    if (question.out_of_time) list.add(limit.emplace(question.out_of_time), ObserverList::kSteps);
    if (!by_class(question.objectives)) return;
    classes.emplace(measured, workload.classes.size());
    list.add(*classes, ObserverList::kRequests);
  }
  [[nodiscard]] ObjectiveResult judge(const Objective& o, const ThroughputSummary& t, const ServedRates& served) const {
    ObjectiveResult result{o, std::nullopt, false};
    if (o.kind == ObjectiveKind::kLatency) {
      const LatencyMetrics& of = o.workload_class.empty() ? latency : classes->classes()[class_index(workload, o.workload_class)].latency;
      if (of.of(o.statistic.metric).count() == 0) return result;
      result.value = of.value(o.statistic);
      result.met = *result.value <= o.bound && !t.saturated;
      return result;
    }
    result.value = throughput_value(o.kind, served, t, goodput.requests_per_s(t.requests_per_s));
    result.met = *result.value >= o.bound;
    return result;
  }
  const WorkloadConfig& workload;
  BoundWatch bounds;
  LatencyMetrics latency;
  ThroughputMetrics throughput;
  GoodputMetrics goodput;
  BusyTime busy;
  std::optional<TimeLimit> limit;
  std::optional<ClassMetrics> classes;
  ObserverList list;
};

void conclude(const Watch& seen, const PlanQuestion& question, int gpus, PlanRun& run) {
  const Throughput& t = seen.throughput.result();
  for (const LatencyMetric metric : kLatencyMetrics) run.latency[static_cast<std::size_t>(metric)] = summarise(seen.latency.of(metric));
  run.throughput = {t.requests_per_s, t.output_tokens_per_s, t.total_tokens_per_s, t.output_tokens_per_s / gpus, t.offered_per_s, t.saturated(), t.shorter_than(1)};
  run.utilisation = seen.busy.serving();
  run.prefill_utilisation = seen.busy.prefill();
  run.short_window = t.shorter_than(kSteadyLatencies) || few_waves(question.workload);
  run.all_served = seen.bounds.rejected() == 0;
  run.met = true;
  const ServedRates served = question.lengths ? served_rates(question.workload, *question.lengths, run.throughput, run.all_served) : ServedRates{};
  for (const Objective& o : question.objectives) {
    run.objectives.push_back(seen.judge(o, run.throughput, served));
    const ObjectiveResult& result = run.objectives.back();
    if (result.met || !run.met) continue;
    run.met = false;
    run.failing = o.key;
    run.miss = !result.value || !(*result.value > 0) ? 0 : o.kind == ObjectiveKind::kLatency ? *result.value / o.bound : o.bound / *result.value;
    run.problem = result.value ? fmt::format("{} is {}, not {} {}", o.key, objective_value_text(o, *result.value),
                                             o.kind == ObjectiveKind::kLatency ? "at most" : "at least", objective_value_text(o, o.bound))
                               : fmt::format("{}: no request has one", o.key);
  }
  if (t.saturated()) {
    run.met = false;
    run.failing = "saturated";
    run.problem = "saturated: more load is offered than served";
    run.miss = t.offered_per_s && t.requests_per_s > 0 ? *t.offered_per_s / t.requests_per_s : 0;
  }
}

void simulate_replicas(const PlanQuestion& question, const PlanReplica& replica, PlanCounts counts, RequestSource& source, Observer& observer) {
  ClusterConfig cluster = cluster_config(replica.config, replica.memory, counts.serving, question.router);
  cluster.replica.kv_reuse = kv_reuse_config(replica.config, replica.memory, replica.cost);
  simulate(cluster, replica.cost, source, observer, question.seed);
}

void simulate_pools(const PlanQuestion& question, const PlanReplica& replica, PlanCounts counts, RequestSource& source, Observer& observer) {
  const PlanPrefill& prefill = *replica.prefill;
  const int decode_gpus = replica.config.layout.gpus();
  const int prefill_gpus = prefill.config.layout.gpus();
  const int decode_node = replica.config.cluster.node.gpus;
  const int prefill_node = prefill.config.cluster.node.gpus;
  const bool own = prefill.spec.own_cluster;
  const int decode_nodes = own ? nodes_of(counts.serving, decode_gpus, decode_node) : shared_nodes(counts, decode_gpus, prefill_gpus, decode_node);
  const int prefill_nodes = own ? nodes_of(counts.prefill, prefill_gpus, prefill_node) : 0;
  const ScenarioPools placed(prefill.spec, question.router, {prefill.config, prefill.memory, prefill.cost, counts.prefill, prefill_nodes},
                             {replica.config, replica.memory, replica.cost, counts.serving, decode_nodes});
  simulate(placed.config(), prefill.cost, replica.cost, source, observer, question.seed);
}

PlanRun run_once(const PlanQuestion& question, const PlanReplica& replica, PlanCounts counts) {
  check_time(question.out_of_time);
  const auto source = make_request_source(question.workload, question.seed);
  const MeasuredRequests measured{.total = source->total(),
                                  .warmup = question.workload.warmup_requests,
                                  .closed = question.workload.arrivals.process == ArrivalProcess::kClosed,
                                  .batch = question.workload.arrivals.process == ArrivalProcess::kBatch};
  Watch seen(question, measured, counts);
  PlanRun run;
  run.replicas = counts.serving + counts.prefill;
  run.requests = source->total();
  try {
    (replica.prefill != nullptr ? simulate_pools : simulate_replicas)(question, replica, counts, *source, seen.list);
  } catch (const VerdictKnown& verdict) {
    run.problem = verdict.problem;
    run.failing = verdict.failing;
    run.miss = verdict.miss;
    return run;
  }
  const int prefill_gpus = replica.prefill != nullptr ? counts.prefill * replica.prefill->config.layout.gpus() : 0;
  conclude(seen, question, counts.serving * replica.config.layout.gpus() + prefill_gpus, run);
  return run;
}

bool can_lengthen(const WorkloadConfig& workload, std::uint64_t requests) {
  const ArrivalConfig& a = workload.arrivals;
  if (a.process == ArrivalProcess::kTrace) return a.repeat || (a.trace && requests < a.trace->rows);
  return a.process == ArrivalProcess::kPoisson || a.process == ArrivalProcess::kGamma || a.process == ArrivalProcess::kClosed || a.process == ArrivalProcess::kMarkovModulated;
}

}  // namespace

PlanRun run_plan(const PlanQuestion& question, const PlanReplica& replica, PlanCounts counts) {
  MOEPLAN_CHECK((replica.prefill != nullptr) == (counts.prefill > 0) && counts.serving > 0);
  PlanQuestion longer = question;
  const std::uint64_t most = question.workload.requests * kMostLengthening;
  for (;;) {
    PlanRun run = run_once(longer, replica, counts);
    const std::uint64_t requests = longer.workload.requests;
    // The edges of a short run look like saturation.
    const bool doubtful = run.met || (run.failing == "saturated" && requests < question.workload.requests * kMostDoubt);
    if (!doubtful || !run.short_window || requests >= most || !can_lengthen(longer.workload, requests)) return run;
    longer.workload.requests = 2 * requests;
    if (const ArrivalConfig& a = longer.workload.arrivals; a.process == ArrivalProcess::kTrace && !a.repeat) {
      longer.workload.requests = std::min(longer.workload.requests, a.trace->rows);
    }
  }
}

SmallestPlan smallest_plan(const PlanQuestion& question, const PlanReplica& replica, const std::function<PlanCounts(int)>& counts_of, int first, int last) {
  return smallest_plan([&](int rung) { return run_plan(question, replica, counts_of(rung)); }, first, last);
}

SmallestPlan smallest_plan(const std::function<PlanRun(int)>& run_rung, int first, int last) {
  MOEPLAN_CHECK(first >= 1 && first <= last);
  SmallestPlan smallest;
  int failed = first - 1;
  // Doubling the distance from the bound finds a size that does; what lies between is bisected.
  for (int step = 1, rung = first;; step *= 2) {
    PlanRun run = run_rung(rung);
    const bool hopeless = run.failing == "kv_cache";
    if (run.met || rung == last || hopeless) {
      const bool met = run.met;
      smallest.run = std::move(run);
      if (!met) return smallest;
      smallest.rung = rung;
      break;
    }
    failed = rung;
    rung = rung > last - step ? last : rung + step;
  }
  while (*smallest.rung - failed > 1) {
    const int middle = failed + (*smallest.rung - failed) / 2;
    PlanRun run = run_rung(middle);
    if (run.met) {
      smallest.rung = middle;
      smallest.run = std::move(run);
    } else {
      failed = middle;
    }
  }
  return smallest;
}

std::string objective_value_text(const Objective& objective, double value) {
  if (objective.kind != ObjectiveKind::kLatency) return value < 1e4 ? fmt::format("{:.4g} /s", value) : fmt::format("{:.0f} /s", value);
  return value >= 1 ? fmt::format("{:.3g} s", value) : fmt::format("{:.3g} ms", value * 1e3);
}

}  // namespace moeplan
