// What one simulated scenario answers, as plain numbers: the source of the JSON result, the text summary and, later, the page.
// Times in seconds, sizes in bytes, money in USD; `optional` where a result does not exist (the model does not fit, no such tokens).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "calibration/kernel_shapes.hpp"
#include "cost/step_shape.hpp"
#include "model/model_spec.hpp"
#include "study/anchors.hpp"
#include "study/cost_summary.hpp"
#include "study/deployment.hpp"
#include "study/load_curve.hpp"
#include "study/network_summary.hpp"
#include "study/objective.hpp"
#include "study/pools.hpp"
#include "study/scenario.hpp"
#include "study/scenario_fleet.hpp"
#include "study/uncertainty.hpp"

namespace moeplan {

/// Mean and nearest-rank percentiles of one latency metric.
struct LatencySummary {
  std::uint64_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, max = 0;
};

struct ThroughputSummary {
  double requests_per_s = 0, output_tokens_per_s = 0, total_tokens_per_s = 0, output_tokens_per_s_per_gpu = 0;
  std::optional<double> offered_per_s;  ///< requests; empty for closed and batch loads
  bool saturated = false;
  bool too_short = false;  ///< the run, shorter than one mean latency, does not show whether the load is served
};

/// Mean step of one kind and how its time divides.
struct StepSummary {
  std::uint64_t steps = 0;
  double mean_s = 0;
  std::array<double, kStepParts> share{};  ///< of the time, by StepPart
};

struct ExpertSummary {
  double hottest_over_mean_mean = 1, hottest_over_mean_p50 = 1, hottest_over_mean_p99 = 1;
  double distinct_experts_mean = 0;
  std::string routing;  ///< popularity and its source, in words
  double imbalance_share = 0;                    ///< of the steps' time, that an even load of the expert ranks would save
  std::optional<double> dropped_token_share;     ///< with a capacity factor: tokens that lose an expert, per MoE layer
  std::vector<int> load_layers;                  ///< MoE layers shown, at most 16, from 0
  std::vector<std::vector<double>> load;         ///< [layer shown][expert id]: load / mean, in the long run of decoding
  std::string placement;                         ///< kind
  int redundant_experts = 0;
  std::vector<double> rank_load;                 ///< load / mean of the ranks, hottest first, mean over layers
  std::optional<std::uint64_t> rebalances;       ///< times that a replica moved experts and felt it; with rebalancing or drift
  double rebalance_stall_s = 0;                  ///< replicas stood still, all together
};

struct RequestSummary {
  std::uint64_t arrived = 0, completed = 0, rejected = 0, preempted = 0, in_flight = 0;
  std::uint64_t failed = 0, retries = 0;                                       ///< of nodes that failed under them
  std::uint64_t turned_away = 0;                                               ///< attempts that found a full queue and came again
  std::array<std::uint64_t, 3> rejected_by{};                                  ///< by RejectReason
  std::int64_t rejected_prompt_tokens = 0, rejected_output_tokens = 0;         ///< that the clients did not get
  std::optional<double> rejected_usd{};                                        ///< what serving them would have cost at this run's price per token
};

struct ObjectiveResult {
  Objective objective;
  std::optional<double> value;
  bool met = false;
};

/// One workload class. Counts over the whole run, latencies after the warm-up; no ITL.
struct ClassSummary {
  std::string name;
  std::uint64_t arrived = 0, completed = 0, rejected = 0, preempted = 0;
  double mean_prompt_tokens = 0, mean_output_tokens = 0;  ///< of the completed ones
  std::array<LatencySummary, kLatencyMetrics.size()> latency;
  std::vector<ObjectiveResult> objectives;
};

/// Over the whole run and all replicas.
struct PrefixCacheSummary {
  KvReuseReport total;
  int block_tokens = 16;
  double lowest_hit_rate = 0, highest_hit_rate = 0;  ///< of a replica
  bool tiers = false;                                ///< there is room below the GPU
  [[nodiscard]] double hit_rate() const {
    return total.prompt_tokens > 0 ? static_cast<double>(total.hit_tokens) / static_cast<double>(total.prompt_tokens) : 0.0;
  }
};

struct Result {
  MemorySummary memory;
  std::optional<MemorySummary> prefill_memory;  ///< of the prefill pool, where it is apart
  std::optional<std::array<LatencySummary, kLatencyMetrics.size()>> latency;  ///< empty when the model does not fit
  std::optional<ThroughputSummary> throughput;
  StepSummary decode_step, prefill_step;
  std::optional<ExpertSummary> experts;   ///< MoE models
  RequestSummary requests;
  std::optional<PrefixCacheSummary> prefix_cache;
  std::optional<PoolsSummary> pools;
  std::optional<FleetSummary> fleet;
  std::vector<Result> others;             ///< of the scenario's further deployments, in its order
  std::vector<ClassSummary> classes;  ///< of a workload with several
  std::optional<SpeculationReport> speculation;
  std::vector<ObjectiveResult> objectives;
  std::optional<CostSummary> cost;
  std::optional<NetworkSummary> network;  ///< replicas of several GPUs
  std::optional<OffloadSummary> offload;  ///< experts in host memory
  std::map<std::string, std::array<double, 2>> intervals;  ///< "ttft.p99" -> low, high, over replications or over samples of what is uncertain
  double intervals_level = 0.95;
  std::optional<LoadCurve> load_curve;  ///< where it was asked for
  std::array<double, kOrigins> origin_share{};             ///< of the GPU's step time
  double mean_batch = 0, utilisation = 0, kv_utilisation = 0, duration_s = 0;
  int replications = 1;
  std::vector<std::string> warnings;
  std::optional<Uncertainty> uncertainty;  ///< when asked for: what the intervals rest on
  std::optional<AnchorFit> anchors;  ///< what corrected the scenario's engine, when anchors did
};

/// Over all deployments of a scenario.
struct DeploymentTotals {
  int gpus = 0;
  double requests_per_s = 0, output_tokens_per_s = 0;
  RequestSummary requests;
  std::optional<double> usd_per_hour;
};
DeploymentTotals deployment_totals(const Scenario& scenario, const Result& result);

/// The lines of a text summary about the scenario's deployments; empty where there is but one.
std::string deployments_text(const Scenario& scenario, const Result& result);

/// The JSON result: reports/schema/result.schema.json. `files` get their SHA-256 into the provenance.
std::string result_json(const Scenario& scenario, const Result& result, const DataRoot& data);

/// The aligned text printed by `moeplan simulate`.
std::string result_summary(const Scenario& scenario, const Result& result);

/// The text printed by `moeplan memory`.
std::string memory_summary(const Scenario& scenario, const Result& result);

}  // namespace moeplan
