// All replicas of a deployment behind one request router: the run loop of a simulation.
//
// Open sources: a replica is advanced only when a request reaches it (or the router looks at it). Closed sources: the replica whose step
// ends next goes first, because its completions cause arrivals. Each replica draws from its own random stream, so the result does not
// depend on the order in which replicas advance; only the interleaving of the observer's calls between replicas does.
#pragma once

#include <cstdint>

#include "cost/step_cost.hpp"
#include "serving/observer.hpp"
#include "serving/replica.hpp"
#include "serving/request_router.hpp"
#include "workload/request_source.hpp"

namespace moeplan {

class FlowNetwork;

struct ClusterConfig {
  int replicas = 1;
  ReplicaConfig replica;  ///< every replica is alike; keep_completions is set by simulate
  RequestRouting routing = RequestRouting::kRoundRobin;
  /// Every step an event of one queue, for the proof that inline stepping changes nothing.
  bool step_by_step = false;
  /// Links that replicas share (its loads 0 .. replicas - 1 are their collectives); null: none. Not with step_by_step. REQUIRES: outlives the run.
  FlowNetwork* network = nullptr;
};

/// Runs until every request that `source` issues has finished or was rejected. Observer calls about one replica come in the order of its
/// clock; arrivals in order of arrival. A rejected request counts as finished at its arrival for a closed source; whom a full queue turns away may
/// come again (RequestSource::retry_after). The same arguments give the same calls.
void simulate(const ClusterConfig& config, const StepCost& cost, RequestSource& source, Observer& observer, std::uint64_t seed);

}  // namespace moeplan
