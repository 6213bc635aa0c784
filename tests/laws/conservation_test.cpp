// What goes in comes out, in order: requests, tokens, KV blocks.
#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(0.1, 0.01, 0.0003, 0.05, 0.2);

ClusterConfig three_replicas(std::int64_t blocks) {
  ClusterConfig config = small_cluster(blocks);
  config.replicas = 3;
  return config;
}

}  // namespace

TEST_CASE("every request the source issues is finished or rejected, once, and its life is in order") {
  // 16 blocks of 4 tokens: requests over 64 tokens do not fit, of lengths up to 50 + 40.
  for (const PrefillMode mode : {PrefillMode::kMixed, PrefillMode::kSeparate}) {
    ClusterConfig config = three_replicas(16);
    config.replica.scheduler.prefill_mode = mode;
    PoissonSource source(1.0, 2000, {1, 50}, {1, 40}, 7);
    const RecordingObserver seen = run(config, kCost, source);
    CHECK(source.issued() == 2000);
    CHECK(seen.arrivals.size() == source.issued());
    CHECK(seen.finished.size() + seen.rejected.size() == source.issued());
    CHECK(seen.rejected.size() > 0);
    CHECK(seen.preempted.size() > 0);
    CHECK(seen.by_id().size() == seen.finished.size());
    for (const FinishedRequest& r : seen.finished) {
      REQUIRE(r.spec.arrival <= r.scheduled);
      REQUIRE(r.scheduled < r.first_token);
      REQUIRE(r.first_token <= r.last_token);
      REQUIRE(r.last_token <= seen.ended);
    }
  }
}

TEST_CASE("preemption neither loses nor doubles output tokens") {
  for (const int interval : {1, 4}) {
    ClusterConfig config = three_replicas(20);
    config.replica.stream_interval = interval;
    PoissonSource source(1.5, 2000, {1, 30}, {1, 40}, 11);
    const RecordingObserver seen = run(config, kCost, source);
    std::int64_t gaps = 0;
    for (const FinishedRequest& r : seen.finished) gaps += r.spec.output_tokens - 1;
    CHECK(seen.preempted.size() > 100);
    CHECK(seen.gap_tokens() == gaps);
  }
}

TEST_CASE("without preemption steps compute each prompt token and each further output token exactly once") {
  PoissonSource source(1.0, 2000, {1, 50}, {1, 40}, 13);
  const RecordingObserver seen = run(three_replicas(100'000), kCost, source);
  std::int64_t tokens = 0;
  for (const FinishedRequest& r : seen.finished) tokens += r.spec.prompt_tokens + r.spec.output_tokens - 1;
  std::int64_t computed = 0;
  for (const auto& s : seen.steps) computed += s.prefill + s.decodes;
  CHECK(seen.preempted.empty());
  CHECK(computed == tokens);
}

TEST_CASE("steps of a replica never overlap and the token budget holds") {
  PoissonSource source(1.0, 2000, {1, 50}, {1, 40}, 17);
  const RecordingObserver seen = run(three_replicas(40), kCost, source);
  std::vector<SimTime> free_at(3, SimTime{0});
  for (const auto& s : seen.steps) {
    REQUIRE(s.start >= free_at[static_cast<std::size_t>(s.replica)]);
    REQUIRE(s.decodes + s.prefill <= 8);
    REQUIRE(s.decodes + s.prefill > 0);
    free_at[static_cast<std::size_t>(s.replica)] = s.end;
  }
}

TEST_CASE("a drained replica holds no KV and owes no tokens") {
  ClusterConfig config = small_cluster(20);
  config.replica.kv_layout = {4, Bytes(3), Bytes(1), 3, Bytes(2)};
  config.replica.kv_capacity = Bytes(60);
  RecordingObserver seen;
  Replica replica(0, config.replica, kCost, seen, 1);
  PoissonSource source(0.8, 500, {1, 30}, {1, 40}, 19);
  while (const auto spec = source.next()) {
    REQUIRE(!replica.refuses(*spec));
    replica.advance_to(spec->arrival);
    replica.enqueue(*spec, spec->arrival);
    REQUIRE(replica.outstanding_tokens() > 0);
    REQUIRE(replica.kv_cache().used() <= replica.kv_cache().capacity());
  }
  replica.advance_to(kNever);
  CHECK(seen.finished.size() == 500);
  CHECK(seen.preempted.size() > 0);
  CHECK(replica.kv_cache().used() == Bytes(0));
  CHECK(replica.kv_cache().promised() == Bytes(0));
  CHECK(replica.kv_cache().growth() == Bytes(0));
  CHECK(replica.outstanding_tokens() == 0);
  CHECK(seen.steps.back().kv_tokens > 0);
  CHECK(!replica.has_work());
}

TEST_CASE("a closed loop keeps its concurrency in flight and never more") {
  for (const int replicas : {1, 3}) {
    ClusterConfig config = small_cluster(40);
    config.replicas = replicas;
    config.replica.request_latency = Seconds(0.5);
    ClosedSource source(12, 1000, seconds(1), {1, 30}, {1, 40}, 23);
    const RecordingObserver seen = run(config, kCost, source);
    CHECK(source.issued() == 1000);
    CHECK(source.finished() == 1000);
    CHECK(source.most_in_flight() == 12);
    CHECK(seen.finished.size() == 1000);
    // Each arrival after the burst comes 1 s after some client saw its last token, so never more than 12 are open at once.
    std::vector<std::pair<SimTime, int>> changes;
    for (const FinishedRequest& r : seen.finished) {
      changes.emplace_back(r.spec.arrival, 1);
      changes.emplace_back(r.last_token, -1);
    }
    std::sort(changes.begin(), changes.end());
    int open = 0;
    int most = 0;
    for (const auto& [at, change] : changes) most = std::max(most, open += change);
    CHECK(most == 12);
  }
}

TEST_CASE("a closed loop goes on after a rejection") {
  // 3 blocks hold 12 tokens; prompts up to 20 are partly refused, at once, and their clients send again.
  ClosedSource source(4, 200, SimTime{0}, {1, 20}, {1, 2}, 29);
  const RecordingObserver seen = run(small_cluster(3), kCost, source);
  CHECK(source.issued() == 200);
  CHECK(seen.rejected.size() > 0);
  CHECK(seen.finished.size() + seen.rejected.size() == 200);
}
