// Nodes that fail under prefill and decode pools, against timelines worked by hand: what is lost, what goes elsewhere, and that nothing vanishes.
// A step takes 10 s + 1 s per decoding sequence + 1 s per prompt token; KV is 1 byte per token, sent at 1 byte/s. Every replica has a node of its own,
// prefill first; a node is down for 20 s, its replica starts in 5 s more, and a lost request comes back after 1 s.
#include <doctest/doctest.h>

#include "serving/disaggregation.hpp"
#include "support/fleet_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(10, 1, 0, 1);

DisaggregatedConfig pools(int prefills, int decodes, const Topology& topology) {
  DisaggregatedConfig config;
  for (ServingPool* pool : {&config.prefill, &config.decode}) {
    pool->replica = small_cluster().replica;
    pool->cold_start.start = Seconds(5);
  }
  config.prefill.replicas = prefills;
  config.decode.replicas = decodes;
  for (int i = 0; i < prefills + decodes; ++i) (i < prefills ? config.prefill : config.decode).first_gpu.push_back(i);
  config.transfer.bytes_per_token = 1;
  config.transfer.limit = 1;
  config.transfer.layerwise = false;
  config.topology = &topology;
  config.failures.restart = Seconds(20);
  return config;
}

void check(const RecordingObserver& seen, std::uint64_t id, std::int64_t scheduled, std::int64_t first, std::int64_t last) {
  const FinishedRequest r = seen.by_id().at(id);
  CHECK(r.scheduled == seconds(scheduled));
  // Links of gigabytes a second add nanoseconds.
  CHECK(to_seconds(r.first_token).value() == doctest::Approx(static_cast<double>(first)));
  CHECK(to_seconds(r.last_token).value() == doctest::Approx(static_cast<double>(last)));
}

/// One request of 4 + 3 tokens under one failure. Undisturbed: prompt 0-14, KV 14-19 (a byte more is rounded up), tokens at 19, 30, 41.
void run_one(int decodes, int node, std::int64_t at, FleetRun& out) {
  const Topology topology = nodes_of(1 + decodes, 1);
  DisaggregatedConfig config = pools(1, decodes, topology);
  config.failures.given = {{node, seconds(at)}};
  ListSource source({{seconds(0), 4, 3}});
  simulate(config, kCost, kCost, source, out.fleet, 1);
}

}  // namespace

TEST_CASE("a prefill worker that fails loses its running prompt, which starts again when it is back") {
  // Fails at 10, back in front at 11; up at 30, started at 35: prompt 35-49, KV 49-54.
  FleetRun run;
  run_one(1, 0, 10, run);
  check(run.seen, 0, 35, 54, 76);
  REQUIRE(run.fleet.lost.size() == 1);
  CHECK(run.fleet.lost[0].what.retried);
  CHECK(run.fleet.lost[0].what.computed_tokens == 0);
  CHECK(run.fleet.report.node_failures == 1);
  CHECK(run.was(0, ReplicaPhase::kServing, 0, 10));
  CHECK(run.was(0, ReplicaPhase::kStarting, 30, 35));
}

TEST_CASE("a decode worker that fails loses its KV: the prompt is computed again in the prefill pool") {
  // At 25 the second token is under way. Prompt again 26-40; its KV waits for the decode replica until 50, 50-55.
  FleetRun run;
  run_one(1, 1, 25, run);
  check(run.seen, 0, 26, 55, 77);
  REQUIRE(run.fleet.lost.size() == 1);
  CHECK(run.fleet.lost[0].what.replica == 1);
  CHECK(run.fleet.lost[0].what.computed_tokens == 4);
  CHECK(run.fleet.lost[0].what.output_tokens == 1);
}

TEST_CASE("KV on its way to a decode worker that fails stays with the prefill worker and goes to another") {
  // Cut off at 16, sent again 16-21 to the second decode replica: nothing is lost.
  FleetRun run;
  run_one(2, 1, 16, run);
  check(run.seen, 0, 0, 21, 43);
  CHECK(run.seen.by_id().at(0).replica == 2);
  CHECK(run.fleet.lost.empty());
  CHECK(run.fleet.report.node_failures == 1);
}

