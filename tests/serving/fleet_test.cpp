// Fleets against timelines worked by hand: node failures under running requests, cold starts, autoscaling, draining. A step takes 10 s + 1 s per
// decoding sequence + 1 s per prompt token.
#include "serving/fleet.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "support/fleet_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(10, 1, 0, 1);

FleetConfig failing(std::vector<GivenFailure> given, double restart_s = 30, int retries = 3) {
  FleetConfig config;
  config.failures.given = std::move(given);
  config.failures.restart = Seconds(restart_s);
  config.failures.retries = retries;
  return config;
}

AutoscalingConfig one_each(int least, int most) {
  AutoscalingConfig scaling;
  scaling.min_replicas = least;
  scaling.max_replicas = most;
  scaling.target = 1;
  scaling.up_above = 1;
  scaling.down_below = 1;
  scaling.period = Seconds(10);
  scaling.down_cooldown = Seconds(0);
  return scaling;
}

void check(const FleetRun& run, std::uint64_t id, std::int64_t scheduled, std::int64_t first, std::int64_t last, std::int32_t replica) {
  CAPTURE(id);
  const FinishedRequest r = run.seen.by_id().at(id);
  CHECK(r.scheduled == seconds(scheduled));
  CHECK(r.first_token == seconds(first));
  CHECK(r.last_token == seconds(last));
  CHECK(r.replica == replica);
}

}  // namespace

TEST_CASE("a fleet that never changes is a cluster") {
  const AffineStepCost cost(0.1, 0.01, 0.0003, 0.05, 0.2);
  for (const RequestRouting routing : {RequestRouting::kRoundRobin, RequestRouting::kLeastOutstandingTokens, RequestRouting::kPowerOfTwo}) {
    for (const bool closed : {false, true}) {
      CAPTURE(closed);
      const auto source = [&]() -> std::unique_ptr<RequestSource> {
        if (closed) return std::make_unique<ClosedSource>(12, 400, SimTime(1'000'000), LengthRange{1, 30}, LengthRange{1, 40}, 3);
        return std::make_unique<PoissonSource>(1.0, 400, LengthRange{1, 30}, LengthRange{1, 40}, 3);
      };
      ClusterConfig cluster = small_cluster(30);
      cluster.replicas = 3;
      cluster.routing = routing;
      const auto one = source();
      const RecordingObserver expected = run(cluster, cost, *one, 5);
      FleetService service = small_service(3, 3);
      service.replica = cluster.replica;
      service.routing = routing;
      const auto other = source();
      FleetRun fleet;
      const Topology topology = nodes_of(3, 1);
      run_fleet({}, topology, service, cost, *other, fleet, 5);
      CHECK(fleet.seen.text() == expected.text());
      CHECK(fleet.fleet.phases.size() == 3);
      CHECK(fleet.fleet.report.peak_replicas == 3);
    }
  }
}

TEST_CASE("a node failure loses the KV cache, and the request starts again once the node is back") {
  // 0-14 A's prompt (4 tokens); the step of token 2 would end at 25, the node fails at 20: 4 KV tokens and 1 output token are lost. The retry at 21
  // finds no replica. The node is back at 50, the engine up at 55: 55-69 the prompt again, 69-80 and 80-91 tokens 2 and 3.
  ListSource source({{seconds(0), 4, 3}});
  FleetService service = small_service(1, 1);
  service.cold_start.start = Seconds(5);
  FleetRun run;
  const Topology topology = nodes_of(1, 1);
  run_fleet(failing({{0, seconds(20)}}), topology, service, kCost, source, run);
  check(run, 0, 55, 69, 91, 0);
  CHECK(run.seen.finished[0].spec.arrival == seconds(0));
  REQUIRE(run.fleet.lost.size() == 1);
  CHECK(run.fleet.lost[0].at == seconds(20));
  CHECK(run.fleet.lost[0].what.computed_tokens == 4);
  CHECK(run.fleet.lost[0].what.output_tokens == 1);
  CHECK(run.fleet.lost[0].what.retried);
  CHECK(run.fleet.failed.empty());
  CHECK(run.fleet.report.node_failures == 1);
  CHECK(run.was(0, ReplicaPhase::kServing, 0, 20));
  CHECK(run.was(0, ReplicaPhase::kStarting, 50, 55));
  CHECK(run.was(0, ReplicaPhase::kServing, 55, 91));
  CHECK(run.fleet.phases.size() == 3);
}

