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
#include "study/pools.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// A run is made at most so many times longer than the workload states.
constexpr std::uint64_t kMostLengthening = 64;
constexpr std::uint64_t kMostDoubt = 16;  ///< of a run that seems saturated

/// Thrown by an observer to end a run whose verdict is known.
struct VerdictKnown {
  std::string problem, failing;
};

/// Counts what exceeds the bounds of per-request percentiles and means.
class BoundWatch final : public Observer {
 public:
  BoundWatch(const std::vector<Objective>& objectives, const MeasuredRequests& measured) : measured_(measured) {
    const double count = static_cast<double>(measured.total - std::min(measured.total, measured.first()));
    for (const Objective& o : objectives) {
      // How many requests of a class will come is not counted beforehand.
      if (o.kind != ObjectiveKind::kLatency || o.statistic.metric == LatencyMetric::kItl || !o.workload_class.empty()) continue;
      Bound bound{&o, 0, 0, 0, 0};
      switch (o.statistic.kind) {
        // Nearest rank: met when ceil(q n) samples do not exceed the bound. Fewer samples allow no more that do.
        case LatencyStatistic::Kind::kQuantile: bound.allowed = count - std::ceil(o.statistic.quantile * count - 1e-9); break;
        case LatencyStatistic::Kind::kMax: bound.allowed = 0; break;
        case LatencyStatistic::Kind::kMean: bound.most_sum = o.bound * count * (1 + 1e-9); break;
      }
      bounds_.push_back(bound);
    }
  }
  void on_finished(const FinishedRequest& request) override {
    if (!measured_.counts(request.spec.id)) return;
    for (Bound& bound : bounds_) watch(bound, request);
  }
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime /*at*/) override {
    // Too long for any deployment of the model; a full queue shows as saturation.
    if (reason != RejectReason::kDoesNotFit) return;
    throw VerdictKnown{fmt::format("a request of {} tokens does not fit into the KV cache of a replica", spec.prompt_tokens + spec.output_tokens), "kv_cache"};
  }

 private:
  struct Bound {
    const Objective* objective;
    double allowed, most_sum;  ///< requests that may exceed it; sum of a mean
    double over, sum;
  };
  static std::optional<double> latency_of(LatencyMetric metric, const FinishedRequest& r) {
    switch (metric) {
      case LatencyMetric::kTtft: return ttft_of(r);
      case LatencyMetric::kTpot: return r.spec.output_tokens > 1 ? std::optional(tpot_of(r)) : std::nullopt;
      case LatencyMetric::kE2e: return e2e_of(r);
      case LatencyMetric::kQueue: return queue_of(r);
      case LatencyMetric::kItl: break;
    }
    return std::nullopt;
  }
  static void watch(Bound& bound, const FinishedRequest& request) {
    const Objective& o = *bound.objective;
    const auto value = latency_of(o.statistic.metric, request);
    if (!value) return;
    if (bound.most_sum > 0) {
      bound.sum += *value;
      // The mean of TPOT is over fewer requests than were counted: no verdict before the end.
      if (bound.sum > bound.most_sum && o.statistic.metric != LatencyMetric::kTpot) {
        throw VerdictKnown{fmt::format("{} above {}", o.key, objective_value_text(o, o.bound)), o.key};
      }
      return;
    }
    if (*value <= o.bound || ++bound.over <= bound.allowed) return;
    const bool max = o.statistic.kind == LatencyStatistic::Kind::kMax;
    throw VerdictKnown{fmt::format("{} above {}{}", o.key, objective_value_text(o, o.bound),
                                   max ? "" : fmt::format(": more than {:.6g} % of the requests exceed it", (1 - o.statistic.quantile) * 100)),
                       o.key};
  }

  MeasuredRequests measured_;
  std::vector<Bound> bounds_;
};

/// Seconds that replicas spend in steps; those of the prefill pool, which come first, by themselves.
class BusyTime final : public Observer {
 public:
  explicit BusyTime(PlanCounts counts) : counts_(counts) {}
  void on_step(const StepRecord& step) override { (step.replica < counts_.prefill ? prefill_ : serving_) += step.end - step.start; }
  void on_end(SimTime now) override { end_ = now; }
  [[nodiscard]] double serving() const { return share(serving_, counts_.serving); }
  [[nodiscard]] double prefill() const { return share(prefill_, counts_.prefill); }

 private:
  [[nodiscard]] double share(SimTime busy, int replicas) const {
    return end_.count() > 0 && replicas > 0 ? static_cast<double>(busy.count()) / static_cast<double>(end_.count()) / replicas : 0.0;
  }
  PlanCounts counts_;
  SimTime serving_{0}, prefill_{0}, end_{0};
};

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