TEST_CASE("KV on its way from a prefill worker that fails is lost, and its place in the decode pool is given back") {
  // At 16: again at 17 in front; the prefill replica serves at 41: prompt 41-55, KV 55-60.
  FleetRun run;
  run_one(1, 0, 16, run);
  check(run.seen, 0, 41, 60, 82);
  REQUIRE(run.fleet.lost.size() == 1);
  CHECK(run.fleet.lost[0].what.computed_tokens == 4);
  CHECK(run.fleet.lost[0].what.output_tokens == 0);
}

TEST_CASE("a request out of retries has failed, and its client goes on") {
  const Topology topology = nodes_of(2, 1);
  DisaggregatedConfig config = pools(1, 1, topology);
  config.failures.given = {{0, seconds(10)}};
  config.failures.retries = 0;
  testing::ClosedSource source(1, 2, seconds(1), {4, 4}, {3, 3}, 1);
  FleetRun run;
  simulate(config, kCost, kCost, source, run.fleet, 1);
  REQUIRE(run.fleet.failed.size() == 1);
  CHECK(run.fleet.failed[0].first == 0);
  CHECK(run.seen.finished.size() == 1);
  // The second comes at 11 and waits for 35.
  CHECK(run.seen.by_id().at(1).spec.arrival == seconds(11));
  check(run.seen, 1, 35, 54, 76);
}

TEST_CASE("requests over pools, retries and failures add up while nodes fail at random") {
  const AffineStepCost cost(0.1, 0.01, 0.0003, 0.05, 0.2);
  const Topology topology = nodes_of(2, 2);  // a node holds a prefill and a decode replica each, or two of a kind
  for (const bool closed : {false, true}) {
    for (const bool crossed : {false, true}) {
      DisaggregatedConfig config = pools(2, 2, topology);
      if (crossed) {
        config.prefill.first_gpu = {0, 2};
        config.decode.first_gpu = {1, 3};
      }
      config.prefill.replica.kv_capacity = Bytes(30);
      config.decode.replica.kv_capacity = Bytes(40);
      config.decode.replica.kv_reuse.enabled = crossed;
      config.prefill.cold_start.weights = Bytes(1000);
      config.bandwidths.disk = 500;
      config.transfer.limit = 100;
      config.transfer.layerwise = true;
      config.transfer.layers = 4;
      config.transfer.stay_below = 5;
      config.failures.failures_per_node_year = 1e5;  // every 5 min
      config.failures.retries = 2;
      std::string text[2];
      for (std::string& each : text) {
        PoissonSource open_source(1.2, 1500, {1, 40}, {1, 40}, 5);
        testing::ClosedSource loop_source(12, 1500, SimTime(1000), {1, 40}, {1, 40}, 5);
        RequestSource& source = closed ? static_cast<RequestSource&>(loop_source) : open_source;
        FleetRun run;
        simulate(config, cost, cost, source, run.fleet, 3);
        CHECK(run.seen.finished.size() + run.fleet.failed.size() == 1500);
        CHECK(run.seen.by_id().size() == run.seen.finished.size());
        CHECK(run.fleet.report.node_failures > 3);
        CHECK(run.fleet.lost.size() > 10);
        std::size_t final_losses = 0;
        for (const FleetObserver::Lost& lost : run.fleet.lost) final_losses += lost.what.retried ? 0U : 1U;
        CHECK(final_losses == run.fleet.failed.size());
        // Tokens that decode replicas made: those of the answers, and those that were lost.
        std::int64_t made = 0;
        for (const FinishedRequest& r : run.seen.finished) made += r.spec.output_tokens - 1;
        for (const FleetObserver::Lost& lost : run.fleet.lost) made += std::max(0, lost.what.output_tokens - 1);
        CHECK(run.seen.gap_tokens() == made);
        each = run.seen.text();
      }
      CHECK(text[0] == text[1]);
    }
  }
}
