#include <algorithm>
#include <cmath>

#include "study/plan.hpp"

namespace moeplan {

namespace {

/// In steps of one per cent; the order of values is kept.
double in_steps(double value) { return value > 0 ? std::round(std::log(value) / std::log(1.01)) : -1e9; }

}  // namespace

bool ParetoPoint::dominates(const ParetoPoint& o) const {
  const bool no_worse = usd_per_hour <= o.usd_per_hour && tightest_objective <= o.tightest_objective && minus_throughput <= o.minus_throughput && watts <= o.watts;
  return no_worse && !(*this == o);
}

ParetoPoint pareto_point(const PlanFigures& plan, const std::vector<Objective>& objectives) {
  double tightest = 0;
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    if (objectives[i].kind == ObjectiveKind::kLatency) tightest = std::max(tightest, plan.objectives[i] / objectives[i].bound);
  }
  if (!(tightest > 0)) tightest = plan.latency[static_cast<std::size_t>(LatencyMetric::kE2e)].p50;
  ParetoPoint point;
  point.usd_per_hour = plan.price.usd_per_hour;
  point.tightest_objective = in_steps(tightest);
  point.minus_throughput = -in_steps(plan.throughput.output_tokens_per_s);
  point.watts = in_steps(plan.price.mean_w);
  return point;
}

}  // namespace moeplan
