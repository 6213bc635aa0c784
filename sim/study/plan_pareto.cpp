#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "study/plan.hpp"

namespace moeplan {

namespace {

/// In steps of one per cent; the order of values is kept.
double in_steps(double value) { return value > 0 ? std::round(std::log(value) / std::log(1.01)) : -1e9; }

}  // namespace

bool ParetoPoint::dominates(const ParetoPoint& o) const {
  if (usd_per_hour > o.usd_per_hour || tightest_objective > o.tightest_objective || minus_throughput > o.minus_throughput) return false;
  const bool better = usd_per_hour < o.usd_per_hour || tightest_objective < o.tightest_objective || minus_throughput < o.minus_throughput;
  if (!watts || !o.watts) return better;
  return *watts <= *o.watts && (better || *watts < *o.watts);
}

double tightest_objective(const PlanFigures& plan, const std::vector<Objective>& objectives) {
  double tightest = 0;
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    if (objectives[i].kind == ObjectiveKind::kLatency) tightest = std::max(tightest, plan.objectives[i] / objectives[i].bound);
  }
  return tightest > 0 ? tightest : plan.latency[static_cast<std::size_t>(LatencyMetric::kE2e)].p50;
}

std::tuple<double, double, double, double, std::size_t> plan_rank(const PlanSpace& space, const PlanAnswer& answer, std::size_t candidate) {
  const PlanFigures& plan = *answer.outcomes[candidate].plan;
  return {plan.price.usd_per_hour, tightest_objective(plan, space.objectives), -plan.served.output_tokens,
          plan.price.mean_w.value_or(std::numeric_limits<double>::infinity()), candidate};
}

ParetoPoint pareto_point(const PlanFigures& plan, const std::vector<Objective>& objectives) {
  ParetoPoint point;
  point.usd_per_hour = plan.price.usd_per_hour;
  point.tightest_objective = in_steps(tightest_objective(plan, objectives));
  // In the long run: the windows of runs differ by what their edges cut off.
  point.minus_throughput = -in_steps(plan.served.output_tokens);
  if (plan.price.mean_w) point.watts = in_steps(*plan.price.mean_w);
  return point;
}

void choose_plans(const PlanSpace& space, PlanAnswer& answer) {
  const std::vector<Objective>& objectives = space.objectives;
  std::vector<std::size_t> plans;
  for (std::size_t i = 0; i < answer.outcomes.size(); ++i) {
    if (answer.outcomes[i].plan) plans.push_back(i);
  }
  const auto figure = [&](std::size_t i) -> const PlanFigures& { return *answer.outcomes[i].plan; };
  std::sort(plans.begin(), plans.end(), [&](std::size_t a, std::size_t b) { return plan_rank(space, answer, a) < plan_rank(space, answer, b); });
  if (plans.empty()) return;
  answer.best = plans.front();
  const double most = figure(plans.front()).price.usd_per_hour * space.search.pareto_up_to;
  std::map<std::size_t, ParetoPoint> points;
  for (const std::size_t i : plans) points[i] = pareto_point(figure(i), objectives);
  for (std::size_t k = 0; k < plans.size(); ++k) {
    CandidateOutcome& outcome = answer.outcomes[plans[k]];
    const ParetoPoint& point = points[plans[k]];
    // Of equal ones the first stays; the cheapest plan stays anyway.
    const auto beats = [&](std::size_t other) { return points[other].dominates(point); };
    const auto equal = [&](std::size_t other) { return points[other] == point; };
    auto beaten = std::find_if(plans.begin(), plans.begin() + static_cast<long>(k), equal);
    if (beaten == plans.begin() + static_cast<long>(k)) beaten = std::find_if(plans.begin(), plans.end(), beats);
    const bool within = outcome.plan->price.usd_per_hour <= most;
    if (k == 0 || (beaten == plans.end() && within)) {
      answer.pareto.push_back(plans[k]);
      continue;
    }
    outcome.rejection = Rejection::kDearer;
    const std::string needs = fmt::format("does it with {} for {:.2f} USD/h", replicas_text(outcome.plan->size), outcome.plan->price.usd_per_hour);
    const bool power_known = beaten != plans.end() && point.watts && points[*beaten].watts;
    outcome.reason = beaten != plans.end() ? fmt::format("{}, but {} is no worse in {}", needs, space.candidates[*beaten].id,
                                                         power_known ? "cost, latency, throughput and power" : "cost, latency and throughput (power is not known)")
                                           : fmt::format("{}, over {:g} x the cheapest plan", needs, space.search.pareto_up_to);
  }
}

}  // namespace moeplan
