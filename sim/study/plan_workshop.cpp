#include "study/plan_workshop.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "study/anchor_study.hpp"
#include "study/measured_run.hpp"

namespace moeplan {

PlanWorkshop::PlanWorkshop(const PlanSpace& space, const DataRoot& data, const PlanOptions& options)
    : space_(space), data_(data), options_(options), factors_(load_factors(space.search.load, space.bases.front().scenario.workload)) {
  for (const PlanBase& b : space.bases) questions_.push_back(plan_question(b.scenario, factors_.peak));
  profile_ = profile_workload(questions_.front());
  for (std::size_t i = 0; i < space.groups.size(); ++i) states_.push_back(std::make_unique<GroupState>());
  if (!options.anchors.empty()) find_anchored();
}

void PlanWorkshop::find_anchored() {
  const std::vector<MeasuredRun> runs = read_measured_runs(options_.anchors);
  anchored_.resize(space_.groups.size());
  for (std::size_t i = 0; i < space_.groups.size(); ++i) {
    const PlanGroup& group = space_.groups[i];
    if (!group.refusal.empty()) continue;
    Scenario scenario = base(group);
    scenario.deployment = group.config;
    anchored_[i] = has_anchors(scenario, runs, data_);
  }
  if (std::none_of(anchored_.begin(), anchored_.end(), [](bool yes) { return yes; })) {
    throw InputError(options_.anchors.string(), "no row was measured on a candidate of the search");
  }
}

std::optional<AnchorFit> PlanWorkshop::fit_anchors_of(std::size_t group, Scenario& scenario) const {
  if (anchored_.empty() || !anchored_[group]) return std::nullopt;
  return anchor_scenario(scenario, options_.anchors, data_);
}

const Deployment& PlanWorkshop::deployment(std::size_t index) {
  GroupState& state = *states_[index];
  const std::lock_guard lock(state.mutex);
  if (state.deployment) return *state.deployment;
  Scenario scenario = base(space_.groups[index]);
  scenario.deployment = space_.groups[index].config;
  fit_anchors_of(index, scenario);
  state.deployment = std::make_unique<Deployment>(scenario.deployment, shared_);
  return *state.deployment;
}

void PlanWorkshop::forget(std::size_t index) {
  const std::lock_guard lock(states_[index]->mutex);
  states_[index]->deployment.reset();
}

DeploymentConfig PlanWorkshop::candidate_config(std::size_t candidate) {
  DeploymentConfig config = deployment(space_.candidates[candidate].group).config();
  config.scheduler = space_.candidates[candidate].scheduler;
  return config;
}

void PlanWorkshop::tell_finished(std::size_t index) const {
  if (options_.status != nullptr) options_.status->finished(space_.groups[index].id, space_.groups[index].count);
}

}  // namespace moeplan
