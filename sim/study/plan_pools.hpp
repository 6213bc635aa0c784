// How many prefill and how many decode replicas: the cheapest pair that meets the objectives.
//
// More replicas of either kind never make an objective fail, as far as the search assumes: then for every number of prefill replicas there is a
// smallest number of decode replicas, which falls as the other rises, and the cheapest pair lies on that staircase. The search walks it between
// bounds that it finds by bisection, leaving out what would cost more than the best pair known.
#pragma once

#include <optional>
#include <string>

#include "study/plan.hpp"
#include "study/plan_evaluate.hpp"
#include "study/plan_space.hpp"

namespace moeplan {

struct PoolsFound {
  std::optional<PlanSize> size;  ///< nothing: no pair within the limits and the cost does
  PlanRun run;                   ///< of that pair; else of the largest tried
  PlanCounts tried{0};           ///< that one
};

/// `first`: fewest replicas of each kind that may do; `most_usd`: a pair that costs more is of no interest. Of equally cheap pairs the one with the fewest
/// prefill replicas. REQUIRES: the group has pools, and `first` is within the limits and costs no more than that.
PoolsFound cheapest_pools(const PlanSpace& space, const PlanGroup& group, const PlanQuestion& question, const PlanReplica& replica, PlanCounts first, double most_usd);

}  // namespace moeplan
