// Analytic screening: what a deployment cannot beat whatever its size, from the same step times that the simulation uses. Every bound is optimistic, so
// that nothing that might meet the objectives is screened out.
//
// A decode step is never shorter than the shortest one of any batch; a first token never comes before the chunks of its prompt have run alone; a
// replica never makes more tokens a second than its best batch does in steps of nothing else. Where the times of neighbouring batches are not looked at, the
// larger batch is taken at the smaller one's time. On top of that all times are taken kBoundMargin shorter: routing draws vary around the mean that is
// looked at, and measured kernels are not faster for less work everywhere. With prefill apart each pool is bounded by its own work: prompts, or decoding.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/plan_evaluate.hpp"

namespace moeplan {

inline constexpr double kBoundMargin = 0.85;

/// The requests of a question, as its runs will see them.
struct WorkloadProfile {
  std::vector<std::int32_t> prompts, outputs;  ///< of the measured requests, rising; prompts without what a prefix cache may spare
  double requests_per_s = 0;  ///< what must be served: offered, or the largest minimum among the objectives; 0: nothing of the kind
  double mean_prompt = 0, mean_output = 0;
  std::int32_t shortest_prompt = 1;
};
WorkloadProfile profile_workload(const PlanQuestion& question);

struct PlanBounds {
  double decode_step_s = 0;           ///< shortest
  int replicas = 1;                   ///< fewest that may bear the load
  int prefill = 0;                    ///< fewest of the prefill pool; 0 without one
  std::string problem;                ///< the objective that no number of replicas can meet, in words; empty: none
  std::string failing;                ///< its key
  double miss = 0;                    ///< its best value over what is allowed
  std::vector<double> objectives;     ///< best value possible of each latency objective, in the order of the question; 0 for others
};

/// REQUIRES: replica.memory.fits.
PlanBounds bound_plan(const PlanQuestion& question, const WorkloadProfile& profile, const PlanReplica& replica);

}  // namespace moeplan
