#include "study/plan_confidence.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>

namespace moeplan {

namespace {

/// Room for `replicas` on a cluster, in nodes of its own.
void make_room(const ParallelLayout& layout, int replicas, int nodes_beside, int gpus_beside, ClusterSpec& cluster) {
  const int nodes = nodes_of(replicas, layout.gpus(), cluster.node.gpus);
  cluster.nodes = std::max(cluster.nodes, nodes + nodes_beside);
  cluster.gpus = std::max(cluster.gpus, nodes * cluster.node.gpus + gpus_beside);
}

/// The plan's scenario with as many serving replicas.
Scenario enlarged(Scenario scenario, PlanCounts counts) {
  scenario.replicas = counts.serving;
  if (!scenario.disaggregation) {
    make_room(scenario.deployment.layout, counts.serving, 0, 0, scenario.deployment.cluster);
    return scenario;
  }
  DisaggregationSpec& pools = *scenario.disaggregation;
  pools.prefill_replicas = counts.prefill;
  make_room(pools.prefill.layout, counts.prefill, 0, 0, pools.prefill.cluster);
  const ClusterSpec& beside = pools.prefill.cluster;
  const bool own = pools.own_cluster;
  const int prefill_gpus = counts.prefill * pools.prefill.layout.gpus();
  make_room(scenario.deployment.layout, counts.serving, own ? 0 : nodes_for(beside.node, prefill_gpus), own ? 0 : prefill_gpus, scenario.deployment.cluster);
  return scenario;
}

/// The fewest replicas, in the plan's proportion, that `sure` holds of; nothing: not even four times as many.
std::optional<int> fewest_sure(const PlanProportion& counts, const std::function<bool(int)>& sure) {
  const int most = 4 * counts.most();
  int low = counts.most();
  int high = low;
  bool found = false;
  for (int step = 1; !found && low < most; step *= 2) {
    high = std::min(most, low + step);
    found = sure(high);
    if (!found) low = high;
  }
  if (!found) return std::nullopt;
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    (sure(middle) ? high : low) = middle;
  }
  return high;
}

/// GPUs beside the plan's for as many replicas; nothing where they are more than may be bought.
std::optional<int> extra_gpus(const PlanSpace& space, const PlanGroup& group, const PlanFigures& plan, PlanCounts needed) {
  const CostSpec& cost = space.bases[group.base].scenario.cost;
  const auto gpus_of = [&](const DeploymentConfig& d, int replicas) {
    return pack(pack_replicas(d.layout.gpus(), d.cluster.node.gpus), packing_rule(cost, d.cluster), {replicas, nodes_down(space.search.reliability), 0, 0}).gpus;
  };
  const auto gpus_for = [&](PlanCounts replicas) {
    return gpus_of(group.config, replicas.serving) + (group.pools ? gpus_of(group.pools->prefill, replicas.prefill) : 0);
  };
  const std::vector<int>& stated = space.search.counts;
  // Beside what the plan's own replicas take by the same rule: it may hold more of them for maintenance. GPUs of a stated number may be left over.
  const int planned = stated.empty() ? gpus_for({plan.size.serving, plan.size.prefill.serving}) : plan.size.gpus;
  const int extra = std::max(0, gpus_for(needed) - planned);
  if (extra == 0 || stated.empty()) return extra;
  const auto enough = std::find_if(stated.begin(), stated.end(), [&](int gpus) { return gpus >= planned + extra; });
  return enough == stated.end() ? std::nullopt : std::optional(*enough - planned);
}

}  // namespace

PlanConfidence assess_plan(const PlanSpace& space, const PlanAnswer& answer, const ErrorModel& errors, UncertaintyOptions options) {
  const PlanFigures& plan = *answer.outcomes[*answer.best].plan;
  options.sensitivity = options.sharpen = true;
  const std::string plan_key = fmt::format("{} {} confidence", space.candidates[*answer.best].id, replicas_text(plan.size));
  options.store_as = plan_key;
  PlanConfidence confidence;
  confidence.uncertainty = assess(answer.scenario, errors, options);
  const PlanProportion counts(plan.size);
  std::optional<int> replicas = counts.most();
  if (confidence.uncertainty.probability_met < kPlanConfidence) {
    const auto sure = [&](int n) {
      options.store_as = fmt::format("{} with {}", plan_key, n);
      return probability_of_meeting(enlarged(answer.scenario, counts(n)), errors, options, confidence.uncertainty.scores, kPlanConfidence) >= kPlanConfidence;
    };
    try {
      replicas = fewest_sure(counts, sure);
    } catch (const OutOfTime&) {
      confidence.size_known = false;
      return confidence;
    }
  }
  if (!replicas) return confidence;
  const PlanCounts needed = counts(*replicas);
  confidence.replicas = needed.all();
  confidence.counts = needed;
  confidence.extra_gpus = extra_gpus(space, space.groups[space.candidates[*answer.best].group], plan, needed);
  return confidence;
}

}  // namespace moeplan
