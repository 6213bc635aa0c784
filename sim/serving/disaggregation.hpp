// Prefill and decode on replicas of their own: a prompt is computed in the prefill pool, its KV goes over the network to a replica of the
// decode pool, which makes all tokens but the first. The two pools may differ in GPU, layout, limits and number.
//
// The KV is sent to a decode replica that has reserved its blocks; until one can, it stays with the prefill replica, whose queue then grows
// (back-pressure). Client and engine see the first token when the KV has arrived. Layer by layer, the transfer runs beside the prefill and
// only what that could not hide is left at its end. A request preempted in the decode pool is computed again there.
//
// Nodes may fail. A prefill replica takes with it the prompts that wait and run there and the KV that has not left; a decode replica all KV it holds,
// while what is still on its way to it stays with the prefill replica and goes elsewhere. Requests lost start again from the beginning, as in a fleet
// (fleet.hpp); a replica is back when its nodes are, and it has loaded its weights. Nobody takes its place meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "cost/step_cost.hpp"
#include "hardware/topology.hpp"
#include "serving/fleet.hpp"
#include "serving/observer.hpp"
#include "serving/replica.hpp"
#include "serving/request_router.hpp"
#include "workload/request_source.hpp"

namespace moeplan {

struct ServingPool {
  int replicas = 1;
  ReplicaConfig replica;
  RequestRouting routing = RequestRouting::kLeastOutstandingTokens;
  std::vector<int> first_gpu;  ///< of each replica, in the topology
  int gpus = 1;                ///< per replica
  ColdStart cold_start;        ///< after a failure
};

struct KvTransferConfig {
  double bytes_per_token = 0;     ///< of one sequence, in all layers, whatever the number of GPUs that hold it
  Bytes state_per_sequence{0};    ///< constant state
  int layers = 1;
  bool layerwise = true;          ///< beside the prefill; else after it
  Seconds latency{0};             ///< of a transfer's start
  double limit = 1e30;            ///< bytes/s that one pair of replicas cannot exceed, whatever the links
  std::int32_t stay_below = 0;    ///< prompts shorter than this are computed where they decode
};

struct DisaggregatedConfig {
  ServingPool prefill, decode;
  KvTransferConfig transfer;
  const Topology* topology = nullptr;  ///< null: nothing but `limit` holds transfers back
  FailureConfig failures;              ///< REQUIRES, when on: a topology
  WeightBandwidths bandwidths;
};

/// Like simulate() for a cluster; prefill replicas come first in the numbering. REQUIRES: costs and topology outlive the call; the pools'
/// replicas do not overlap.
void simulate(const DisaggregatedConfig& config, const StepCost& prefill_cost, const StepCost& decode_cost, RequestSource& source, Observer& observer,
              std::uint64_t seed);

}  // namespace moeplan
