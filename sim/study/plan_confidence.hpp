// How sure it is that the chosen plan meets its objectives, and what being sure would cost: the plan under draws of everything that is not known
// exactly (uncertainty.hpp), and the same draws with more replicas.
#pragma once

#include <optional>

#include "study/error_model.hpp"
#include "study/plan.hpp"
#include "study/uncertainty.hpp"

namespace moeplan {

inline constexpr double kPlanConfidence = 0.95;

struct PlanConfidence {
  Uncertainty uncertainty;         ///< of the plan as chosen, spares down
  std::optional<int> extra_gpus;   ///< more GPUs, spares for them included, at which the objectives are met with kPlanConfidence; nothing: not with four times
                                   ///< the replicas
  int replicas = 0;                ///< serving ones then
  PlanCounts counts{0, 0};         ///< the same by pool
  bool size_known = true;          ///< false: the time did not suffice to find those GPUs
};

/// REQUIRES: answer.best. `options`: jobs, shared libraries, progress and time. Throws OutOfTime where that does not suffice for the probability.
PlanConfidence assess_plan(const PlanSpace& space, const PlanAnswer& answer, const ErrorModel& errors, UncertaintyOptions options);

}  // namespace moeplan
