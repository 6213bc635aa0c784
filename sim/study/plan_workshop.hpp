// What the stages of a plan search work on in one process: the questions asked, and of each group the deployment that its simulations stand on, made
// on first use and given up when the group is done with.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "study/plan.hpp"
#include "study/plan_bounds.hpp"
#include "study/steady_load.hpp"

namespace moeplan {

/// Any number of threads may use one.
class PlanWorkshop {
 public:
  /// The references outlive it. Throws InputError when no row of the anchors was measured on a candidate.
  PlanWorkshop(const PlanSpace& space, const DataRoot& data, const PlanOptions& options);

  [[nodiscard]] const PlanSpace& space() const { return space_; }
  [[nodiscard]] const LoadFactors& factors() const { return factors_; }
  [[nodiscard]] const Scenario& base(const PlanGroup& group) const { return space_.bases[group.base].scenario; }
  [[nodiscard]] const PlanQuestion& question(const PlanGroup& group) const { return questions_[group.base]; }
  [[nodiscard]] const MeanLengths& lengths() const { return lengths_; }  ///< of the workload's requests, in the long run
  [[nodiscard]] const WorkloadProfile& profile(const PlanGroup& group) const { return profiles_[profile_of_[group.base]]; }
  [[nodiscard]] StudyLibraries& shared() { return shared_; }
  [[nodiscard]] bool out_of_time() const { return options_.out_of_time && options_.out_of_time(); }

  /// With anchors applied, where the group has any.
  const Deployment& deployment(std::size_t group);
  /// A replica of its prefill pool. REQUIRES: the group has one.
  const Deployment& prefill(std::size_t group);
  void forget(std::size_t group);
  /// The candidate's own configuration on its group's deployment.
  DeploymentConfig candidate_config(std::size_t candidate);
  /// The fit of the group's anchors; nothing where it has none. `scenario` is its base with its deployment, and gets the corrected engine.
  std::optional<AnchorFit> fit_anchors_of(std::size_t group, Scenario& scenario) const;
  /// The prefill pool's configuration, corrected where anchors were measured on it.
  [[nodiscard]] DeploymentConfig prefill_config(std::size_t group) const;
  /// Also told of groups that other processes have done; telling twice is no harm.
  void tell_finished(std::size_t group) const;

 private:
  struct GroupState {
    std::mutex mutex;
    std::unique_ptr<Deployment> deployment, prefill;
  };
  void find_anchored();

  const PlanSpace& space_;
  const DataRoot& data_;
  const PlanOptions& options_;
  LoadFactors factors_;
  StudyLibraries shared_;
  std::vector<bool> anchored_;           ///< by group; empty without anchors
  std::vector<PlanQuestion> questions_;  ///< by base
  std::vector<WorkloadProfile> profiles_;  ///< all bases see the same requests, but what prompts share counts only where a cache finds it
  std::vector<std::size_t> profile_of_;    ///< by base
  MeanLengths lengths_;
  std::vector<std::unique_ptr<GroupState>> states_;
};

/// A candidate ready to be simulated, and all that its replica refers to.
class CandidateReplica {
 public:
  /// `config`: the candidate's, on its group's deployment. `workshop` keeps that deployment meanwhile.
  CandidateReplica(PlanWorkshop& workshop, std::size_t candidate, DeploymentConfig config);
  CandidateReplica(const CandidateReplica&) = delete;
  CandidateReplica& operator=(const CandidateReplica&) = delete;
  /// The same with other times of steps.
  CandidateReplica(const CandidateReplica& of, const Deployment& deployment, const Deployment* prefill);

  [[nodiscard]] PlanReplica get() const { return {config_, memory_, *cost_, prefill_ ? &*prefill_ : nullptr}; }

 private:
  DeploymentConfig config_;
  MemoryPlan memory_;
  const DeploymentCost* cost_;
  std::optional<PlanPrefill> prefill_;
};

}  // namespace moeplan
