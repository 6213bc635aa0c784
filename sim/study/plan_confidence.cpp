#include "study/plan_confidence.hpp"

#include <algorithm>

namespace moeplan {

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
  const auto sure = [&](int replicas) {
    Scenario scenario = answer.scenario;
    scenario.replicas = replicas;
    ClusterSpec& cluster = scenario.deployment.cluster;
    const PlanSize size = size_of(pack_replicas(scenario.deployment.layout.gpus(), cluster.node.gpus), cluster.node.gpus, replicas, 0);
    cluster.nodes = std::max(cluster.nodes, size.nodes);
    cluster.gpus = std::max(cluster.gpus, size.gpus);
    return assess(scenario, errors, options).probability_met >= kPlanConfidence;
  };
  int low = plan.size.serving;
  int high = low;
  if (confidence.uncertainty.probability_met < kPlanConfidence) {
    const int most = 4 * plan.size.serving;
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
  const DeploymentConfig& d = group.config;
  const ReplicaPacking packing = pack_replicas(d.layout.gpus(), d.cluster.node.gpus);
  confidence.replicas = high;
  const int gpus = size_of(packing, d.cluster.node.gpus, high, nodes_down(space.search.reliability)).gpus;
  confidence.extra_gpus = std::max(0, gpus - plan.size.gpus);
  return confidence;
}

}  // namespace moeplan
