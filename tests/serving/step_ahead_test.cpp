// Steps that are decided as the one before them starts, and the path between client and engine.
#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

/// First token in ms of a request that arrives at `ms` while another decodes for `tokens` steps of 10 ms from 0.
double first_token(bool ahead, std::int64_t ms, std::int32_t tokens) {
  ClusterConfig config = small_cluster();
  config.replica.scheduler.schedules_ahead = ahead;
  ListSource source({{SimTime(0), 2, tokens}, {SimTime(ms * 1'000'000), 2, 2}});
  const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
  for (const FinishedRequest& f : seen.finished) {
    if (f.spec.id == 1) return to_seconds(f.first_token).value() * 1e3;
  }
  return -1;
}

}  // namespace

TEST_CASE("who arrives during a step enters the next one, or with steps decided ahead the one after it") {
  // Arrives at 15, in the step from 10 to 20. Decided at its end: computed from 20 to 30. Decided at 10, the step from 20 is without it.
  CHECK(first_token(false, 15, 40) == doctest::Approx(30));
  CHECK(first_token(true, 15, 40) == doctest::Approx(40));
}

TEST_CASE("with nothing else to run, who arrives during a step enters the next one") {
  // The other ends with the step from 10 to 20: no step was decided ahead.
  CHECK(first_token(true, 15, 2) == doctest::Approx(30));
  // Nothing runs at 55.
  CHECK(first_token(true, 55, 2) == doctest::Approx(65));
}

TEST_CASE("who waits for room is taken in its order when steps are decided ahead") {
  // One request at a time: the second waits from 5, the third from 25. Each runs alone for two steps.
  ClusterConfig config = small_cluster();
  config.replica.scheduler.schedules_ahead = true;
  config.replica.scheduler.max_batch_requests = 1;
  ListSource source({{SimTime(0), 2, 2}, {SimTime(5'000'000), 2, 2}, {SimTime(25'000'000), 2, 2}});
  const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
  std::vector<double> first(3);
  for (const FinishedRequest& f : seen.finished) first[f.spec.id] = to_seconds(f.first_token).value() * 1e3;
  CHECK(first[0] == doctest::Approx(10));
  CHECK(first[1] == doctest::Approx(30));
  CHECK(first[2] == doctest::Approx(50));
}

TEST_CASE("the path between client and engine takes longer for long prompts and beside other requests, first and last token alike") {
  // 5 ms, 1 ms per prompt token, 2 ms per running request. Steps of 10 ms. One of 2 prompt tokens ends at 20 ms, when two run
  // (5 + 2 + 2 x 2 = 11 ms), one of 4 at 30 ms, alone (5 + 4 + 2 = 11 ms).
  ClusterConfig config = small_cluster();
  config.replica.request_latency = Seconds(5e-3);
  config.replica.request_per_token = Seconds(1e-3);
  config.replica.request_per_stream = Seconds(2e-3);
  ListSource source({{SimTime(0), 2, 2}, {SimTime(0), 4, 3}});
  const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
  REQUIRE(seen.finished.size() == 2);
  for (const FinishedRequest& f : seen.finished) {
    CHECK(to_seconds(f.first_token).value() == doctest::Approx(0.021));
    CHECK(to_seconds(f.last_token).value() == doctest::Approx(f.spec.id == 0 ? 0.031 : 0.041));
  }
}
