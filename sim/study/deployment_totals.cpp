#include <fmt/core.h>

#include "study/result.hpp"

namespace moeplan {

DeploymentTotals deployment_totals(const Scenario& scenario, const Result& result) {
  DeploymentTotals t;
  const auto add = [&](const Scenario& s, const Result& r) {
    t.gpus += s.placed_gpus();
    if (r.throughput) {
      t.requests_per_s += r.throughput->requests_per_s;
      t.output_tokens_per_s += r.throughput->output_tokens_per_s;
    }
    t.requests.arrived += r.requests.arrived;
    t.requests.completed += r.requests.completed;
    t.requests.rejected += r.requests.rejected;
    t.requests.preempted += r.requests.preempted;
    t.requests.in_flight += r.requests.in_flight;
    t.requests.failed += r.requests.failed;
    t.requests.retries += r.requests.retries;
    t.requests.turned_away += r.requests.turned_away;
    if (r.cost) t.usd_per_hour = t.usd_per_hour.value_or(0) + r.cost->usd_per_hour;
  };
  add(scenario, result);
  for (std::size_t i = 0; i < result.others.size(); ++i) add(scenario.others[i], result.others[i]);
  return t;
}

std::string deployments_text(const Scenario& scenario, const Result& result) {
  if (result.others.empty()) return {};
  std::string text = fmt::format("\n{:<28} {:>5} {:>11} {:>10} {:>9} {:>10} {:>10}\n", "deployments", "GPUs", "requests/s", "tokens/s", "GPUs busy", "TTFT p99", "TPOT p99");
  const auto add = [&](const Scenario& s, const Result& r) {
    const auto p99 = [&](LatencyMetric m) { return r.latency ? (*r.latency)[static_cast<std::size_t>(m)].p99 : 0.0; };
    text += fmt::format("  {:<26.26} {:>5} {:>11.2f} {:>10.0f} {:>7.0f} % {:>8.2f} s {:>7.1f} ms{}\n", s.name, s.placed_gpus(),
                        r.throughput ? r.throughput->requests_per_s : 0.0, r.throughput ? r.throughput->output_tokens_per_s : 0.0, r.utilisation * 100,
                        p99(LatencyMetric::kTtft), p99(LatencyMetric::kTpot) * 1e3, r.throughput && r.throughput->saturated ? "  SATURATED" : "");
    for (const ObjectiveResult& o : r.objectives) {
      if (!o.met) text += fmt::format("    {} not met\n", o.objective.key);
    }
  };
  add(scenario, result);
  for (std::size_t i = 0; i < result.others.size(); ++i) add(scenario.others[i], result.others[i]);
  const DeploymentTotals t = deployment_totals(scenario, result);
  text += fmt::format("  {:<26} {:>5} {:>11.2f} {:>10.0f}", "together", t.gpus, t.requests_per_s, t.output_tokens_per_s);
  if (t.usd_per_hour) text += fmt::format("   {:.2f} USD/h", *t.usd_per_hour);
  return text + "\n";
}

}  // namespace moeplan
