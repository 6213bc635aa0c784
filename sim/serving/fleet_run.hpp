// The events of a fleet in simulated time: requests, steps, nodes that fail, replicas that start and stop. Services without a closed source and
// without shared links run inline between the moments at which the fleet changes; else everything happens in the order of time.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "serving/fleet_service.hpp"

namespace moeplan {

class Fleet {
 public:
  Fleet(const FleetConfig& config, std::span<const FleetService> services, std::uint64_t seed);

  void run();
  void end();

 private:
  struct Start {
    std::size_t service = 0, place = 0;
    std::uint64_t number = 0;  ///< of the replica begun there
  };
  struct Retry {
    std::size_t service = 0;
    RequestSpec spec;
  };

  [[nodiscard]] SimTime next_arrival() const;
  [[nodiscard]] SimTime next_step_end();
  [[nodiscard]] bool quiet() const;
  [[nodiscard]] bool any_work();
  void look_ahead();
  void advance_all(SimTime now);
  void instant(SimTime now);
  void control(SimTime now);
  void complete_steps(SimTime now);
  void start_steps(SimTime now);
  void deliver(FleetMembers& s, const RequestSpec& spec, SimTime now);
  void arrive(FleetMembers& s, const RequestSpec& spec);
  void send_in_front(SimTime now);
  void reject(FleetMembers& s, const RequestSpec& spec, RejectReason reason, SimTime now);

  void change_nodes(SimTime now);
  void fail(std::size_t service, int node, SimTime now);
  void lose(std::size_t service, const AbandonedRequest& lost, std::int32_t replica, SimTime now);
  void finish_starts(SimTime now);
  void load_weights(const Start& start, SimTime now);
  void serve(const Start& start, SimTime now);
  void evaluate(FleetMembers& s, SimTime now);
  void adjust(std::size_t service, SimTime now);
  void cancel_start(std::size_t service, std::size_t place, SimTime now);
  void release_drained(SimTime now);
  [[nodiscard]] bool usable(const FleetMembers& s, std::size_t place) const;
  [[nodiscard]] bool current(const Start& start);

  const Topology& topology_;
  const FailureConfig& failure_config_;
  NodeFailures failures_;
  WeightLoads loads_;
  std::deque<FleetMembers> services_;
  bool together_ = false;  ///< replicas touch each other or cause arrivals: everything happens in the order of time
  std::multimap<SimTime, Start> engines_;      ///< that start, by when they are up
  std::map<TransferId, Start> weights_;        ///< that are being loaded
  std::multimap<SimTime, Retry> retries_;
  SimTime next_control_ = kNever;
  std::vector<TransferId> ended_;
  std::vector<Replica*> members_;
};

}  // namespace moeplan
