// What a deployment serves in the long run, from a run that is finite.
//
// The measured window of a run begins with a machine that is still filling up: fewer requests end in it than arrive, by 5 to 20 % in a run of a few
// minutes, and the less the longer it is. A deployment that keeps up serves what is offered, so that money and energy per request and per token are taken at
// the offered load: the workload's own rate, and the mean lengths of its requests over more of them than the run had. Only where the offered load is no
// constant (a trace, hours of the day, conversations) is it that of the run's window. A deployment that does not keep up, turns requests away, or whose
// load waits for it (closed loops, batches) serves what was measured.
#pragma once

#include <cstdint>

#include "study/load_curve.hpp"
#include "study/result.hpp"

namespace moeplan {

/// Per second.
struct ServedRates {
  double requests = 0, input_tokens = 0, output_tokens = 0;
};

/// Mean lengths of the requests of an open workload whatever the length of its run: of all rows where a trace gives the lengths; of those that the run meets
/// where a trace is replayed. Nothing (zeros) for closed loops, batches and conversations. REQUIRES: resolved.
MeanLengths long_run_lengths(const WorkloadConfig& workload, std::uint64_t seed);

/// `lengths`: long_run_lengths of the workload at any rate. `all_served`: no request was rejected.
ServedRates served_rates(const WorkloadConfig& workload, const MeanLengths& lengths, const ThroughputSummary& measured, bool all_served);

/// The value of a throughput objective. `goodput`: as measured in the run.
double throughput_value(ObjectiveKind kind, const ServedRates& served, const ThroughputSummary& measured, double goodput);

}  // namespace moeplan
