// What a deployment serves in the long run, from a run that is finite.
//
// A deployment that keeps up serves what is offered. What happens to arrive in a finite run is off by the chance of its draws, so that money and energy per
// request and per token are taken at the offered load: the workload's own rate, and the mean lengths of its requests over more of them than the run had.
// Only where the offered load is no constant (a trace, hours of the day, conversations) is it that of the run's window. A deployment that does not keep up,
// turns requests away, whose load waits for it (closed loops, batches), or whose run is too short to tell serves what was measured.
#pragma once

#include <cstdint>

#include "study/load_curve.hpp"
#include "study/result.hpp"

namespace moeplan {

/// A run shorter than so many mean end-to-end latencies shows a machine that fills up, whose percentiles are too good: TPOT p99 of Llama 3.1 8B
/// on two H100 is 30 ms over 5 of them and 34 ms over 10 and over 60.
inline constexpr double kSteadyLatencies = 6;

/// Per second.
struct ServedRates {
  double requests = 0, input_tokens = 0, output_tokens = 0;
};

/// Mean lengths of the requests of an open workload whatever the length of its run: of all rows where a trace gives the lengths; of those that the run meets
/// where a trace is replayed. Nothing (zeros) for closed loops, batches and conversations. REQUIRES: resolved.
MeanLengths long_run_lengths(const WorkloadConfig& workload, std::uint64_t seed);

/// Requests a second that are offered: as stated, where that is a constant rate, else as they came; nothing for loads that offer none.
std::optional<double> offered_rate(const WorkloadConfig& workload, const ThroughputSummary& measured);

/// `lengths`: long_run_lengths of the workload at any rate. `all_served`: no request was rejected.
ServedRates served_rates(const WorkloadConfig& workload, const MeanLengths& lengths, const ThroughputSummary& measured, bool all_served);

/// The value of a throughput objective. `goodput`: as measured in the run.
double throughput_value(ObjectiveKind kind, const ServedRates& served, const ThroughputSummary& measured, double goodput);

}  // namespace moeplan
