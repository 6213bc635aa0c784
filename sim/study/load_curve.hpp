// Throughput and latency of a deployment against the load offered to it: where it saturates, where its knee lies, and how much it carries
// within the scenario's latency objectives.
//
// The load is the scenario's own with its rate scaled: a trace is replayed faster or slower, hourly factors are left out, and a closed loop
// or a batch, which offer no rate, become Poisson arrivals of the same requests. All points use the same random numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "workload/workload_config.hpp"

namespace moeplan {

class Deployment;
struct MemoryPlan;
struct Scenario;

struct LoadPoint {
  double offered_per_s = 0;  ///< requests
  double requests_per_s = 0, output_tokens_per_s = 0, total_tokens_per_s = 0;
  double ttft_p50_s = 0, ttft_p99_s = 0;
  std::optional<double> tpot_p50_s, tpot_p99_s;  ///< nothing where requests have one output token
  double e2e_mean_s = 0;
  double busy = 0;  ///< share of the time that the GPUs are in a step
  bool saturated = false;
  bool within_objectives = false;  ///< latency objectives met and not saturated; always true of an unsaturated point without objectives
};

struct LoadCurve {
  std::vector<LoadPoint> points;  ///< rising load
  /// Of a closed loop that holds as many requests as the deployment takes: what no offered load exceeds.
  double saturation_requests_per_s = 0, saturation_output_tokens_per_s = 0;
  /// Load of the point with the most requests per second and second of mean end-to-end time (Kleinrock's power): beyond it, waiting grows
  /// faster than throughput.
  double knee_per_s = 0;
  /// Highest load found at which all latency objectives hold, to 1.5 % of saturation; 0 when not even the lowest point meets them. Without
  /// latency objectives: the highest load at which the deployment does not saturate.
  double capacity_per_s = 0;
  bool has_objectives = false;
};

/// The workload at `rate` requests per second with `requests` requests, `warmup` of them outside the statistics.
WorkloadConfig at_rate(const WorkloadConfig& workload, double rate, std::uint64_t requests, std::uint64_t warmup);

/// Lengths that are read from the arrivals' trace are read from `trace`: for a load that does not replay its arrivals.
void read_lengths_from(const std::filesystem::path& trace, WorkloadConfig& workload);

/// Sequences of so many tokens that a replica's KV cache holds; of windowed layers only what they keep counts.
double sequences_in(const MemoryPlan& memory, double tokens);

/// Means over the requests of a workload.
struct MeanLengths {
  double prompt_tokens = 0, output_tokens = 0;
};
MeanLengths mean_lengths(const WorkloadConfig& workload, std::uint64_t seed);
/// Over all requests of a workload, drawn in order.
MeanLengths mean_of_all(const WorkloadConfig& workload, std::uint64_t seed);

/// Points run in parallel; the result is the same on any number of threads. REQUIRES: the deployment fits.
LoadCurve load_curve(const Scenario& scenario, const Deployment& deployment);

}  // namespace moeplan