TEST_CASE("what a running step computes of a prompt is not yet there to be lost") {
  // The prompt's step would end at 14; at 10 nothing is computed. B waits in the queue and is sent again, too.
  ListSource source({{seconds(0), 4, 2}, {seconds(1), 4, 1}});
  FleetService service = small_service(1, 1);
  FleetRun run;
  const Topology topology = nodes_of(1, 1);
  run_fleet(failing({{0, seconds(10)}}, 5), topology, service, kCost, source, run);
  REQUIRE(run.fleet.lost.size() == 2);
  CHECK(run.fleet.lost[0].what.computed_tokens == 0);
  CHECK(run.fleet.lost[0].what.output_tokens == 0);
  // Both find the replica again at 15: a step of 8 prompt tokens until 33, then one of A alone.
  check(run, 0, 15, 33, 44, 0);
  check(run, 1, 15, 33, 33, 0);
}

TEST_CASE("the others take the retries, after the back-off") {
  // A on replica 0 dies at 20; at 21 replica 1, idle, takes it: 21-35, 35-46, 46-57.
  ListSource source({{seconds(0), 4, 3}});
  FleetRun run;
  const Topology topology = nodes_of(2, 1);
  run_fleet(failing({{0, seconds(20)}}), topology, small_service(2, 2), kCost, source, run);
  check(run, 0, 21, 35, 57, 1);
}

TEST_CASE("each further retry waits twice as long, and the last loss fails the request") {
  // Lost at 10, again at 11 on replica 1; lost at 20, again at 22 on replica 0 (back since 15); lost at 30: out of two retries.
  ListSource source({{seconds(0), 4, 3}});
  FleetRun run;
  const Topology topology = nodes_of(2, 1);
  FleetService service = small_service(2, 2);
  service.routing = RequestRouting::kLeastOutstandingTokens;
  run_fleet(failing({{0, seconds(10)}, {1, seconds(20)}, {0, seconds(30)}}, 5, 2), topology, service, kCost, source, run);
  REQUIRE(run.fleet.lost.size() == 3);
  CHECK(run.fleet.lost[1].at == seconds(20));
  CHECK(run.fleet.lost[1].what.replica == 1);
  CHECK(run.fleet.lost[2].what.replica == 0);
  CHECK_FALSE(run.fleet.lost[2].what.retried);
  REQUIRE(run.fleet.failed.size() == 1);
  CHECK(run.fleet.failed[0].second == seconds(30));
  CHECK(run.seen.finished.empty());
}

TEST_CASE("a replica over several nodes dies with any of them, one beside them lives on") {
  FleetService service = small_service(2, 2);
  service.gpus = 2;
  service.first_gpu = {0, 2};
  const Topology topology = nodes_of(4, 1);
  for (const int node : {0, 1}) {
    CAPTURE(node);
    ListSource source({{seconds(0), 4, 3}, {seconds(0), 4, 3}});
    FleetRun run;
    run_fleet(failing({{node, seconds(20)}}, 1000), topology, service, kCost, source, run);
    REQUIRE(run.fleet.lost.size() == 1);
    CHECK(run.fleet.lost[0].what.replica == 0);
    CHECK(run.seen.finished.size() == 2);
  }
}

TEST_CASE("a free place takes over at once from one whose node is down") {
  // Place 1 is spare: the replica starts there at 20, serves at 25.
  ListSource source({{seconds(0), 4, 3}});
  FleetService service = small_service(1, 2);
  service.cold_start.start = Seconds(5);
  FleetRun run;
  const Topology topology = nodes_of(2, 1);
  run_fleet(failing({{0, seconds(20)}}, 1000), topology, service, kCost, source, run);
  check(run, 0, 25, 39, 61, 1);
}

