// How sure it is that the chosen plan meets its objectives, and what being sure would cost: the plan under draws of everything that is not known
// exactly (uncertainty.hpp), and the same draws with more replicas.
#pragma once

#include <functional>
#include <optional>

#include "study/error_model.hpp"
#include "study/plan.hpp"

namespace moeplan {

inline constexpr double kPlanConfidence = 0.95;

struct PlanConfidence {
  Uncertainty uncertainty;         ///< of the plan as chosen, spares down
  std::optional<int> extra_gpus;   ///< more GPUs, spares for them included, at which the objectives are met with kPlanConfidence; nothing: not with four times
                                   ///< the replicas
  int replicas = 0;                ///< serving ones then
};

/// REQUIRES: answer.best. `jobs`: threads, 0 = all. `progress`: share done.
PlanConfidence assess_plan(const PlanSpace& space, const PlanAnswer& answer, const ErrorModel& errors, StudyLibraries& shared, int jobs,
                           const std::function<void(double)>& progress);

}  // namespace moeplan
