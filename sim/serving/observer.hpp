// Results leave a simulation through one Observer. Observers never change state.
#pragma once

#include <cstdint>

#include "base/units.hpp"
#include "cost/step_cost.hpp"
#include "serving/kv_reuse.hpp"
#include "serving/speculation.hpp"
#include "workload/request_source.hpp"

namespace moeplan {

/// A request that has produced its last token. Times are simulated instants; first and last token as the client sees them, engine path
/// latency included.
struct FinishedRequest {
  RequestSpec spec;
  std::int32_t replica = 0;
  SimTime scheduled{0};  ///< first time any of its tokens entered a step
  SimTime first_token{0};
  SimTime last_token{0};
  std::int32_t preemptions = 0;
  std::int32_t cached_tokens = 0;  ///< of its prompt, found in the prefix cache
};

/// The KV cache of a prompt on its way from the replica that computed it to the one that decodes.
struct KvTransferRecord {
  std::uint64_t id = 0;
  std::int32_t from = 0, to = 0;  ///< replicas
  SimTime ready{0};               ///< the prefill ended
  SimTime start{0};               ///< a decode replica had room
  SimTime end{0};
  Bytes bytes{0};
  Bytes hidden{0};  ///< sent beside the prefill, before `ready`
  SimTime begun{0}; ///< the prefill began
};

/// What one replica did, at the end of a run.
struct ReplicaReport {
  std::int32_t replica = 0;
  const KvReuseReport* kv_reuse = nullptr;         ///< null without a prefix cache
  const SpeculationReport* speculation = nullptr;  ///< null without speculative decoding
};

/// One engine step of one replica.
struct StepRecord {
  std::int32_t replica = 0;
  SimTime start{0};
  SimTime end{0};
  SimTime stall{0};  ///< before `start`: experts moved to new places
  std::int64_t decode_context = 0;
  std::int64_t kv_tokens_used = 0;  ///< context of all running requests, also where layers with a window have dropped part of it, or where requests share it
  Bytes kv_bytes_used{0};           ///< in the blocks that they hold, shared ones once
  std::int32_t running = 0;  ///< requests running
  std::int32_t waiting = 0;  ///< requests queued at the replica
  const PreparedStep* prepared = nullptr;
  const StepOutcome* outcome = nullptr;
};

/// What a replica of a fleet does with its GPUs from `begin` to `end`.
enum class ReplicaPhase : std::uint8_t { kStarting, kServing, kDraining };
struct ReplicaPhaseRecord {
  std::int32_t replica = 0;
  ReplicaPhase phase = ReplicaPhase::kServing;
  SimTime begin{0}, end{0};
  bool finished = true;  ///< of a start: the replica then served; else it was given up, its node failed, or the run ended
};

/// A request whose replica died under it.
struct LostRequest {
  RequestSpec spec;
  std::int32_t replica = 0;
  std::int64_t computed_tokens = 0;  ///< of its KV cache
  std::int32_t output_tokens = 0;    ///< made, of which the client can keep none
  bool retried = false;              ///< else out of retries: on_failed follows
};

/// What was decided about a fleet, at the end of a run.
struct FleetReport {
  std::uint64_t scale_ups = 0, scale_downs = 0;  ///< decisions that changed something
  std::uint64_t node_failures = 0;               ///< of nodes that hold a replica of this service
  std::int32_t peak_replicas = 0;                ///< starting and serving at once
};

enum class RejectReason : std::uint8_t { kTooLong, kDoesNotFit, kQueueFull };

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_arrival(const RequestSpec&) {}
  virtual void on_rejected(const RequestSpec&, RejectReason, SimTime) {}
  /// A full queue took it not; its client sends it again: latencies count from the first attempt.
  virtual void on_turned_away(const RequestSpec&, SimTime) {}
  virtual void on_preempted(std::uint64_t /*request id*/, std::int32_t /*replica*/, SimTime) {}
  virtual void on_finished(const FinishedRequest&) {}
  virtual void on_step(const StepRecord&) {}
  /// `tokens` output tokens each came `gap` after the previous token of its request (inter-token latency).
  virtual void on_token_gaps(SimTime /*at*/, SimTime /*gap*/, std::int64_t /*tokens*/) {}
  virtual void on_kv_transfer(const KvTransferRecord&) {}
  // Of fleets only.
  /// At the phase's end; phases of different replicas come in any order.
  virtual void on_replica_phase(const ReplicaPhaseRecord&) {}
  virtual void on_lost(const LostRequest&, SimTime /*at*/) {}
  /// Out of retries: it will never finish.
  virtual void on_failed(const RequestSpec&, SimTime /*at*/) {}
  /// Before on_end.
  virtual void on_fleet_end(const FleetReport&) {}
  /// Once per replica, before on_end.
  virtual void on_replica_end(const ReplicaReport&) {}
  /// The run has ended at `now`, nothing in flight.
  virtual void on_end(SimTime /*now*/) {}
};

}  // namespace moeplan
