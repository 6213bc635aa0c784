// The first burst of a closed loop: all its clients begin at once, and wait for each other's prompts as they never do again.
//
// A run that measures it tells how the loop starts, not how it runs. `simulate` measures what is stated, with a warning; a plan and a comparison are about
// steady operation, and leave one whole wave out. Left out: later waves are still a little in step where all answers are equally long.
#pragma once

#include <string>
#include <string_view>

#include "workload/workload_config.hpp"

namespace moeplan {

struct Scenario;

/// Whether requests of the first burst are measured beside others. False where there are no others: then the burst is what is asked about.
bool measures_first_burst(const WorkloadConfig& workload);

/// What `simulate` says of that; empty where it does not apply.
std::string first_burst_warning(const WorkloadConfig& workload);

/// A closed loop with at least as many requests of warm-up as it has clients, and as many measured as before; other workloads as they are.
WorkloadConfig past_first_burst(WorkloadConfig workload);

/// past_first_burst() of the scenario's workload, and a sentence about it in place of the warning; empty where nothing changes. `why`: "a plan is for steady
/// operation".
std::string leave_out_first_burst(Scenario& scenario, std::string_view why);

}  // namespace moeplan
