// Prefill and decode pools of a scenario, placed on its cluster and ready to simulate.
#pragma once

#include <optional>

#include "hardware/topology.hpp"
#include "metrics/pool_metrics.hpp"
#include "metrics/pool_network.hpp"
#include "serving/disaggregation.hpp"
#include "study/deployment.hpp"
#include "study/scenario.hpp"

namespace moeplan {

/// One pool in a result.
struct PoolSummary {
  std::string gpu;
  int replicas = 0, gpus_per_replica = 0;
  double busy = 0, kv_cache = 0, mean_batch = 0;
  std::uint64_t steps = 0;
  double step_mean_s = 0;
  std::uint64_t requests = 0;  ///< prompts computed there, answers ended there
};

struct PoolsSummary {
  PoolSummary prefill, decode;
  std::uint64_t transfers = 0, stayed = 0;
  std::uint64_t ended_in_prefill = 0;  ///< requests of one output token: nothing is left to decode
  double bytes = 0, hidden_bytes = 0;
  double wait_mean_s = 0, wait_p99_s = 0;          ///< for room in the decode pool
  double send_mean_s = 0, send_p50_s = 0, send_p99_s = 0;
};

/// One pool to be placed.
struct PoolPart {
  const DeploymentConfig& config;
  const MemoryPlan& memory;
  const DeploymentCost& cost;
  int replicas = 1;
  int nodes = 1;  ///< of the cluster it lies on
};

/// First GPU of each replica from `next` on, which moves behind them; with `align` a replica that fits a node does not straddle two.
std::vector<int> place_from(int replicas, int gpus, int per_node, bool align, int& next);

/// Where pools stand among other deployments: on all of `cluster`.
struct PoolPlaces {
  ClusterSpec cluster;
  std::vector<int> prefill, decode;  ///< first GPU of each replica
  WeightBandwidths bandwidths;       ///< of the cluster
};

class ScenarioPools {
 public:
  /// REQUIRES: all that the parts name outlives it.
  ScenarioPools(const DisaggregationSpec& spec, RequestRouting router, const PoolPart& prefill, const PoolPart& decode);
  /// REQUIRES: scenario.disaggregation; all outlive it.
  ScenarioPools(const Scenario& scenario, const Deployment& prefill, const Deployment& decode, const PoolPlaces* places = nullptr);
  ScenarioPools(const ScenarioPools&) = delete;
  ScenarioPools& operator=(const ScenarioPools&) = delete;

  [[nodiscard]] const DisaggregatedConfig& config() const { return config_; }

 private:
  void place(const DisaggregationSpec& spec, const PoolPart& prefill, const PoolPart& decode);

  std::optional<Topology> topology_;
  DisaggregatedConfig config_;
};

/// The places of a configuration's pools on its links. REQUIRES: `config` outlives it.
PoolNetworkMetrics pool_network(const DisaggregatedConfig& config);
PoolMetrics pool_metrics(const Scenario& scenario, const Deployment& prefill, const Deployment& decode);
PoolsSummary summarise_pools(const Scenario& scenario, const PoolMetrics& seen, std::uint64_t completed);

}  // namespace moeplan
