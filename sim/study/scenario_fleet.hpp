// A scenario's fleet, placed on its cluster and ready to simulate, and what it did: the `fleet` section of a result.
#pragma once

#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "hardware/topology.hpp"
#include "metrics/fleet_metrics.hpp"
#include "study/deployment.hpp"
#include "study/pools.hpp"
#include "study/scenario.hpp"
#include "study/shared_links.hpp"

namespace moeplan {

/// All deployments of a scenario (0: its own) one after the other on the nodes, as places_of() of each.
class ScenarioFleet {
 public:
  /// REQUIRES: scenario.in_fleet().
  explicit ScenarioFleet(const Scenario& scenario);
  ScenarioFleet(const ScenarioFleet&) = delete;
  ScenarioFleet& operator=(const ScenarioFleet&) = delete;

  /// Links of deployment `k`, by place.
  [[nodiscard]] const SharedLinks& links(std::size_t k) const { return links_[k]; }
  [[nodiscard]] const FleetConfig& config() const { return config_; }
  /// Where the pools of deployment `k` stand, which is no service of the fleet. REQUIRES: it has pools.
  [[nodiscard]] PoolPlaces pools(std::size_t k) const { return {cluster_, prefill_gpu_[k], first_gpu_[k], config_.bandwidths}; }
  /// Deployment `k` without its cost, source and observer. REQUIRES: it fits, and has no pools.
  [[nodiscard]] FleetService service(std::size_t k, const Scenario& scenario, const Deployment& deployment) const;

 private:
  void place(const std::vector<const Scenario*>& deployments);

  ClusterSpec cluster_;
  Topology topology_;
  std::vector<std::vector<int>> first_gpu_, prefill_gpu_;
  std::deque<SharedLinks> links_;
  bool shared_ = false;
  FleetConfig config_;
};

/// Of one deployment.
struct FleetSummary {
  bool autoscaled = false, fails = false;
  int replicas_fixed = 0;  ///< of a fleet that never changes: the most there may be, spares included
  int peak = 0;            ///< starting and serving at once
  double mean_serving = 0, mean_held = 0;
  std::uint64_t scale_ups = 0, scale_downs = 0, cold_starts = 0, node_failures = 0;
  double cold_start_mean_s = 0;
  std::uint64_t unfinished_starts = 0;  ///< given up, cut off by a failure or by the end of the run
  double gpu_hours = 0, fixed_gpu_hours = 0;  ///< a fleet without autoscaling holds all its GPUs all the time
  double busy = 0;                            ///< share of the time that replicas hold GPUs in which these are in a step
  std::uint64_t lost_requests = 0, retries = 0, failed = 0;
  std::int64_t lost_kv_tokens = 0, lost_output_tokens = 0;
  std::vector<FleetMetrics::Point> over_time;
  /// Share of the fixed fleet's GPU-hours that it held.
  [[nodiscard]] double held_share() const { return fixed_gpu_hours > 0 ? gpu_hours / fixed_gpu_hours : 1.0; }
};

/// `mean_utilisation`: of all places over the whole run.
FleetSummary summarise_fleet(const Scenario& scenario, const FleetMetrics& seen, std::uint64_t retries, std::uint64_t failed, double mean_utilisation);

nlohmann::json fleet_section(const FleetSummary& fleet);
std::string fleet_text(const FleetSummary& fleet);

}  // namespace moeplan
