// The events of two pools in simulated time: requests, steps, KV on its way, nodes that fail. Steps of a decode replica that nothing outside can touch
// run inline.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "network/flow_network.hpp"
#include "serving/arrivals.hpp"
#include "serving/disaggregation.hpp"

namespace moeplan {

class Pools {
 public:
  Pools(const DisaggregatedConfig& config, const StepCost& prefill_cost, const StepCost& decode_cost, RequestSource& source, Observer& observer,
        std::uint64_t seed);

  void run();
  void end();

 private:
  struct Pending {
    std::size_t from = 0;
    HandOff hand_off;
    bool again = false;  ///< its transfer was cut off: nothing is hidden behind the prefill any more
  };
  struct Transfer {
    Pending what;
    std::size_t to = 0;
    SlotIndex slot = kNoSlot;  ///< at the decode replica
    KvTransferRecord record;
  };
  /// What a replica's place does; used where nodes fail.
  struct Place {
    std::optional<ReplicaPhase> phase = ReplicaPhase::kServing;  ///< nothing: its node is down
    SimTime since{0};
    std::uint64_t starts = 1;  ///< replicas begun here so far
    std::optional<TransferId> load;
  };
  struct Start {
    std::size_t place = 0;
    std::uint64_t number = 0;
  };

  void add(const ServingPool& pool, const StepCost& cost, bool hands_over);
  bool run_alone(Replica& replica, SimTime limit);
  void instant(SimTime now);
  void complete_steps(SimTime now);
  void arrive(const RequestSpec& spec, SimTime now);
  void deliver(const RequestSpec& spec, SimTime now);
  [[nodiscard]] bool stays(const RequestSpec& spec) const { return spec.prompt_tokens < config_.transfer.stay_below; }
  void reject(const RequestSpec& spec, RejectReason reason, SimTime now);
  std::optional<std::size_t> pick(RequestRouter& router, bool decode, const RequestSpec& spec);

  // KV on its way (kv_transfers.cpp)
  void complete_transfers(SimTime now);
  void place(SimTime now);
  [[nodiscard]] std::optional<std::size_t> decoder_for(const HandOff& hand_off);
  void send(const Pending& what, std::size_t to, SimTime now);
  std::span<const LinkUse> path(std::size_t from, std::size_t to);
  [[nodiscard]] double alone(std::span<const LinkUse> links) const;
  [[nodiscard]] FlowNetwork* network() { return loads_ ? &loads_->network() : network_ ? &*network_ : nullptr; }
  void look_ahead();

  // Nodes that fail (pool_failures.cpp)
  void control(SimTime now);
  [[nodiscard]] bool idle() const;
  void fail(int node, SimTime now);
  void lose_replica(std::size_t place, SimTime now);
  void cut_transfers(std::size_t place, SimTime now);
  void lose(const AbandonedRequest& lost, std::size_t replica, SimTime now);
  void restart(SimTime now);
  void load_weights(const Start& start, SimTime now);
  void serve(std::size_t place, SimTime now);
  void enter(std::size_t place, std::optional<ReplicaPhase> phase, SimTime now);
  void look_ahead_control();
  [[nodiscard]] GpuRange gpus_of(std::size_t place) const;
  [[nodiscard]] bool on_node(std::size_t place, int node) const;
  [[nodiscard]] const ServingPool& pool_of(std::size_t place) const { return place < prefills_ ? config_.prefill : config_.decode; }

  const DisaggregatedConfig& config_;
  const std::uint64_t seed_;
  RequestSource& source_;
  Observer& observer_;
  Arrivals arrivals_;
  RequestRouter prefill_router_, decode_router_;
  const std::size_t prefills_;
  std::vector<ReplicaConfig> replica_configs_;      ///< prefill, decode
  std::vector<const StepCost*> costs_;
  std::deque<Replica> probes_;                      ///< never run: know what is refused
  std::deque<std::optional<Replica>> replicas_;     ///< prefill, then decode
  std::optional<FlowNetwork> network_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<LinkUse>> paths_;
  std::map<TransferId, Transfer> running_;
  std::multimap<SimTime, Transfer> timed_;  ///< transfers whose end is known: the last latency, or no network
  std::deque<Pending> pending_;             ///< hand-offs that no decode replica has room for, in order
  SimTime next_transfer_ = kNever;
  std::vector<std::int64_t> load_;
  std::vector<std::size_t> serving_;
  std::vector<TransferId> ended_;
  SimTime last_{0};  ///< latest end of anything that is not in a replica any more

  // Only where nodes fail.
  std::optional<NodeFailures> failures_;
  std::optional<WeightLoads> loads_;
  std::vector<Place> places_;
  std::multimap<SimTime, Start> engines_;    ///< that start, by when they are up
  std::map<TransferId, Start> weights_;      ///< that are being loaded
  std::multimap<SimTime, RequestSpec> retries_;
  std::deque<RequestSpec> in_front_;         ///< no replica serves
  std::unordered_map<std::uint64_t, int> attempts_;
  FleetReport report_;
  SimTime next_control_ = kNever;
};

}  // namespace moeplan
