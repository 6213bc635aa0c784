#include "study/plan_workshop.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "study/anchor_study.hpp"
#include "study/measured_run.hpp"

namespace moeplan {

PlanWorkshop::PlanWorkshop(const PlanSpace& space, const DataRoot& data, const PlanOptions& options)
    : space_(space), data_(data), options_(options), factors_(load_factors(space.search.load, space.bases.front().scenario.workload)) {
  for (const PlanBase& b : space.bases) questions_.push_back(plan_question(b.scenario, factors_.peak, options.out_of_time));
  std::map<bool, std::size_t> known;
  for (const PlanQuestion& question : questions_) {
    const auto [at, fresh] = known.emplace(question.workload.arrivals.prompt_blocks, profiles_.size());
    if (fresh) profiles_.push_back(profile_workload(question));
    profile_of_.push_back(at->second);
  }
  const Scenario& first = space.bases.front().scenario;
  lengths_ = long_run_lengths(first.workload, first.seed);
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
    scenario.disaggregation.reset();
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

DeploymentConfig PlanWorkshop::prefill_config(std::size_t index) const {
  const PlanGroup& group = space_.groups[index];
  Scenario scenario = base(group);
  scenario.disaggregation.reset();
  scenario.deployment = group.pools->prefill;
  if (anchored_.empty() || !has_anchors(scenario, read_measured_runs(options_.anchors), data_)) return scenario.deployment;
  anchor_scenario(scenario, options_.anchors, data_);
  return scenario.deployment;
}

const Deployment& PlanWorkshop::prefill(std::size_t index) {
  GroupState& state = *states_[index];
  const std::lock_guard lock(state.mutex);
  if (!state.prefill) state.prefill = std::make_unique<Deployment>(prefill_config(index), shared_);
  return *state.prefill;
}

const Deployment& PlanWorkshop::deployment(std::size_t index) {
  GroupState& state = *states_[index];
  const std::lock_guard lock(state.mutex);
  if (state.deployment) return *state.deployment;
  Scenario scenario = base(space_.groups[index]);
  scenario.disaggregation.reset();
  scenario.deployment = space_.groups[index].config;
  fit_anchors_of(index, scenario);
  state.deployment = std::make_unique<Deployment>(scenario.deployment, shared_);
  return *state.deployment;
}

void PlanWorkshop::forget(std::size_t index) {
  const std::lock_guard lock(states_[index]->mutex);
  states_[index]->deployment.reset();
  states_[index]->prefill.reset();
}

DeploymentConfig PlanWorkshop::candidate_config(std::size_t candidate) {
  DeploymentConfig config = deployment(space_.candidates[candidate].group).config();
  config.scheduler = space_.candidates[candidate].scheduler;
  return config;
}

void PlanWorkshop::tell_finished(std::size_t index) const {
  if (options_.status != nullptr) options_.status->finished(space_.groups[index].id, space_.groups[index].count);
}

CandidateReplica::CandidateReplica(PlanWorkshop& workshop, std::size_t candidate, DeploymentConfig config)
    : config_(std::move(config)), memory_(plan_deployment_memory(config_).plan) {
  const std::size_t index = workshop.space().candidates[candidate].group;
  const PlanGroup& group = workshop.space().groups[index];
  cost_ = &workshop.deployment(index).cost();
  if (!group.pools) return;
  const Deployment& prefill = workshop.prefill(index);
  prefill_.emplace(PlanPrefill{*group.pools, prefill.config(), prefill.memory().plan, prefill.cost()});
}

CandidateReplica::CandidateReplica(const CandidateReplica& of, const Deployment& deployment, const Deployment* prefill)
    : config_(deployment.config()), memory_(of.memory_), cost_(&deployment.cost()) {
  if (prefill != nullptr) prefill_.emplace(PlanPrefill{of.prefill_->spec, prefill->config(), of.prefill_->memory, prefill->cost()});
}

}  // namespace moeplan
