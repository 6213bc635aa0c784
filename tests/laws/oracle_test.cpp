// The engine against the slow oracle, over every kind of scheduling, with KV blocks scarce enough to preempt.
#include <doctest/doctest.h>

#include <map>
#include <utility>

#include "support/naive_replica.hpp"
#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

using GapCounts = std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t>;  // (at, gap) -> tokens

// What a client that sees tokens n at a time makes of one request's token times.
SimTime client_view(const NaiveReplica::Request& r, int n, GapCounts& gaps) {
  SimTime first{-1};
  SimTime seen{-1};
  int group = 0;
  for (std::size_t i = 0; i < r.tokens.size(); ++i) {
    ++group;
    const bool last = i + 1 == r.tokens.size();
    if ((i + 1) % static_cast<std::size_t>(n) != 0 && !last) continue;
    const std::int64_t at = r.tokens[i].count();
    if (first.count() < 0) {
      first = r.tokens[i];
    } else {
      gaps[{at, at - seen.count()}] += 1;
    }
    if (group > 1) gaps[{at, 0}] += group - 1;
    seen = r.tokens[i];
    group = 0;
  }
  return first;
}

int compare(const ClusterConfig& config, const StepCost& cost, std::uint64_t seed) {
  PoissonSource source(0.35, 300, {1, 30}, {1, 40}, seed);
  const RecordingObserver seen = run(config, cost, source, seed);
  NaiveReplica naive(config.replica, cost, seed);
  naive.run(seen.arrivals);
  REQUIRE(seen.finished.size() == 300);
  const auto finished = seen.by_id();
  GapCounts expected;
  int preemptions = 0;
  for (const NaiveReplica::Request& r : naive.requests) {
    const FinishedRequest& engine = finished.at(r.spec.id);
    const SimTime first = client_view(r, config.replica.stream_interval, expected);
    CHECK(engine.scheduled == r.scheduled);
    CHECK(engine.first_token == first);
    CHECK(engine.last_token == r.tokens.back());
    CHECK(engine.preemptions == r.preemptions);
    preemptions += r.preemptions;
  }
  GapCounts gaps;
  for (const RecordingObserver::Gap& g : seen.gaps) gaps[{g.at.count(), g.gap.count()}] += g.tokens;
  CHECK(gaps == expected);
  return preemptions;
}

ClusterConfig scarce(PrefillMode mode, bool chunked, double reserve, int interval) {
  ClusterConfig config = small_cluster(30);
  config.replica.scheduler.prefill_mode = mode;
  config.replica.scheduler.chunked_prefill = chunked;
  config.replica.scheduler.admission_output_reserve = reserve;
  config.replica.stream_interval = interval;
  return config;
}

// Decodes at 0.1 s, about 2 s of service a request and 0.35 requests a second: batches of a few, queues now and then.
const AffineStepCost kCost(0.1, 0.01, 0.0003, 0.05, 0.2);

}  // namespace

TEST_CASE("the engine gives every request the times of the slow oracle") {
  int preemptions = 0;
  std::uint64_t seed = 0;
  for (const PrefillMode mode : {PrefillMode::kMixed, PrefillMode::kSeparate}) {
    for (const bool chunked : {true, false}) {
      for (const double reserve : {0.0, 0.5, 1.0}) {
        for (const int interval : {1, 2, 7}) {
          CAPTURE(static_cast<int>(mode));
          CAPTURE(chunked);
          CAPTURE(reserve);
          CAPTURE(interval);
          const int here = compare(scarce(mode, chunked, reserve, interval), kCost, ++seed);
          if (reserve == 1.0) CHECK(here == 0);
          preemptions += here;
        }
      }
    }
  }
  CHECK(preemptions > 100);
}

TEST_CASE("the engine agrees with the oracle for windowed and constant-state layers") {
  // Blocks of 4: 3 bytes in the first 3 blocks (window 8), 1 byte after; 2 bytes of state.
  for (const int block : {1, 4, 16}) {
    for (const int interval : {1, 3}) {
      ClusterConfig config = scarce(PrefillMode::kMixed, true, 0.0, interval);
      config.replica.kv_layout = {block, Bytes(3), Bytes(1), 3, Bytes(2)};
      config.replica.kv_capacity = Bytes(block == 16 ? 25 : 250 / block);
      if (block == 1) config.replica.kv_capacity = Bytes(130);
      CAPTURE(block);
      CHECK(compare(config, kCost, static_cast<std::uint64_t>(block)) > 0);
    }
  }
}
