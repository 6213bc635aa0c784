// One candidate of a plan search: how few of its replicas meet the objectives within what may be spent, and what they do and cost then.
#pragma once

#include "study/plan_screening.hpp"

namespace moeplan {

/// Any number of threads may use one.
class CandidateSearch {
 public:
  /// `workshop` outlives it.
  explicit CandidateSearch(PlanWorkshop& workshop) : workshop_(workshop), space_(workshop.space()) {}

  /// A size that costs more than `cut` is of no interest. `ladder`: of its group, with one prefill replica where prefill is apart. REQUIRES: `screened` is open.
  [[nodiscard]] CandidateOutcome find(std::size_t candidate, const Screened& screened, const PlanLadder& ladder, double cut) const;

 private:
  [[nodiscard]] CandidateOutcome find_pools(const PlanGroup& group, const PlanReplica& replica, const Screened& s, double cut) const;
  [[nodiscard]] CandidateOutcome concluded(const PlanGroup& group, const PlanReplica& replica, const PlanLadder& ladder, PlanSize size, const PlanRun& run, double cut) const;
  [[nodiscard]] bool maintained_off_peak() const;
  [[nodiscard]] PlanCounts fewest_when_calm(const PlanGroup& group, const PlanReplica& replica, const PlanSize& size) const;
  [[nodiscard]] std::optional<PlanAtLoad> at_mean_load(const PlanGroup& group, const PlanReplica& replica, const PlanFigures& plan) const;

  PlanWorkshop& workshop_;
  const PlanSpace& space_;
};

}  // namespace moeplan
