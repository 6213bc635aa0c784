// Replicas that come and go, as a scenario states them. Each is off unless named.
//
//   "deployment": {
//     "replicas": 2,                       // at the beginning; min_replicas when left out
//     "fleet": {
//       "autoscaling": { "min_replicas": 2, "max_replicas": 8, "metric": "outstanding_requests", "target": 32, "up_above": 36, "down_below": 28,
//                        "period": "15 s", "up_cooldown": "0 s", "down_cooldown": "5 min" },
//       "cold_start": { "start": "1 min", "weights_from": "disk", "disk_bandwidth": "2 GB/s" },
//       "spare_replicas": 1                // without autoscaling: places for replicas whose node is down
//     }
//   },
//   "failures": { "mean_time_between_failures": "6000 h", "restart": "10 min", "retries": 3, "back_off": "1 s" },
//                 in its place "failures_per_node_year": 1.4, or "times": [{ "node": 0, "at": "90 s" }]
//   "deployments": [{ "name": "code", "model": "...", "deployment": {...}, "workload": "..." }, { ..., "share": 0.2 }]
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "hardware/node_spec.hpp"
#include "serving/fleet.hpp"

namespace moeplan {

class JsonReader;

struct FleetSpec {
  std::optional<AutoscalingConfig> autoscaling;
  int first_replicas = 1;   ///< serving at the beginning
  int spare_replicas = 0;
  Seconds start{60};
  WeightSource source = WeightSource::kDisk;
  WeightBandwidths bandwidths;
};

/// Reads `fleet` of a deployment (nothing without one) and, with autoscaling, sets `replicas` to the most there may be. Bandwidths left out: 2 GB/s from a
/// node's disk, the node's cards, and its link to the host's memory. Throws InputError.
std::optional<FleetSpec> parse_fleet(const JsonReader& deployment, const NodeSpec& node, int& replicas);

/// What starts where no `fleet` is stated: one minute, then weights from disk.
FleetSpec default_fleet(const NodeSpec& node, int replicas);

/// Reads `failures` of a scenario on `nodes` nodes. Throws InputError.
FailureConfig parse_failures(const JsonReader& reader, int nodes);

/// The same resolved.
nlohmann::json fleet_json(const FleetSpec& fleet);
nlohmann::json failures_json(const FailureConfig& failures);

}  // namespace moeplan
