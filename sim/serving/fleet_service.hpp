// One service of a fleet: its places and the replicas in them, who serves, who waits in front. Time and events are the fleet's affair.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "serving/arrivals.hpp"
#include "serving/fleet.hpp"
#include "serving/link_sharing.hpp"

namespace moeplan {

class FleetMembers {
 public:
  enum class State : std::uint8_t { kFree, kStarting, kServing, kDraining };
  struct Place {
    State state = State::kFree;
    SimTime since{0};
    std::unique_ptr<Replica> replica;  ///< null unless it serves or drains
    std::uint64_t starts = 0;          ///< replicas begun here so far
    bool loading = false;
    TransferId load = 0;
  };

  /// `config` outlives it; `seed` of its replicas' streams.
  FleetMembers(const FleetService& config, std::uint64_t seed);

  [[nodiscard]] const FleetService& config() const { return config_; }
  [[nodiscard]] std::vector<Place>& places() { return places_; }
  [[nodiscard]] GpuRange gpus_of(std::size_t place) const { return {config_.first_gpu[place], config_.gpus}; }
  /// Replicas that start or serve.
  [[nodiscard]] int count() const { return count_; }
  [[nodiscard]] bool serves() const { return !serving_.empty(); }
  [[nodiscard]] std::optional<RejectReason> refuses(const RequestSpec& spec) const { return probe_.refuses(spec); }
  /// The replica that takes `spec`; advanced to `now` where replicas advance by themselves. REQUIRES: serves().
  Replica& route(const RequestSpec& spec, SimTime now, bool advance);
  /// The autoscaler's metric, summed over replicas that serve and requests in front.
  [[nodiscard]] double load(ScaleMetric metric) const;

  // What happens to a place.
  void begin(std::size_t place, SimTime now);
  void serve(std::size_t place, SimTime now);
  void drain(std::size_t place, SimTime now);
  /// Its replica, if any, is gone; it must not start, serve or drain any more.
  void vacate(std::size_t place, SimTime now);
  /// The place to stop first: one that starts, the last, else the one with fewest outstanding tokens. REQUIRES: count() > 0.
  [[nodiscard]] std::size_t least_needed() const;
  /// Another place whose replica serves, with the fewest copies made of it so far; nothing when there is none.
  std::optional<std::size_t> peer_for(std::size_t place);

  /// The run has ended: closes all phases and reports.
  void end();

  Arrivals arrivals;
  std::deque<RequestSpec> in_front;                      ///< no replica serves
  std::unordered_map<std::uint64_t, int> attempts;       ///< of requests that were lost
  LinkSharing sharing{nullptr};
  std::optional<Autoscaler> autoscaler;
  SimTime next_evaluation = kNever;
  int wanted = 0;
  bool more_wanted = false;  ///< decided, and none of them has found a place yet
  SimTime last{0};  ///< latest end of anything so far
  FleetReport report;

 private:
  std::unique_ptr<Replica> make(std::size_t place);
  void enter(std::size_t place, State state, SimTime now);

  const FleetService& config_;
  const std::uint64_t seed_;
  ReplicaConfig replica_config_;
  Replica probe_;  ///< never runs: knows what is refused
  RequestRouter router_;
  std::vector<Place> places_;
  std::vector<Replica*> serving_;  ///< by place
  std::vector<std::int64_t> outstanding_;
  std::vector<int> copies_;        ///< by place
  int count_ = 0;
};

}  // namespace moeplan
