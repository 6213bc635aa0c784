// The plan put through what the scenario states of fleets: nodes that fail under its requests, replicas that come and go with the load.
//
// Neither is part of the search. How many requests a failure touches depends on how long a run lasts, and runs are as long as their verdict needs;
// random failures within a run would make one more replica look worse. What autoscaling saves shows over a day, while plans are sized for its busiest
// hour. So the search sizes a fleet that stands still, with the spare nodes of search.reliability, and its answer is then tried once.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "study/result.hpp"
#include "study/scenario.hpp"
#include "study/time_limit.hpp"

namespace moeplan {

struct PlanTrial {
  Scenario scenario;
  Result result;
  std::vector<std::string> notes;  ///< what of the fleet does not apply to this plan
  [[nodiscard]] bool met() const;
};

/// `fleet` and `failures` as stated; `best`: the plan as a scenario, beside whose replicas `spare_replicas` serve while all nodes are up. Nothing where
/// neither is stated. Throws OutOfTime.
std::optional<PlanTrial> try_plan(const std::optional<FleetSpec>& fleet, const std::optional<FailureConfig>& failures, const Scenario& best, int spare_replicas,
                                  StudyLibraries& shared, const TimeIsOver& out_of_time = {});

/// `plan.trial` of a result: its sections of the run, and the notes.
nlohmann::json trial_section(const PlanTrial& trial, const DataRoot& data);
std::string trial_text(const PlanTrial& trial);

}  // namespace moeplan
