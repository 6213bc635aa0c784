// What the stages of a plan search work on in one process: the questions asked, and of each group the deployment that its simulations stand on, made
// on first use and given up when the group is done with.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "study/plan.hpp"
#include "study/plan_bounds.hpp"

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
  [[nodiscard]] const WorkloadProfile& profile() const { return profile_; }
  [[nodiscard]] StudyLibraries& shared() { return shared_; }
  [[nodiscard]] bool out_of_time() const { return options_.out_of_time && options_.out_of_time(); }

  /// With anchors applied, where the group has any.
  const Deployment& deployment(std::size_t group);
  void forget(std::size_t group);
  /// The candidate's own configuration on its group's deployment.
  DeploymentConfig candidate_config(std::size_t candidate);
  /// The fit of the group's anchors; nothing where it has none. `scenario` is its base with its deployment, and gets the corrected engine.
  std::optional<AnchorFit> fit_anchors_of(std::size_t group, Scenario& scenario) const;
  /// Also told of groups that other processes have done; telling twice is no harm.
  void tell_finished(std::size_t group) const;

 private:
  struct GroupState {
    std::mutex mutex;
    std::unique_ptr<Deployment> deployment;
  };
  void find_anchored();

  const PlanSpace& space_;
  const DataRoot& data_;
  const PlanOptions& options_;
  LoadFactors factors_;
  StudyLibraries shared_;
  std::vector<bool> anchored_;           ///< by group; empty without anchors
  std::vector<PlanQuestion> questions_;  ///< by base
  WorkloadProfile profile_;              ///< all bases see the same requests
  std::vector<std::unique_ptr<GroupState>> states_;
};

}  // namespace moeplan
