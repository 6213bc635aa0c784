// Replicas that come and go: autoscaling with cold starts, node failures under running requests, several models on one cluster. The run loop for
// these; without them Cluster does the same with less.
//
// A service is one deployment with its own requests. A new replica takes a free place, starts its engine, loads its weights, and then gets
// requests; one to be stopped gets no more and ends when it is empty. A node that fails takes every replica with it that has a GPU there: its KV
// cache is gone, and its requests are sent again from the beginning after a back-off, or have failed when out of retries. Who finds no replica
// waits in front of the router. Left out: the time until a router notices a failure, and answers that go on where they broke off.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cost/step_cost.hpp"
#include "hardware/topology.hpp"
#include "serving/autoscaler.hpp"
#include "serving/node_failures.hpp"
#include "serving/observer.hpp"
#include "serving/replica.hpp"
#include "serving/request_router.hpp"
#include "serving/weight_loads.hpp"
#include "workload/request_source.hpp"

namespace moeplan {

/// What a replica does before it serves.
struct ColdStart {
  Seconds start{0};  ///< container and engine
  Bytes weights{0};  ///< of all its GPUs, loaded after that
  WeightSource source = WeightSource::kDisk;
};

/// One deployment. Its replicas are numbered by their places.
struct FleetService {
  ReplicaConfig replica;  ///< keep_completions is set by simulate
  RequestRouting routing = RequestRouting::kRoundRobin;
  int replicas = 1;  ///< serving at time 0; without autoscaling at all times, as far as nodes are up
  std::optional<AutoscalingConfig> autoscaling;
  ColdStart cold_start;
  std::vector<int> first_gpu;  ///< of each place; at least max_replicas or `replicas` of them
  int gpus = 1;                ///< per replica
  /// By place: links between nodes that its collectives use. Empty: it shares none.
  std::vector<std::vector<LinkUse>> collectives;
  // REQUIRES: these outlive the run.
  const StepCost* cost = nullptr;
  RequestSource* source = nullptr;
  Observer* observer = nullptr;
};

struct FleetConfig {
  const Topology* topology = nullptr;  ///< of all places
  WeightBandwidths bandwidths;
  FailureConfig failures;
};

/// Runs until every request of every service has finished, was rejected or has failed. The same arguments give the same calls; each service's
/// observer hears of it alone. One service without autoscaling and failures gives what Cluster gives.
void simulate(const FleetConfig& config, std::span<const FleetService> services, std::uint64_t seed);

}  // namespace moeplan
