// One deployment under the plan's load: does it meet the objectives with n replicas, and how few replicas do?
//
// A run that cannot meet them any more is given up: when more requests than a percentile allows have exceeded its bound, no later one can mend it. The
// verdict is that of the whole run. A run that does not fail goes on to its end, and is repeated longer while it shows the machine filling up
// rather than at work.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "study/deployment.hpp"
#include "study/plan_load.hpp"
#include "study/plan_packing.hpp"
#include "study/result.hpp"
#include "study/steady_load.hpp"
#include "study/time_limit.hpp"

namespace moeplan {

/// What replicas are asked: the workload at the rate that counts, and the objectives.
struct PlanQuestion {
  WorkloadConfig workload;
  std::vector<Objective> objectives;
  RequestRouting router = RequestRouting::kRoundRobin;
  std::uint64_t seed = 1;
  std::optional<MeanLengths> lengths{};  ///< of the workload's requests in the long run; where an objective is a throughput
  TimeIsOver out_of_time{};              ///< a run then ends with OutOfTime
};

struct PlanRun {
  bool met = false;
  std::string problem;  ///< why not, in words: "ttft_p99 above 2 s: more than 1 % of the requests exceed it"; empty when met
  std::string failing;  ///< key of the objective that fails, "saturated" or "kv_cache"; empty when met
  double miss = 0;      ///< how many times what is allowed it came to, where that is known: of two runs that fail alike, the lower came further
  int replicas = 0;            ///< in all
  std::uint64_t requests = 0;  ///< of the run that decided
  bool short_window = false;   ///< the trace has no more requests for a longer run
  // of a run that met its objectives:
  std::array<LatencySummary, kLatencyMetrics.size()> latency{};
  ThroughputSummary throughput;
  bool all_served = true;  ///< no request was rejected
  double utilisation = 0;
  double prefill_utilisation = 0;  ///< of the prefill pool; `utilisation` is then that of the decode pool
  std::vector<ObjectiveResult> objectives;
};

/// A replica of the prefill pool. References outlive it.
struct PlanPrefill {
  const DisaggregationSpec& spec;
  const DeploymentConfig& config;
  const MemoryPlan& memory;
  const DeploymentCost& cost;
};

/// One replica's deployment, ready to be simulated. References outlive it.
struct PlanReplica {
  const DeploymentConfig& config;
  const MemoryPlan& memory;
  const DeploymentCost& cost;
  const PlanPrefill* prefill = nullptr;  ///< with prefill apart, this is a replica that decodes
};

/// Runs `counts` of them. REQUIRES: memory.fits, of both kinds; prefill replicas are counted where there is a prefill pool, and only there.
PlanRun run_plan(const PlanQuestion& question, const PlanReplica& replica, PlanCounts counts);

/// The fewest rungs that meet the objectives, by doubling and bisection. `counts_of(rung)` rises; rungs are first .. last. Every rung tried below the
/// answer failed, the one just below among them.
struct SmallestPlan {
  std::optional<int> rung;  ///< nothing: none up to `last`
  PlanRun run;              ///< of that rung; else of the largest one tried
};
SmallestPlan smallest_plan(const PlanQuestion& question, const PlanReplica& replica, const std::function<PlanCounts(int)>& counts_of, int first, int last);
/// The same of whatever `run_rung` runs.
SmallestPlan smallest_plan(const std::function<PlanRun(int)>& run_rung, int first, int last);

/// "2 s", "61.5 ms".
std::string objective_value_text(const Objective& objective, double value);

}  // namespace moeplan
