#include "study/uncertainty_sample.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "study/plan_load.hpp"

namespace moeplan {

namespace {

/// Logarithm of value / bound, or bound / value of a minimum.
double strain_of(const ObjectiveResult& o, bool saturated) {
  constexpr double kMost = 10;           // nothing came of it
  constexpr double kSaturated = 0.05;    // a latency within its bound does not count then
  if (!o.value || !(*o.value > 0)) return kMost;
  const bool latency = o.objective.kind == ObjectiveKind::kLatency;
  const double strain = std::clamp(latency ? std::log(*o.value / o.objective.bound) : std::log(o.objective.bound / *o.value), -kMost, kMost);
  return latency && saturated ? std::max(strain, kSaturated) : strain;
}

}  // namespace

/// Whether a throughput objective asks for more than arrives.
bool asks_beyond_offer(const Scenario& scenario) {
  const auto minimum = [](const Objective& o) { return o.kind != ObjectiveKind::kLatency; };
  if (std::none_of(scenario.objectives.begin(), scenario.objectives.end(), minimum)) return false;
  const auto offered = offered_load(scenario.workload, scenario.seed);
  return offered && std::any_of(scenario.objectives.begin(), scenario.objectives.end(), [&](const Objective& o) {
    return minimum(o) && o.bound > (o.kind == ObjectiveKind::kOutputTokensPerSecond ? offered->output_tokens_per_s : offered->requests_per_s);
  });
}

/// Times to first token, and what contains them, under the factor that the simulation does not know.
void stretch_first_token(Result& result, double factor) {
  if (!result.latency) return;
  auto& latency = *result.latency;
  LatencySummary& ttft = latency[static_cast<std::size_t>(LatencyMetric::kTtft)];
  LatencySummary& e2e = latency[static_cast<std::size_t>(LatencyMetric::kE2e)];
  const double longer = (factor - 1) * ttft.mean;
  for (double LatencySummary::*value : {&LatencySummary::mean, &LatencySummary::p50, &LatencySummary::p90, &LatencySummary::p95, &LatencySummary::p99,
                                        &LatencySummary::max}) {
    ttft.*value *= factor;
    e2e.*value = std::max(0.0, e2e.*value + longer);
  }
  const bool saturated = result.throughput && result.throughput->saturated;
  const auto stretch = [&](ObjectiveResult& o) {
    if (o.objective.kind != ObjectiveKind::kLatency || !o.value) return;
    if (o.objective.statistic.metric == LatencyMetric::kTtft) *o.value *= factor;
    else if (o.objective.statistic.metric == LatencyMetric::kE2e) *o.value = std::max(0.0, *o.value + longer);
    else return;
    o.met = *o.value <= o.objective.bound && !saturated;
  };
  std::for_each(result.objectives.begin(), result.objectives.end(), stretch);
  for (ClassSummary& c : result.classes) std::for_each(c.objectives.begin(), c.objectives.end(), stretch);
}

DrawnRun sample_of(const Result& result) {
  DrawnRun sample;
  if (!result.latency) return sample;
  const bool saturated = result.throughput->saturated;
  for (const LatencyMetric metric : kLatencyMetrics) {
    const LatencySummary& l = (*result.latency)[static_cast<std::size_t>(metric)];
    if (l.count == 0) continue;
    const std::string name(to_string(metric));
    for (const auto& [statistic, value] : {std::pair("mean", l.mean), std::pair("p50", l.p50), std::pair("p90", l.p90), std::pair("p95", l.p95),
                                           std::pair("p99", l.p99), std::pair("max", l.max)}) {
      sample.metrics[name + "." + statistic] = value;
    }
  }
  sample.metrics["throughput.requests_per_s"] = result.throughput->requests_per_s;
  sample.metrics["throughput.output_tokens_per_s"] = result.throughput->output_tokens_per_s;
  // What is judged is not what the run's window measured (steady_load.hpp).
  for (const ObjectiveResult& o : result.objectives) {
    if (o.objective.kind != ObjectiveKind::kLatency && o.value) sample.metrics["objective." + o.objective.key] = *o.value;
  }
  const auto all_met = [](const std::vector<ObjectiveResult>& objectives) { return std::all_of(objectives.begin(), objectives.end(), [](const ObjectiveResult& o) { return o.met; }); };
  sample.met = all_met(result.objectives) && std::all_of(result.classes.begin(), result.classes.end(), [&](const ClassSummary& c) { return all_met(c.objectives); });
  for (const ObjectiveResult& o : result.objectives) sample.strain.push_back(strain_of(o, saturated));
  for (const ClassSummary& c : result.classes) {
    for (const ObjectiveResult& o : c.objectives) sample.strain.push_back(strain_of(o, saturated));
  }
  return sample;
}

std::string text_of(const DrawnRun& sample) { return nlohmann::json({sample.met, sample.beyond_offer, sample.metrics, sample.strain}).dump(); }

DrawnRun sample_from(const std::string& text) {
  const auto j = nlohmann::json::parse(text);
  return {j.at(2).get<std::map<std::string, double>>(), j.at(0).get<bool>(), j.at(1).get<bool>(), j.at(3).get<std::vector<double>>()};
}

}  // namespace moeplan
