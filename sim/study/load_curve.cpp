#include "study/load_curve.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "study/deployment.hpp"
#include "study/simulation.hpp"
#include "study/steady_load.hpp"
#include "workload/lengths.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// Shares of the saturation throughput at which the load is offered.
constexpr std::array kShares = {0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1};
constexpr std::uint64_t kMeanOver = 100'000;
/// Percentiles near saturation are made by a few long queues: of Llama-3.1-70B on four H100, the 99th of TPOT is 70 to 94 ms in runs of 4,000 requests, 67 to
/// 69 ms in those of 20,000, and 75 to 77 ms in those of 80,000. What decides is run for 40,000 (3 % off, and the capacity 2 %); low loads, whose steps are
/// many, for less.
constexpr double kRequests = 5'000;
constexpr double kSaturatedRequests = 20'000;
constexpr double kFewestRequests = 800;
constexpr double kMostRequests = 200'000;
constexpr double kLoadOfAllRequests = 0.6;  ///< share of saturation from which a point has them all
constexpr double kTimesHeld = 20;           ///< requests of a run, of those that the deployment holds
constexpr double kLonger = 8;               ///< a run whose verdict is not yet certain is lengthened by this, once
constexpr double kNearBound = 0.3;          ///< a percentile that is off its bound by a smaller share needs the longer run
constexpr double kCapacityStep = 0.015;     ///< of saturation, to which the capacity is found
constexpr double kWavesBefore = 4;          ///< of a closed loop, before it is measured
constexpr double kCycles = 8;               ///< of bursts and conversations, that a point of the curve lasts
constexpr double kUnservedAfterBurst = 0.95;  ///< served of offered: what only seems not to keep up with bursts and conversations serves more

double trace_rate(const ArrivalConfig& arrivals) {
  const double span = to_seconds(arrivals.trace->last - arrivals.trace->first).value();
  return span > 0 ? static_cast<double>(arrivals.trace->rows - 1) / span : 0.0;
}

double batch_slots(const Scenario& scenario) {
  return static_cast<double>(scenario.deployment.scheduler.max_batch_requests) * scenario.deployment.layout.attention_data * scenario.replicas;
}

/// Requests that the deployment can hold: batch slots, or KV cache at mean contexts where that is less.
double most_in_flight(const Scenario& scenario, const Deployment& deployment, const MeanLengths& lengths) {
  const double held = scenario.replicas * sequences_in(deployment.memory().plan, lengths.prompt_tokens + lengths.output_tokens / 2);
  return std::clamp(held, static_cast<double>(scenario.replicas), batch_slots(scenario));
}

/// Latencies and throughput alone: no request log, one run.
Result run_at(const Scenario& scenario, const Deployment& deployment, WorkloadConfig workload) {
  Scenario run = scenario;
  run.workload = std::move(workload);
  // What all replicas bear together: nothing scales or fails.
  run.fleet.reset();
  run.failures.reset();
  run.others.clear();
  return run_on(run, deployment, {});
}

/// At a share of the saturation throughput, with `held` requests in flight.
double requests_for(double share, double held) {
  const double requests = std::max(kFewestRequests, kRequests * std::min(1.0, share / kLoadOfAllRequests));
  return std::min(kMostRequests, std::max(requests, kTimesHeld * held));
}

/// Share of the requests that fit the model's context and the KV cache: the others are rejected at any load.
double fitting(const Result& result) {
  const auto all = static_cast<double>(result.requests.arrived);
  const auto of = [&](RejectReason why) { return static_cast<double>(result.requests.rejected_by[static_cast<std::size_t>(why)]); };
  return all > 0 ? std::max(0.01, 1 - (of(RejectReason::kTooLong) + of(RejectReason::kDoesNotFit)) / all) : 1;
}

