// What the chosen plan does when load or machines are not as it was sized for: headroom, months of growth, spares, outages.
#pragma once

#include "study/plan.hpp"

namespace moeplan {

/// `base`: scenario of the plan's base; `replica`: the plan's deployment; `plan`: as chosen, for the load at factors.peak.
PlanHeadroom plan_headroom(const PlanSpace& space, const Scenario& base, const PlanReplica& replica, const PlanFigures& plan, const LoadFactors& factors);

/// How much slower kernels are assumed in an assumption's test; more load and longer answers alike.
inline constexpr double kSlowKernels = 1.15;

/// Finds what the plan would take if kernels, load or answer lengths were worse than assumed. `slow`: the deployment with slower kernels.
void add_assumptions(const Scenario& base, const PlanReplica& replica, const PlanReplica& slow, const PlanFigures& plan, double peak, PlanHeadroom& out);

}  // namespace moeplan
