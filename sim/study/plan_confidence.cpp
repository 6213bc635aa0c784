#include "study/plan_confidence.hpp"

#include <algorithm>

namespace moeplan {

namespace {

/// Room for `replicas` on a cluster, in nodes of its own.
void make_room(const ParallelLayout& layout, int replicas, int nodes_beside, int gpus_beside, ClusterSpec& cluster) {
  const PlanSize size = size_of(pack_replicas(layout.gpus(), cluster.node.gpus), cluster.node.gpus, replicas, 0);
  cluster.nodes = std::max(cluster.nodes, size.nodes + nodes_beside);
  cluster.gpus = std::max(cluster.gpus, size.gpus + gpus_beside);
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

}  // namespace

PlanConfidence assess_plan(const PlanSpace& space, const PlanAnswer& answer, const ErrorModel& errors, StudyLibraries& shared, int jobs,
                           const std::function<void(double)>& progress) {
  const PlanFigures& plan = *answer.outcomes[*answer.best].plan;
  const PlanGroup& group = space.groups[space.candidates[*answer.best].group];
  UncertaintyOptions options;
  options.jobs = jobs;
  options.shared = &shared;
  options.progress = progress;
  options.sensitivity = true;
  PlanConfidence confidence;
  confidence.uncertainty = assess(answer.scenario, errors, options);
  options.sensitivity = false;
  const PlanProportion counts(plan.size);
  const auto sure = [&](int replicas) { return assess(enlarged(answer.scenario, counts(replicas)), errors, options).probability_met >= kPlanConfidence; };
  int low = counts.most();
  int high = low;
  if (confidence.uncertainty.probability_met < kPlanConfidence) {
    const int most = 4 * counts.most();
    bool found = false;
    for (int step = 1; !found && low < most; step *= 2) {
      high = std::min(most, low + step);
      found = sure(high);
      if (!found) low = high;
    }
    if (!found) return confidence;
    while (high - low > 1) {
      const int middle = low + (high - low) / 2;
      (sure(middle) ? high : low) = middle;
    }
  }
  const auto gpus_of = [&](const DeploymentConfig& d, int replicas) {
    const ReplicaPacking packing = pack_replicas(d.layout.gpus(), d.cluster.node.gpus);
    return size_of(packing, d.cluster.node.gpus, replicas, nodes_down(space.search.reliability)).gpus;
  };
  const PlanCounts needed = counts(high);
  confidence.replicas = needed.all();
  const int gpus = gpus_of(group.config, needed.serving) + (group.pools ? gpus_of(group.pools->prefill, needed.prefill) : 0);
  confidence.extra_gpus = std::max(0, gpus - plan.size.gpus);
  return confidence;
}

}  // namespace moeplan