TEST_CASE("autoscaling: load over the target starts a replica, which serves after its engine and its weights") {
  // Two requests at the evaluation of 10: 2 wanted. Engine 10-15, 10 bytes from disk at 1 byte/s 15-25. C at 26 goes to the new, empty replica.
  FleetConfig config;
  config.bandwidths.disk = 1;
  FleetService service = small_service(1, 2);
  service.routing = RequestRouting::kLeastOutstandingTokens;
  service.autoscaling = one_each(1, 2);
  service.cold_start = {Seconds(5), Bytes(10), WeightSource::kDisk};
  ListSource source({{seconds(0), 4, 4}, {seconds(1), 4, 4}, {seconds(26), 4, 2}});
  FleetRun run;
  const Topology topology = nodes_of(2, 1);
  run_fleet(config, topology, service, kCost, source, run);
  // A 0-14; B's prompt rides with A's token 2: 14 + 10 + 1 + 4 = 29.
  check(run, 1, 14, 29, 64, 0);
  check(run, 2, 26, 40, 51, 1);
  CHECK(run.was(1, ReplicaPhase::kStarting, 10, 25));
  // A (tokens 3 and 4: 29-41, 41-53) and C have ended at 53. The evaluation of 60 finds B alone on replica 0: the empty one stops.
  CHECK(run.was(1, ReplicaPhase::kServing, 25, 60));
  CHECK(run.was(0, ReplicaPhase::kServing, 0, 64));
  CHECK(run.fleet.report.scale_ups == 1);
  CHECK(run.fleet.report.scale_downs == 1);
  CHECK(run.fleet.report.peak_replicas == 2);
}

TEST_CASE("a start that is given up is told as such") {
  // As above, but the engine takes 100 s: at 60 one request is left, and the start of 10 is given up.
  FleetService service = small_service(1, 2);
  service.autoscaling = one_each(1, 2);
  service.cold_start.start = Seconds(100);
  ListSource source({{seconds(0), 4, 2}, {seconds(1), 4, 9}});
  FleetRun run;
  const Topology topology = nodes_of(2, 1);
  run_fleet({}, topology, service, kCost, source, run);
  int starts = 0;
  for (const ReplicaPhaseRecord& r : run.fleet.phases) {
    CHECK(r.finished == (r.phase != ReplicaPhase::kStarting));
    starts += r.phase == ReplicaPhase::kStarting ? 1 : 0;
  }
  CHECK(starts == 1);
  CHECK(run.fleet.report.scale_ups == 1);
}

TEST_CASE("a wish for more replicas that finds no place is no scaling") {
  // Node 1 is down from 5 to 35: the evaluations of 10, 20 and 30 want two replicas, that of 40 gets them.
  const auto ups = [](double restart) {
    FleetService service = small_service(1, 2);
    service.autoscaling = one_each(1, 2);
    ListSource source({{seconds(0), 4, 9}, {seconds(1), 4, 9}});
    FleetRun run;
    const Topology topology = nodes_of(2, 1);
    run_fleet(failing({{1, seconds(5)}}, restart), topology, service, kCost, source, run);
    return run.fleet.report.scale_ups;
  };
  CHECK(ups(1000) == 0);
  CHECK(ups(30) == 1);
}

TEST_CASE("a draining replica takes no more requests and ends when it is empty") {
  // Two replicas with a request each, 0-14-25-...; the target of 2 per replica wants one at the evaluation of 10. Replica 1 drains (ties stop the
  // last), B ends there at 25; C at 11 goes to replica 0 although that has as much to do.
  FleetService service = small_service(2, 2);
  service.autoscaling = one_each(1, 2);
  service.autoscaling->target = 2;
  service.autoscaling->down_below = 2;
  service.autoscaling->up_above = 100;
  ListSource source({{seconds(0), 4, 2}, {seconds(0), 4, 2}, {seconds(11), 4, 1}});
  FleetRun run;
  const Topology topology = nodes_of(2, 1);
  run_fleet({}, topology, service, kCost, source, run);
  check(run, 1, 0, 14, 25, 1);
  CHECK(run.seen.by_id().at(2).replica == 0);
  CHECK(run.was(1, ReplicaPhase::kServing, 0, 10));
  CHECK(run.was(1, ReplicaPhase::kDraining, 10, 25));
}