/// What watches one run to its end.
struct Watch {
  Watch(const PlanQuestion& question, const MeasuredRequests& measured, PlanCounts counts)
      : workload(question.workload), bounds(question.objectives, measured), latency(measured), throughput(measured), goodput(measured, limits_of(question.objectives)), busy(counts) {
    list.add(bounds, ObserverList::kRequests);
    list.add(latency, ObserverList::kRequests | ObserverList::kTokens);
    list.add(throughput, ObserverList::kRequests | ObserverList::kTokens);
    list.add(goodput, ObserverList::kRequests);
    list.add(busy, ObserverList::kSteps);
    if (!by_class(question.objectives)) return;
    classes.emplace(measured, workload.classes.size());
    list.add(*classes, ObserverList::kRequests);
  }
  [[nodiscard]] ObjectiveResult judge(const Objective& o) const {
    ObjectiveResult result{o, std::nullopt, false};
    const Throughput& t = throughput.result();
    switch (o.kind) {
      case ObjectiveKind::kLatency: {
        const LatencyMetrics& of = o.workload_class.empty() ? latency : classes->classes()[class_index(workload, o.workload_class)].latency;
        if (of.of(o.statistic.metric).count() == 0) return result;
        result.value = of.value(o.statistic);
        result.met = *result.value <= o.bound && !t.saturated();
        return result;
      }
      case ObjectiveKind::kOutputTokensPerSecond: result.value = t.output_tokens_per_s; break;
      case ObjectiveKind::kRequestsPerSecond: result.value = t.requests_per_s; break;
      case ObjectiveKind::kGoodput: result.value = goodput.requests_per_s(); break;
    }
    result.met = *result.value >= o.bound;
    return result;
  }
  const WorkloadConfig& workload;
  BoundWatch bounds;
  LatencyMetrics latency;
  ThroughputMetrics throughput;
  GoodputMetrics goodput;
  BusyTime busy;
  std::optional<ClassMetrics> classes;
  ObserverList list;
};

void conclude(const Watch& seen, const PlanQuestion& question, int gpus, PlanRun& run) {
  const Throughput& t = seen.throughput.result();
  for (const LatencyMetric metric : kLatencyMetrics) run.latency[static_cast<std::size_t>(metric)] = summarise(seen.latency.of(metric));
  run.throughput = {t.requests_per_s, t.output_tokens_per_s, t.total_tokens_per_s, t.output_tokens_per_s / gpus, t.offered_per_s, t.saturated()};
  run.utilisation = seen.busy.serving();
  run.prefill_utilisation = seen.busy.prefill();
  run.short_window = t.short_window;
  run.met = true;
  for (const Objective& o : question.objectives) {
    run.objectives.push_back(seen.judge(o));
    const ObjectiveResult& result = run.objectives.back();
    if (result.met || !run.met) continue;
    run.met = false;
    run.failing = o.key;
    run.problem = result.value ? fmt::format("{} is {}, not {} {}", o.key, objective_value_text(o, *result.value),
                                             o.kind == ObjectiveKind::kLatency ? "at most" : "at least", objective_value_text(o, o.bound))
                               : fmt::format("{}: no request has one", o.key);
  }
  if (t.saturated()) {
    run.met = false;
    run.failing = "saturated";
    run.problem = "saturated: more load is offered than served";
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
  const int decode_nodes = own ? size_of(pack_replicas(decode_gpus, decode_node), decode_node, counts.serving, 0).nodes
                               : shared_nodes(counts, decode_gpus, prefill_gpus, decode_node);
  const int prefill_nodes = own ? size_of(pack_replicas(prefill_gpus, prefill_node), prefill_node, counts.prefill, 0).nodes : 0;
  const ScenarioPools placed(prefill.spec, question.router, {prefill.config, prefill.memory, prefill.cost, counts.prefill, prefill_nodes},
                             {replica.config, replica.memory, replica.cost, counts.serving, decode_nodes});
  simulate(placed.config(), prefill.cost, replica.cost, source, observer, question.seed);
}

PlanRun run_once(const PlanQuestion& question, const PlanReplica& replica, PlanCounts counts) {
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
    return run;
  }
  const int prefill_gpus = replica.prefill != nullptr ? counts.prefill * replica.prefill->config.layout.gpus() : 0;
  conclude(seen, question, counts.serving * replica.config.layout.gpus() + prefill_gpus, run);
  return run;
}

bool can_lengthen(const WorkloadConfig& workload, std::uint64_t requests) {
  const ArrivalConfig& a = workload.arrivals;
  if (a.process == ArrivalProcess::kTrace) return a.repeat || (a.trace && requests < a.trace->rows);
  return a.process == ArrivalProcess::kPoisson || a.process == ArrivalProcess::kGamma || a.process == ArrivalProcess::kMarkovModulated;
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
  if (objective.kind != ObjectiveKind::kLatency) return fmt::format("{:.4g} /s", value);
  return value >= 1 ? fmt::format("{:.3g} s", value) : fmt::format("{:.3g} ms", value * 1e3);
}

}  // namespace moeplan
