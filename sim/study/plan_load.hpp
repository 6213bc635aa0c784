// What a plan is sized for: the load at its busiest and calmest, and how many nodes may be missing. Plain arithmetic; nothing is simulated here.
//
// When a node fails, the replicas elsewhere absorb the traffic (plan_packing.hpp, plan_outages.hpp). Left out: the seconds in which the router has not yet
// noticed, and requests lost with the node.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "study/plan_search.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

/// What clients send on average over a run; nothing for closed and batch loads, whose rate depends on the machine.
struct OfferedLoad {
  double requests_per_s = 0, output_tokens_per_s = 0;
};
std::optional<OfferedLoad> offered_load(const WorkloadConfig& workload, std::uint64_t seed);

/// Factors on the workload's mean load.
struct LoadFactors {
  double mean = 1;    ///< over the day, last month
  double peak = 1;    ///< busiest hour of the last month: what plans are sized for
  double trough = 1;  ///< calmest hour of the month with the most load
  double period_mean = 1;  ///< over the day and all months, from now to the last: what the hardware does on average while it is paid for
};
/// Of `search.load`, or the workload's own hourly factors.
LoadFactors load_factors(const LoadGrowth& load, const WorkloadConfig& workload);
/// Nodes that a plan must be able to lose at its busiest.
int nodes_down(const ReliabilityConfig& reliability);
/// Factor of the busiest hour in month `month`.
double peak_in_month(const LoadGrowth& load, const WorkloadConfig& workload, int month);

/// The workload at `factor` times its mean load: rate, speed of the trace, or clients of a closed loop (rounded up). Its hourly factors go. REQUIRES: factor
/// is 1 for a batch.
WorkloadConfig scaled_workload(WorkloadConfig workload, double factor);

}  // namespace moeplan
