#include "study/plan_evaluate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "metrics/goodput_metrics.hpp"
#include "metrics/latency_metrics.hpp"
#include "metrics/observer_list.hpp"
#include "metrics/throughput_metrics.hpp"
#include "study/latency_summary.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// A run is made at most so many times longer than the workload states.
constexpr std::uint64_t kMostLengthening = 64;

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
      if (o.kind != ObjectiveKind::kLatency || o.statistic.metric == LatencyMetric::kItl) continue;
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

/// Seconds that replicas spend in steps.
class BusyTime final : public Observer {
 public:
  void on_step(const StepRecord& step) override { busy_ += step.end - step.start; }
  void on_end(SimTime now) override { end_ = now; }
  [[nodiscard]] double utilisation(int replicas) const {
    return end_.count() > 0 ? static_cast<double>(busy_.count()) / static_cast<double>(end_.count()) / replicas : 0.0;
  }

 private:
  SimTime busy_{0}, end_{0};
};

std::vector<LatencyLimit> limits_of(const std::vector<Objective>& objectives) {
  std::vector<LatencyLimit> limits;
  for (const Objective& o : objectives) {
    if (o.kind == ObjectiveKind::kLatency) limits.push_back({o.statistic.metric, o.bound});
  }
  return limits;
}

/// What watches one run to its end.
struct Watch {
  Watch(const PlanQuestion& question, const MeasuredRequests& measured)
      : bounds(question.objectives, measured), latency(measured), throughput(measured), goodput(measured, limits_of(question.objectives)) {
    list.add(bounds, ObserverList::kRequests);
    list.add(latency, ObserverList::kRequests | ObserverList::kTokens);
    list.add(throughput, ObserverList::kRequests | ObserverList::kTokens);
    list.add(goodput, ObserverList::kRequests);
    list.add(busy, ObserverList::kSteps);
  }
  [[nodiscard]] ObjectiveResult judge(const Objective& o) const {
    ObjectiveResult result{o, std::nullopt, false};
    const Throughput& t = throughput.result();
    switch (o.kind) {
      case ObjectiveKind::kLatency:
        if (latency.of(o.statistic.metric).count() == 0) return result;
        result.value = latency.value(o.statistic);
        result.met = *result.value <= o.bound && !t.saturated();
        return result;
      case ObjectiveKind::kOutputTokensPerSecond: result.value = t.output_tokens_per_s; break;
      case ObjectiveKind::kRequestsPerSecond: result.value = t.requests_per_s; break;
      case ObjectiveKind::kGoodput: result.value = goodput.requests_per_s(); break;
    }
    result.met = *result.value >= o.bound;
    return result;
  }
  BoundWatch bounds;
  LatencyMetrics latency;
  ThroughputMetrics throughput;
  GoodputMetrics goodput;
  BusyTime busy;
  ObserverList list;
};

void conclude(const Watch& seen, const PlanQuestion& question, int gpus, PlanRun& run) {
  const Throughput& t = seen.throughput.result();
  for (const LatencyMetric metric : kLatencyMetrics) run.latency[static_cast<std::size_t>(metric)] = summarise(seen.latency.of(metric));
  run.throughput = {t.requests_per_s, t.output_tokens_per_s, t.total_tokens_per_s, t.output_tokens_per_s / gpus, t.offered_per_s, t.saturated()};
  run.utilisation = seen.busy.utilisation(run.replicas);
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

PlanRun run_once(const PlanQuestion& question, const PlanReplica& replica, int replicas) {
  const auto source = make_request_source(question.workload, question.seed);
  const MeasuredRequests measured{.total = source->total(),
                                  .warmup = question.workload.warmup_requests,
                                  .closed = source->closed(),
                                  .batch = question.workload.arrivals.process == ArrivalProcess::kBatch};
  Watch seen(question, measured);
  PlanRun run;
  run.replicas = replicas;
  run.requests = source->total();
  try {
    ClusterConfig cluster = cluster_config(replica.config, replica.memory, replicas, question.router);
    cluster.replica.kv_reuse = kv_reuse_config(replica.config, replica.memory, replica.cost);
    simulate(cluster, replica.cost, *source, seen.list, question.seed);
  } catch (const VerdictKnown& verdict) {
    run.problem = verdict.problem;
    run.failing = verdict.failing;
    return run;
  }
  conclude(seen, question, replicas * replica.config.layout.gpus(), run);
  return run;
}

bool can_lengthen(const WorkloadConfig& workload, std::uint64_t requests) {
  const ArrivalConfig& a = workload.arrivals;
  if (a.process == ArrivalProcess::kTrace) return a.repeat || (a.trace && requests < a.trace->rows);
  return a.process == ArrivalProcess::kPoisson || a.process == ArrivalProcess::kGamma;
}

}  // namespace

PlanRun run_plan(const PlanQuestion& question, const PlanReplica& replica, int replicas) {
  PlanQuestion longer = question;
  const std::uint64_t most = question.workload.requests * kMostLengthening;
  for (;;) {
    PlanRun run = run_once(longer, replica, replicas);
    const std::uint64_t requests = longer.workload.requests;
    if (!run.met || !run.short_window || requests >= most || !can_lengthen(longer.workload, requests)) return run;
    longer.workload.requests = 2 * requests;
    if (const ArrivalConfig& a = longer.workload.arrivals; a.process == ArrivalProcess::kTrace && !a.repeat) {
      longer.workload.requests = std::min(longer.workload.requests, a.trace->rows);
    }
  }
}

SmallestPlan smallest_plan(const PlanQuestion& question, const PlanReplica& replica, const std::function<int(int)>& replicas_of, int first, int last) {
  MOEPLAN_CHECK(first >= 1 && first <= last);
  SmallestPlan smallest;
  int failed = first - 1;
  // Doubling the distance from the bound finds a size that does; what lies between is bisected.
  for (int step = 1, rung = first;; step *= 2) {
    PlanRun run = run_plan(question, replica, replicas_of(rung));
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
    PlanRun run = run_plan(question, replica, replicas_of(middle));
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
