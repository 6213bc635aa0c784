#include "study/plan_front.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "study/plan_words.hpp"

namespace moeplan {

namespace {

constexpr std::size_t kMostRows = 10;

/// "86 % tpot_p99": the latency objective that is used up most; else the median end-to-end time.
std::string latency_text(const PlanFigures& plan, const std::vector<Objective>& objectives) {
  const double tightest = tightest_objective(plan, objectives);
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    const Objective& o = objectives[i];
    if (o.kind != ObjectiveKind::kLatency || plan.objectives[i] / o.bound < tightest) continue;
    return fmt::format("{:.0f} % of {}", tightest * 100, o.key);
  }
  return fmt::format("e2e p50 {:.3g} s", tightest);
}

std::string row_text(const PlanSpace& space, const PlanAnswer& answer, std::size_t index) {
  const PlanCandidate& c = space.candidates[index];
  const PlanFigures& plan = *answer.outcomes[index].plan;
  const DeploymentConfig& d = space.groups[c.group].config;
  const Precision weights = d.model.is_moe() ? d.precision.experts : d.precision.weights;
  return fmt::format("  {:>9.2f} {:>5}  {:<20} {:>10.0f} {:>9}  {} on {}: {}{} x ({}), {}, at most {} requests and {} tokens a batch{}\n", plan.price.usd_per_hour, plan.size.gpus,
                     latency_text(plan, space.objectives), plan.served.output_tokens, plan.price.mean_w ? watts_text(*plan.price.mean_w) : "unknown", d.model.id,
                     d.cluster.gpu.id, prefill_pool_text(space, index, plan), plan.size.serving + plan.size.spare, layout_text(d.layout), to_string(weights),
                     c.scheduler.max_batch_requests, c.scheduler.max_batch_tokens, space.bases[space.groups[c.group].base].features_id);
}

}  // namespace

std::string prefill_pool_text(const PlanSpace& space, std::size_t candidate, const PlanFigures& plan) {
  if (!plan.size.pools()) return {};
  const DeploymentConfig& d = space.groups[space.candidates[candidate].group].pools->prefill;
  const PoolSize& size = plan.size.prefill;
  return fmt::format("{} x ({}) on {} for prefill and ", size.serving + size.spare, layout_text(d.layout), d.cluster.gpu.id);
}

std::string front_text(const PlanSpace& space, const PlanAnswer& answer) {
  if (!answer.best) return {};
  const std::string reach = fmt::format("up to {:g} x its cost", space.search.pareto_up_to);
  if (answer.pareto.size() == 1) return "Pareto front: the plan alone; none " + reach + " is better in latency, throughput or power\n";
  std::string text = fmt::format("Pareto front: what paying more buys, {}\n  {:>9} {:>5}  {:<20} {:>10} {:>9}\n", reach, "USD/h", "GPUs", "latency", "tokens/s", "power");
  for (std::size_t k = 0; k < std::min(answer.pareto.size(), kMostRows); ++k) text += row_text(space, answer, answer.pareto[k]);
  if (answer.pareto.size() > kMostRows) text += fmt::format("  and {} more (plan.pareto of --json)\n", answer.pareto.size() - kMostRows);
  return text;
}

}  // namespace moeplan
