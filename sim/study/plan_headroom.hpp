// What the chosen plan does when load or machines are not as it was sized for: headroom, months of growth, spares, outages.
#pragma once

#include "study/plan.hpp"

namespace moeplan {

/// The plan's question at any load.
struct PlanLoads {
  const Scenario& base;  ///< of the plan's base
  TimeIsOver out_of_time{};
  PlanJournal* journal = nullptr;  ///< of verdicts; null: none
  std::string key{};               ///< begins those of this plan
  [[nodiscard]] PlanQuestion at(double factor) const { return plan_question(base, factor, out_of_time); }
  /// For loads below the one that the plan is sized for: of the minima (goodput, throughput), which are stated for the workload's own load, only their share
  /// is asked where less than that arrives.
  [[nodiscard]] PlanQuestion at_less(double factor) const;
};

/// `replica`: the plan's deployment; `plan`: as chosen, for the load at factors.peak. Without assumptions. Throws OutOfTime.
PlanHeadroom plan_headroom(const PlanSpace& space, const PlanLoads& loads, const PlanReplica& replica, const PlanFigures& plan, const LoadFactors& factors);

/// How much slower kernels are assumed in an assumption's test; more load and longer answers alike.
inline constexpr double kSlowKernels = 1.15;

/// What the plan would take if kernels, load or answer lengths were worse than assumed. `slow`: the deployment with slower kernels. Throws OutOfTime.
std::vector<PlanHeadroom::Assumption> tested_assumptions(const PlanLoads& loads, const PlanReplica& replica, const PlanReplica& slow, const PlanFigures& plan,
                                                         double peak);

}  // namespace moeplan