TEST_CASE("a fleet scaled to zero starts with the first request that waits in front") {
  // A at 3 waits; the evaluation of 10 wants one; engine until 15: 15-29, 29-40. At 40 nothing is left: the run ends.
  FleetService service = small_service(0, 1);
  service.autoscaling = one_each(0, 1);
  service.cold_start.start = Seconds(5);
  ListSource source({{seconds(3), 4, 2}});
  FleetRun run;
  const Topology topology = nodes_of(1, 1);
  run_fleet({}, topology, service, kCost, source, run);
  check(run, 0, 15, 29, 40, 0);
  CHECK(run.was(0, ReplicaPhase::kStarting, 10, 15));
}

TEST_CASE("replicas that load weights at once share their node's disk, the store, or the peer's cards") {
  // Two replicas of one GPU start at 10 on one node, 20 bytes each.
  FleetConfig config;
  config.bandwidths.disk = 2;
  config.bandwidths.network = 5;
  config.bandwidths.store = 1;
  FleetService service = small_service(1, 3);
  service.autoscaling = one_each(1, 3);
  const auto serves_at = [&](WeightSource source_kind, const Topology& topology, Bytes weights = Bytes(20)) {
    service.cold_start = {Seconds(0), weights, source_kind};
    ListSource source({{seconds(0), 4, 9}, {seconds(0), 4, 9}, {seconds(0), 4, 9}});
    FleetRun run;
    run_fleet(config, topology, service, kCost, source, run);
    std::vector<double> at;
    for (const ReplicaPhaseRecord& r : run.fleet.phases) {
      if (r.phase == ReplicaPhase::kStarting) at.push_back(std::round(to_seconds(r.end).value() * 1e3) / 1e3);  // sharing rounds to nanoseconds
    }
    return at;
  };
  const Topology one = nodes_of(1, 3);
  const Topology three = nodes_of(3, 1);
  // One disk of 2 bytes/s: 40 bytes in 20 s. A disk each: 10 s.
  CHECK(serves_at(WeightSource::kDisk, one) == std::vector<double>{30, 30});
  CHECK(serves_at(WeightSource::kDisk, three) == std::vector<double>{20, 20});
  // A store of 1 byte/s for all, whichever nodes.
  CHECK(serves_at(WeightSource::kNetwork, three) == std::vector<double>{50, 50});
  config.bandwidths.store = FlowNetwork::kUnlimited;
  CHECK(serves_at(WeightSource::kNetwork, one) == std::vector<double>{18, 18});
  // Into a GPU at 1 byte/s, whatever the cards.
  config.bandwidths.gpu = 1;
  CHECK(serves_at(WeightSource::kNetwork, one) == std::vector<double>{30, 30});
  // The peer's GPU sends 300 GB/s over its switch to both, past the hosts; over a card of 20 GB/s to other nodes.
  CHECK(serves_at(WeightSource::kPeer, one, Bytes(1'500'000'000'000)) == std::vector<double>{20, 20});
  CHECK(serves_at(WeightSource::kPeer, three, Bytes(100'000'000'000)) == std::vector<double>{20, 20});
}

TEST_CASE("the autoscaler: thresholds, cooldowns and bounds") {
  AutoscalingConfig config;
  config.min_replicas = 2;
  config.max_replicas = 6;
  config.target = 10;
  config.up_above = 12;
  config.down_below = 6;
  config.up_cooldown = Seconds(20);
  config.down_cooldown = Seconds(100);
  Autoscaler scaler(config);
  CHECK(scaler.decide(seconds(0), 40, 4, false) == 4);
  CHECK(scaler.decide(seconds(0), 48, 4, false) == 4);     // 12 each: not above
  CHECK(scaler.decide(seconds(0), 49, 4, false) == 5);     // ceil(4.9)
  CHECK(scaler.decide(seconds(19), 100, 5, false) == 5);   // cooling down
  CHECK(scaler.decide(seconds(20), 100, 5, false) == 6);   // 10 wanted, 6 allowed
  CHECK(scaler.decide(seconds(119), 10, 6, false) == 6);   // 100 s after the last decision
  CHECK(scaler.decide(seconds(120), 36, 6, false) == 6);   // 6 each: not below
  CHECK(scaler.decide(seconds(120), 35, 6, false) == 4);   // ceil(3.5)
  CHECK(scaler.decide(seconds(400), 0, 4, false) == 2);
  CHECK(scaler.decide(seconds(401), 0, 1, false) == 2);    // one has died
}