/// Conversations and classes with arrivals of their own have no closed loop: the load is doubled until it is not served. A flood then serves the first turns
/// of many conversations, and later ones, with their longer contexts, hardly come: what it serves is offered again until that is served.
Result run_flooded(const Scenario& scenario, const Deployment& deployment, double in_flight) {
  static constexpr int kMostDoublings = 30;
  static constexpr int kMostAgain = 6;
  static constexpr double kBeyondServed = 1.05;
  static constexpr double kAsMuch = 0.97;
  static constexpr double kFlooded = 0.8;  // served of offered: well beyond what the edges of a run leave unserved
  const auto requests = static_cast<std::uint64_t>(std::max(kSaturatedRequests, requests_for(1, in_flight)));
  const std::uint64_t warmup = requests / 4;
  double rate = std::max(1e-3, request_rate(scenario.workload));
  const auto run = [&](double at) { return run_at(scenario, deployment, at_rate(scenario.workload, at, requests, warmup)); };
  Result result = run(rate);
  for (int doubling = 0; doubling < kMostDoublings && !(result.throughput->requests_per_s < kFlooded * fitting(result) * rate); ++doubling) result = run(rate *= 2);
  for (int again = 0; again < kMostAgain && result.throughput->requests_per_s > 0; ++again) {
    Result gentle = run(kBeyondServed * result.throughput->requests_per_s / fitting(result));
    if (!(gentle.throughput->requests_per_s < kAsMuch * result.throughput->requests_per_s)) break;
    result = std::move(gentle);
  }
  return result;
}

/// Time in which arrivals show all that they do: once through the states of bursts, once through a conversation.
double cycle_seconds(const WorkloadConfig& workload) {
  const auto states = [](const ArrivalConfig& arrivals) {
    double seconds = 0;
    for (const RateState& state : arrivals.states) seconds += state.mean_seconds;
    return seconds;
  };
  double longest = states(workload.arrivals);
  for (const WorkloadClass& c : workload.classes) {
    if (c.arrivals) longest = std::max(longest, states(*c.arrivals));
    if (c.sessions.on) longest = std::max(longest, mean_tokens(c.sessions.turns) * c.sessions.think_seconds);
  }
  return longest;
}

Result run_closed(const Scenario& scenario, const Deployment& deployment, double in_flight) {
  WorkloadConfig workload = at_rate(scenario.workload, 1, 0, 0);
  workload.arrivals = {};
  workload.arrivals.process = ArrivalProcess::kClosed;
  workload.arrivals.concurrency = static_cast<std::int32_t>(std::ceil(1.1 * in_flight));
  workload.requests = static_cast<std::uint64_t>(std::max(kSaturatedRequests, requests_for(1, in_flight)));
  workload.warmup_requests = std::min(workload.requests - 1, static_cast<std::uint64_t>(kWavesBefore * in_flight));
  read_lengths_from(scenario.workload.arrivals.file, workload);
  return run_at(scenario, deployment, std::move(workload));
}

/// `in_flight`: what the deployment is thought to hold; risen where it holds more (contexts differ, and preempt each other).
Result run_saturated(const Scenario& scenario, const Deployment& deployment, double& in_flight) {
  static constexpr double kGain = 1.02;
  if (mixes(scenario.workload)) return run_flooded(scenario, deployment, in_flight);
  Result best = run_closed(scenario, deployment, in_flight);
  while (in_flight < batch_slots(scenario)) {
    const double more = std::min(2 * in_flight, batch_slots(scenario));
    Result result = run_closed(scenario, deployment, more);
    const double gain = result.throughput->requests_per_s / best.throughput->requests_per_s;
    if (gain > 1) best = std::move(result);
    if (!(gain > kGain)) break;
    in_flight = more;
  }
  return best;
}

using Judgement = std::function<void(const ObjectiveResult&)>;

/// Every latency objective of a result, of its classes too.
void for_latency_objectives(const Result& result, const Judgement& visit) {
  const auto all = [&](const std::vector<ObjectiveResult>& objectives) {
    for (const ObjectiveResult& o : objectives) {
      if (o.objective.kind == ObjectiveKind::kLatency) visit(o);
    }
  };
  all(result.objectives);
  for (const ClassSummary& c : result.classes) all(c.objectives);
}

