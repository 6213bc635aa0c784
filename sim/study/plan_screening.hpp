// The first stage of a plan search: what can be told of a candidate without simulating it.
#pragma once

#include <vector>

#include "study/plan_workshop.hpp"

namespace moeplan {

/// CandidateOutcome::miss of a candidate of which not even one replica is within the limits: further from a plan than any of which some are.
inline constexpr double kNoneAllowed = 1e9;

/// A candidate after screening.
struct Screened {
  CandidateOutcome outcome;  ///< kNone: to be simulated; kUnfinished: the time ended first
  int first = 1;             ///< lowest rung of its ladder that may do; with prefill apart, of the ladder with `prefill` replicas
  int prefill = 0;           ///< fewest prefill replicas that may do
  double least_usd = 0;      ///< cost of that rung, at least
};

/// Screens all candidates, in their order: layout, engine support, price, memory, limits, bounds. `journal`: where finished groups are kept and found; may be
/// null.
std::vector<Screened> screen_plan(PlanWorkshop& workshop, PlanExecutor& executor, PlanJournal* journal);

}  // namespace moeplan
