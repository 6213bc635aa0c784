// A fleet under test: places on nodes of one GPU each unless told otherwise, and a recorder of what fleets report.
#pragma once

#include "network/network_fixture.hpp"
#include "serving/fleet.hpp"
#include "support/serving_fixture.hpp"

namespace moeplan::testing {

class FleetObserver final : public Observer {
 public:
  struct Lost {
    LostRequest what;
    SimTime at{0};
  };
  explicit FleetObserver(Observer& rest) : rest_(rest) {}
  void on_arrival(const RequestSpec& spec) override { rest_.on_arrival(spec); }
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) override { rest_.on_rejected(spec, reason, at); }
  void on_turned_away(const RequestSpec& spec, SimTime at) override { rest_.on_turned_away(spec, at); }
  void on_preempted(std::uint64_t id, std::int32_t replica, SimTime at) override { rest_.on_preempted(id, replica, at); }
  void on_finished(const FinishedRequest& r) override { rest_.on_finished(r); }
  void on_step(const StepRecord& r) override { rest_.on_step(r); }
  void on_token_gaps(SimTime at, SimTime gap, std::int64_t tokens) override { rest_.on_token_gaps(at, gap, tokens); }
  void on_end(SimTime now) override { rest_.on_end(now); }
  void on_replica_phase(const ReplicaPhaseRecord& r) override { phases.push_back(r); }
  void on_lost(const LostRequest& r, SimTime at) override { lost.push_back({r, at}); }
  void on_failed(const RequestSpec& spec, SimTime at) override { failed.emplace_back(spec.id, at); }
  void on_fleet_end(const FleetReport& r) override { report = r; }

  std::vector<ReplicaPhaseRecord> phases;
  std::vector<Lost> lost;
  std::vector<std::pair<std::uint64_t, SimTime>> failed;
  FleetReport report;

 private:
  Observer& rest_;
};

/// What one service of a run did.
struct FleetRun {
  RecordingObserver seen;
  FleetObserver fleet{seen};
  FleetRun() = default;
  FleetRun(const FleetRun&) = delete;
  FleetRun& operator=(const FleetRun&) = delete;

  /// Whether `replica` was in `phase` from `begin` to `end`, in seconds.
  [[nodiscard]] bool was(std::int32_t replica, ReplicaPhase phase, std::int64_t begin, std::int64_t end) const {
    return std::any_of(fleet.phases.begin(), fleet.phases.end(), [&](const ReplicaPhaseRecord& r) {
      return r.replica == replica && r.phase == phase && r.begin == seconds(begin) && r.end == seconds(end);
    });
  }
};

/// `replicas` replicas of one GPU, alone on their nodes, in the first of `places` places.
inline FleetService small_service(int replicas, int places) {
  FleetService service;
  service.replica = small_cluster().replica;
  service.replicas = replicas;
  for (int i = 0; i < places; ++i) service.first_gpu.push_back(i);
  return service;
}

/// A topology of `nodes` nodes of `gpus` GPUs.
inline Topology nodes_of(int nodes, int gpus) { return Topology(test::switched_nodes(nodes, gpus)); }

inline void run_fleet(FleetConfig config, const Topology& topology, FleetService service, const StepCost& cost, RequestSource& source, FleetRun& out,
                      std::uint64_t seed = 1) {
  config.topology = &topology;
  service.cost = &cost;
  service.source = &source;
  service.observer = &out.fleet;
  simulate(config, std::span<const FleetService>(&service, 1), seed);
}

}  // namespace moeplan::testing