/// Whether a longer run could judge otherwise: an objective is nearly met or just met, or the run is short beside its latencies or seems not to keep up.
bool is_close(const Result& result, double rate, double requests) {
  const LatencySummary& e2e = (*result.latency)[static_cast<std::size_t>(LatencyMetric::kE2e)];
  bool close = result.throughput->saturated || requests < kSteadyLatencies * e2e.mean * rate;
  for_latency_objectives(result, [&](const ObjectiveResult& o) { close = close || (o.value && std::abs(*o.value / o.objective.bound - 1) < kNearBound); });
  return close;
}

/// The scenario under a constant load, for as long as it takes to judge it. `held`: requests in flight.
Result run_steady(const Scenario& scenario, const Deployment& deployment, double rate, double share, double held) {
  double requests = std::max(requests_for(share, held), std::min(kMostRequests, kCycles * cycle_seconds(scenario.workload) * rate));
  const auto run = [&] {
    const double warmup = std::max({100.0, 2 * held, requests / 10});
    return run_at(scenario, deployment, at_rate(scenario.workload, rate, static_cast<std::uint64_t>(requests + warmup), static_cast<std::uint64_t>(warmup)));
  };
  Result result = run();
  if (share >= 1 || requests >= kMostRequests || !is_close(result, rate, requests)) return result;
  requests = std::min(kMostRequests, kLonger * requests);
  return run();
}

/// `saturation`: requests per second; `in_flight`: requests held when saturated.
LoadPoint run_point(const Scenario& scenario, const Deployment& deployment, double rate, double saturation, double in_flight) {
  const double share = rate / saturation;
  const Result result = run_steady(scenario, deployment, rate, share, std::min(1.0, share) * in_flight);
  const auto latency = [&](LatencyMetric metric) -> const LatencySummary& { return (*result.latency)[static_cast<std::size_t>(metric)]; };
  LoadPoint point;
  point.offered_per_s = rate;
  point.requests_per_s = result.throughput->requests_per_s;
  point.output_tokens_per_s = result.throughput->output_tokens_per_s;
  point.total_tokens_per_s = result.throughput->total_tokens_per_s;
  point.ttft_p50_s = latency(LatencyMetric::kTtft).p50;
  point.ttft_p99_s = latency(LatencyMetric::kTtft).p99;
  if (latency(LatencyMetric::kTpot).count > 0) {
    point.tpot_p50_s = latency(LatencyMetric::kTpot).p50;
    point.tpot_p99_s = latency(LatencyMetric::kTpot).p99;
  }
  point.e2e_mean_s = latency(LatencyMetric::kE2e).mean;
  point.busy = result.utilisation;
  // A short run far beyond saturation may end before its queue gives it away.
  // A backlog that a burst or the end of long conversations leaves is none.
  const bool uneven = cycle_seconds(scenario.workload) > 0;
  point.saturated = rate >= saturation || (result.throughput->saturated && (!uneven || point.requests_per_s < kUnservedAfterBurst * *result.throughput->offered_per_s));
  point.within_objectives = !point.saturated;
  for_latency_objectives(result, [&](const ObjectiveResult& o) { point.within_objectives = point.within_objectives && o.value && *o.value <= o.objective.bound; });
  return point;
}

/// Between the last point within the objectives before the first outside, and that one, by bisection.
template <class Run>
double find_capacity(const std::vector<LoadPoint>& points, double saturation, Run run) {
  const auto first_bad = std::find_if(points.begin(), points.end(), [](const LoadPoint& p) { return !p.within_objectives; });
  if (first_bad == points.begin()) return 0;
  double low = std::prev(first_bad)->offered_per_s;
  if (first_bad == points.end()) return low;
  double high = first_bad->offered_per_s;
  while (high - low > kCapacityStep * saturation) {
    const double middle = (low + high) / 2;
    (run(middle).within_objectives ? low : high) = middle;
  }
  return low;
}

}  // namespace

double sequences_in(const MemoryPlan& memory, double tokens) {
  return memory.kv_pool.as_double() / std::max(1.0, memory.kv_layout.cost(static_cast<std::int64_t>(std::ceil(tokens))).as_double());
}

