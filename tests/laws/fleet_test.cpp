// What fleets conserve while nodes fail at random and replicas come and go: requests, retries, tokens, places.
#include <doctest/doctest.h>

#include <map>
#include <memory>

#include "support/fleet_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(0.1, 0.01, 0.0003, 0.05, 0.2);

/// Three to six replicas of two GPUs on nodes of two, failing every three minutes on average, back after 20 s.
FleetService restless() {
  FleetService service = small_service(3, 6);
  service.replica = small_cluster(40).replica;
  service.gpus = 2;
  service.first_gpu = {0, 2, 4, 6, 8, 10};
  service.routing = RequestRouting::kLeastOutstandingTokens;
  AutoscalingConfig scaling;
  scaling.min_replicas = 3;
  scaling.max_replicas = 6;
  scaling.target = 4;
  scaling.up_above = 5;
  scaling.down_below = 3;
  scaling.period = Seconds(5);
  scaling.down_cooldown = Seconds(30);
  service.autoscaling = scaling;
  service.cold_start = {Seconds(3), Bytes(10'000'000'000), WeightSource::kPeer};
  return service;
}

FleetConfig failing(int retries) {
  FleetConfig config;
  config.bandwidths = {2e9, 5e9};
  config.failures.failures_per_node_year = 8766.0 * 20;
  config.failures.restart = Seconds(20);
  config.failures.retries = retries;
  return config;
}

std::unique_ptr<RequestSource> make_source(bool closed) {
  if (closed) return std::make_unique<ClosedSource>(16, 3000, SimTime(1'000'000), LengthRange{1, 30}, LengthRange{1, 40}, 7);
  return std::make_unique<PoissonSource>(3.0, 3000, LengthRange{1, 30}, LengthRange{1, 40}, 7);
}

void run_restless(bool closed, int retries, FleetRun& run, std::uint64_t seed = 3) {
  const auto source = make_source(closed);
  const Topology topology = nodes_of(6, 2);
  run_fleet(failing(retries), topology, restless(), kCost, *source, run, seed);
}

}  // namespace

TEST_CASE("every arrival is finished, rejected or failed, once, and every loss is retried or a failure") {
  std::uint64_t scale_downs = 0;
  for (const bool closed : {false, true}) {
    for (const int retries : {0, 2}) {
      CAPTURE(closed);
      CAPTURE(retries);
      FleetRun run;
      run_restless(closed, retries, run);
      const RecordingObserver& seen = run.seen;
      CHECK(seen.arrivals.size() == 3000);
      CHECK(seen.finished.size() + seen.rejected.size() + run.fleet.failed.size() == 3000);
      CHECK(seen.by_id().size() == seen.finished.size());
      CHECK(run.fleet.report.node_failures > 5);
      CHECK(run.fleet.report.scale_ups > 0);
      scale_downs += run.fleet.report.scale_downs;
      std::map<std::uint64_t, int> losses;
      std::size_t given_up = 0;
      for (const FleetObserver::Lost& lost : run.fleet.lost) {
        ++losses[lost.what.spec.id];
        given_up += lost.what.retried ? 0 : 1;
      }
      CHECK(given_up == run.fleet.failed.size());
      for (const auto& [id, at] : run.fleet.failed) {
        REQUIRE(losses.at(id) == retries + 1);
        REQUIRE(seen.by_id().count(id) == 0);
      }
      for (const auto& [id, count] : losses) REQUIRE(count <= retries + 1);
    }
  }
  CHECK(scale_downs > 0);
}

TEST_CASE("tokens made are delivered or lost, and a life is in order although it began anew") {
  for (const bool closed : {false, true}) {
    CAPTURE(closed);
    FleetRun run;
    run_restless(closed, 2, run);
    std::int64_t gaps = 0;
    for (const FinishedRequest& r : run.seen.finished) {
      gaps += r.spec.output_tokens - 1;
      REQUIRE(r.spec.arrival <= r.scheduled);
      REQUIRE(r.scheduled < r.first_token);
      REQUIRE(r.first_token <= r.last_token);
      REQUIRE(r.last_token <= run.seen.ended);
    }
    std::int64_t lost = 0;
    for (const FleetObserver::Lost& l : run.fleet.lost) lost += std::max(0, l.what.output_tokens - 1);
    CHECK(lost > 0);
    CHECK(run.seen.gap_tokens() == gaps + lost);
  }
}

TEST_CASE("a place holds one replica at a time, and steps fall into the time in which it serves or drains") {
  FleetRun run;
  run_restless(false, 2, run);
  std::map<std::int32_t, std::vector<ReplicaPhaseRecord>> by_place;
  for (const ReplicaPhaseRecord& r : run.fleet.phases) by_place[r.replica].push_back(r);
  for (auto& [place, phases] : by_place) {
    std::sort(phases.begin(), phases.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
    for (std::size_t i = 0; i < phases.size(); ++i) {
      REQUIRE(phases[i].begin < phases[i].end);
      if (i > 0) REQUIRE(phases[i - 1].end <= phases[i].begin);
    }
  }
  for (const RecordingObserver::Step& step : run.seen.steps) {
    const auto& phases = by_place.at(step.replica);
    REQUIRE(std::any_of(phases.begin(), phases.end(), [&](const ReplicaPhaseRecord& r) {
      return r.phase != ReplicaPhase::kStarting && r.begin <= step.start && step.start < r.end;
    }));
  }
}

TEST_CASE("the same seed gives the same fleet, another one other failures") {
  FleetRun one, again, other;
  run_restless(false, 2, one);
  run_restless(false, 2, again);
  run_restless(false, 2, other, 4);
  CHECK(one.seen.text() == again.seen.text());
  CHECK(one.fleet.lost.size() == again.fleet.lost.size());
  CHECK(one.seen.text() != other.seen.text());
}
