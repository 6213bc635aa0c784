#include "study/plan_trial.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study/plan_evaluate.hpp"
#include "study/scenario_fleet.hpp"
#include "study/simulation.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

void place_fleet(FleetSpec fleet, int spare_replicas, PlanTrial& trial) {
  Scenario& s = trial.scenario;
  if (s.disaggregation) {
    if (fleet.autoscaling) trial.notes.push_back("the plan has pools, which do not scale: autoscaling is left out");
    fleet.autoscaling.reset();
  } else {
    s.replicas += spare_replicas;
    s.spare_gpus = std::max(0, s.spare_gpus - spare_replicas * s.deployment.layout.gpus());
    s.spread = true;
  }
  fleet.first_replicas = s.replicas;
  fleet.spare_replicas = 0;
  if (auto& a = fleet.autoscaling) {
    a->max_replicas = s.replicas;
    a->min_replicas = std::min(a->min_replicas, a->max_replicas);
  }
  s.fleet = fleet;
}

void place_failures(FailureConfig failures, PlanTrial& trial) {
  Scenario& s = trial.scenario;
  const int nodes = s.deployment.cluster.nodes + (s.disaggregation && s.disaggregation->own_cluster ? s.disaggregation->prefill.cluster.nodes : 0);
  std::erase_if(failures.given, [&](const GivenFailure& g) {
    if (g.node < nodes) return false;
    trial.notes.push_back(fmt::format("the plan has {} {}: node {} does not fail", nodes, nodes == 1 ? "node" : "nodes", g.node));
    return true;
  });
  if (failures.on()) s.failures = failures;
}

}  // namespace

bool PlanTrial::met() const {
  return std::all_of(result.objectives.begin(), result.objectives.end(), [](const ObjectiveResult& o) { return o.met; });
}

std::optional<PlanTrial> try_plan(const std::optional<FleetSpec>& fleet, const std::optional<FailureConfig>& failures, const Scenario& best, int spare_replicas,
                                  StudyLibraries& shared, const TimeIsOver& out_of_time) {
  if (!fleet && !failures) return std::nullopt;
  PlanTrial trial{best, {}, {}};
  place_fleet(fleet.value_or(default_fleet(best.deployment.cluster.node, best.replicas)), spare_replicas, trial);
  if (failures) place_failures(*failures, trial);
  RunOptions options;
  options.shared = &shared;
  options.out_of_time = out_of_time;
  trial.result = run_scenario(trial.scenario, options);
  if (trial.scenario.failures && trial.result.fleet && trial.result.fleet->node_failures == 0) {
    trial.notes.push_back(fmt::format("no node failed within the {:.0f} s of the run: state `times`, or more requests", trial.result.duration_s));
  }
  return trial;
}

json trial_section(const PlanTrial& trial, const DataRoot& data) {
  const json result = json::parse(result_json(trial.scenario, trial.result, data));
  json out;
  for (const char* key : {"fleet", "latency", "throughput", "requests", "objectives", "utilisation"}) {
    if (result.contains(key)) out[key] = result[key];
  }
  out["notes"] = trial.notes;
  return out;
}

std::string trial_text(const PlanTrial& trial) {
  std::string text = "tried with what is stated of fleets and failures (no part of the search)\n";
  for (const ObjectiveResult& o : trial.result.objectives) {
    const bool latency = o.objective.kind == ObjectiveKind::kLatency;
    // A latency within its bound does not count when the queue grows without end.
    const bool only_saturated = latency && !o.met && o.value && *o.value <= o.objective.bound;
    text += fmt::format("  {:<28} {:>10}  {} {:<10}  {}\n", o.objective.key, o.value ? objective_value_text(o.objective, *o.value) : "none", latency ? "<=" : ">=",
                        objective_value_text(o.objective, o.objective.bound), o.met ? "met" : only_saturated ? "NOT MET (saturated)" : "NOT MET");
  }
  for (const std::string& warning : trial.result.warnings) {
    if (warning.starts_with("saturated")) text += "  " + warning + "\n";
  }
  if (trial.result.fleet) text += fleet_text(*trial.result.fleet).substr(std::string("\nfleet\n").size());
  for (const std::string& note : trial.notes) text += "  " + note + "\n";
  return text;
}

}  // namespace moeplan