void read_lengths_from(const std::filesystem::path& trace, WorkloadConfig& workload) {
  for (WorkloadClass& c : workload.classes) {
    for (LengthConfig* lengths : {&c.prompt_tokens, &c.output_tokens}) {
      if (lengths->kind == LengthKind::kTrace && lengths->file.empty()) lengths->file = trace;
    }
  }
}

WorkloadConfig at_rate(const WorkloadConfig& workload, double rate, std::uint64_t requests, std::uint64_t warmup) {
  WorkloadConfig out = workload;
  ArrivalConfig& arrivals = out.arrivals;
  arrivals.hourly_factors.clear();
  if (mixes(workload) && request_rate(workload) > 0) {
    scale_rates(out, rate / request_rate(workload));
    for (WorkloadClass& c : out.classes) {
      if (c.arrivals) c.arrivals->hourly_factors.clear();
    }
    out.requests = requests;
    out.warmup_requests = warmup;
    return out;
  }
  const double recorded = arrivals.process == ArrivalProcess::kTrace ? trace_rate(arrivals) : 0.0;
  if (arrivals.process == ArrivalProcess::kMarkovModulated) {
    scale_rates(out, rate / mean_rate(arrivals));
  } else if (recorded > 0) {
    arrivals.speedup = rate / recorded;
    arrivals.repeat = true;
  } else {
    if (arrivals.process == ArrivalProcess::kTrace) read_lengths_from(arrivals.file, out);
    if (arrivals.process != ArrivalProcess::kGamma) arrivals.process = ArrivalProcess::kPoisson;
    arrivals.rate = rate;
  }
  out.requests = requests;
  out.warmup_requests = warmup;
  return out;
}

MeanLengths mean_lengths(const WorkloadConfig& workload, std::uint64_t seed) {
  MeanLengths mean;
  if (mixes(workload)) {  // later turns come only after answers
    for (const ClassMeans& c : class_means(workload)) {
      mean.prompt_tokens += c.request_share * c.prompt_tokens;
      mean.output_tokens += c.request_share * c.output_tokens;
    }
    return mean;
  }
  return mean_of_all(at_rate(workload, 1, kMeanOver, 0), seed);
}

MeanLengths mean_of_all(const WorkloadConfig& workload, std::uint64_t seed) {
  MeanLengths mean;
  const auto source = make_request_source(workload, seed);
  double count = 0;
  while (const auto request = source->next()) {
    mean.prompt_tokens += request->prompt_tokens;
    mean.output_tokens += request->output_tokens;
    count += 1;
  }
  mean.prompt_tokens /= count;
  mean.output_tokens /= count;
  return mean;
}

LoadCurve load_curve(const Scenario& scenario, const Deployment& deployment) {
  LoadCurve curve;
  curve.has_objectives = !scenario.class_objectives.empty() || std::any_of(scenario.objectives.begin(), scenario.objectives.end(),
                                     [](const Objective& o) { return o.kind == ObjectiveKind::kLatency; });
  double in_flight = most_in_flight(scenario, deployment, mean_lengths(scenario.workload, scenario.seed));
  const Result full = run_saturated(scenario, deployment, in_flight);
  curve.saturation_requests_per_s = full.throughput->requests_per_s;
  curve.saturation_output_tokens_per_s = full.throughput->output_tokens_per_s;
  if (!(curve.saturation_requests_per_s > 0)) return curve;
  const auto run = [&](double rate) { return run_point(scenario, deployment, rate, curve.saturation_requests_per_s, in_flight); };
  curve.points.resize(kShares.size());
  tbb::parallel_for(std::size_t{0}, kShares.size(),
                    [&](std::size_t i) { curve.points[i] = run(kShares[i] * curve.saturation_requests_per_s); });
  const auto power = [](const LoadPoint& p) { return p.saturated || !(p.e2e_mean_s > 0) ? 0.0 : p.requests_per_s / p.e2e_mean_s; };
  curve.knee_per_s = std::max_element(curve.points.begin(), curve.points.end(), [&](const LoadPoint& a, const LoadPoint& b) {
                       return power(a) < power(b);
                     })->offered_per_s;
  curve.capacity_per_s = find_capacity(curve.points, curve.saturation_requests_per_s, run);
  return curve;
}

}  // namespace moeplan
