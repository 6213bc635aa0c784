// Timelines worked by hand. A step takes 10 s + 1 s per decoding sequence + 1 s per prompt token.
#include <doctest/doctest.h>

#include <algorithm>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(10, 1, 0, 1);
using Step = RecordingObserver::Step;

void check_request(const FinishedRequest& r, std::int64_t scheduled, std::int64_t first, std::int64_t last) {
  CHECK(r.scheduled == seconds(scheduled));
  CHECK(r.first_token == seconds(first));
  CHECK(r.last_token == seconds(last));
}

void check_gap(const RecordingObserver::Gap& g, std::int64_t at, std::int64_t gap, std::int64_t tokens) {
  CHECK(g.at == seconds(at));
  CHECK(g.gap == seconds(gap));
  CHECK(g.tokens == tokens);
}

Step step(std::int64_t start, std::int64_t end, int decodes, int prefill, std::int64_t context, std::int64_t kv, int running, int waiting) {
  return {0, seconds(start), seconds(end), decodes, prefill, context, kv, running, waiting};
}

}  // namespace

TEST_CASE("mixed steps decode first and give prompts the rest of the token budget") {
  // A arrives at 0 with 4 + 3 tokens, B at 5 with 10 + 2; budget 8.
  //  0-14  A's prompt (4): A's token 1
  // 14-32  A decodes, 7 of B's 10 prompt tokens: A's token 2
  // 32-46  A decodes, B's other 3: A's token 3 (its last), B's token 1
  // 46-57  B decodes: B's token 2
  ListSource source({{seconds(0), 4, 3}, {seconds(5), 10, 2}});
  const RecordingObserver seen = run(small_cluster(), kCost, source);
  REQUIRE(seen.steps.size() == 4);
  CHECK(seen.steps[0] == step(0, 14, 0, 4, 0, 4, 1, 0));
  CHECK(seen.steps[1] == step(14, 32, 1, 7, 5, 12, 2, 0));  // A attends to 4 + 1 tokens
  CHECK(seen.steps[2] == step(32, 46, 1, 3, 6, 16, 2, 0));
  CHECK(seen.steps[3] == step(46, 57, 1, 0, 11, 11, 1, 0));
  const auto requests = seen.by_id();
  check_request(requests.at(0), 0, 14, 46);
  check_request(requests.at(1), 14, 46, 57);
  REQUIRE(seen.gaps.size() == 3);
  check_gap(seen.gaps[0], 32, 18, 1);
  check_gap(seen.gaps[1], 46, 14, 1);
  check_gap(seen.gaps[2], 57, 11, 1);
  CHECK(seen.ended == seconds(57));
}

TEST_CASE("separate steps finish the prompts before anybody decodes") {
  //  0-14  A's prompt: A's token 1
  // 14-32  8 of B's prompt (chunk limit 8)
  // 32-44  B's other 2: B's token 1
  // 44-56  A and B decode: A's token 2 after 42 s, B's token 2 (last) after 12 s
  // 56-67  A decodes: token 3
  ListSource source({{seconds(0), 4, 3}, {seconds(5), 10, 2}});
  ClusterConfig config = small_cluster();
  config.replica.scheduler.prefill_mode = PrefillMode::kSeparate;
  const RecordingObserver seen = run(config, kCost, source);
  REQUIRE(seen.steps.size() == 5);
  CHECK(seen.steps[1] == step(14, 32, 0, 8, 0, 12, 2, 0));
  CHECK(seen.steps[2] == step(32, 44, 0, 2, 0, 14, 2, 0));
  CHECK(seen.steps[3] == step(44, 56, 2, 0, 5 + 11, 16, 2, 0));
  CHECK(seen.steps[4] == step(56, 67, 1, 0, 6, 6, 1, 0));
  const auto requests = seen.by_id();
  check_request(requests.at(0), 0, 14, 67);
  check_request(requests.at(1), 14, 44, 56);
  REQUIRE(seen.gaps.size() == 3);
  check_gap(seen.gaps[0], 56, 42, 1);
  check_gap(seen.gaps[1], 56, 12, 1);
  check_gap(seen.gaps[2], 67, 11, 1);
}

TEST_CASE("without chunking whole prompts run, at least one per step") {
  // A as above, B (10 + 2) at 5, C (3 + 1) at 6.
  //  0-14  A's prompt
  // 14-35  A decodes, all of B's 10 although the budget leaves 7; nothing is left for C
  // 35-50  A and B decode (their last), C's prompt: C's only token
  ListSource source({{seconds(0), 4, 3}, {seconds(5), 10, 2}, {seconds(6), 3, 1}});
  ClusterConfig config = small_cluster();
  config.replica.scheduler.chunked_prefill = false;
  const RecordingObserver seen = run(config, kCost, source);
  REQUIRE(seen.steps.size() == 3);
  CHECK(seen.steps[1] == step(14, 35, 1, 10, 5, 15, 2, 1));
  CHECK(seen.steps[2] == step(35, 50, 2, 3, 6 + 11, 20, 3, 0));
  const auto requests = seen.by_id();
  check_request(requests.at(0), 0, 14, 50);
  check_request(requests.at(1), 14, 35, 50);
  check_request(requests.at(2), 35, 50, 50);
  REQUIRE(seen.gaps.size() == 2);
  check_gap(seen.gaps[0], 35, 21, 1);
  check_gap(seen.gaps[1], 50, 15, 2);
}

TEST_CASE("the latest arrival is preempted when KV blocks run out, and recomputes without producing twice") {
  // A and B (4 + 5 tokens: 8 held in the end, 2 blocks) at 0; 3 blocks.
  //  0- 18  both prompts, one block each: token 1 of both
  // 18- 29  both need a second block, one is free: B goes; A decodes (token 2)
  // 29- 62  A decodes 3 times and ends; B would need 2 blocks for 4 + 1 tokens and waits
  // 62- 77  B computes 5 tokens anew: its token 2
  // 77-110  B decodes 3 times
  ListSource source({{seconds(0), 4, 5}, {seconds(0), 4, 5}});
  const RecordingObserver seen = run(small_cluster(3), kCost, source);
  const auto requests = seen.by_id();
  check_request(requests.at(0), 0, 18, 62);
  check_request(requests.at(1), 0, 18, 110);
  CHECK(requests.at(0).preemptions == 0);
  CHECK(requests.at(1).preemptions == 1);
  CHECK(seen.preempted == std::vector<std::uint64_t>{1});
  REQUIRE(seen.steps.size() == 9);
  CHECK(seen.steps[1] == step(18, 29, 1, 0, 5, 5, 1, 1));
  CHECK(seen.steps[5] == step(62, 77, 0, 5, 0, 5, 1, 0));
  CHECK(seen.steps[6] == step(77, 88, 1, 0, 6, 6, 1, 0));
  CHECK(seen.gap_tokens() == 8);
  REQUIRE(seen.gaps.size() == 8);
  check_gap(seen.gaps[4], 77, 59, 1);  // B's token 2 comes 59 s after its token 1
}

TEST_CASE("with prefix caching a preempted request computes only what others have overwritten") {
  ClusterConfig config = small_cluster(3);
  config.replica.scheduler.prefix_caching = true;
  {
    // The timeline above: nobody took B's block of 4 tokens, one is left to compute. 62-73 instead of 77, then 3 decodes.
    ListSource source({{seconds(0), 4, 5}, {seconds(0), 4, 5}});
    const RecordingObserver seen = run(config, kCost, source);
    check_request(seen.by_id().at(0), 0, 18, 62);
    check_request(seen.by_id().at(1), 0, 18, 106);
    CHECK(seen.steps[5] == step(62, 73, 0, 1, 0, 5, 1, 0));
  }
  {
    // A makes 9 tokens and takes its third block from B: 18-106 A decodes 8 times, 106-121 B computes all 5 tokens, 121-154 it decodes.
    ListSource source({{seconds(0), 4, 9}, {seconds(0), 4, 5}});
    const RecordingObserver seen = run(config, kCost, source);
    check_request(seen.by_id().at(0), 0, 18, 106);
    check_request(seen.by_id().at(1), 0, 18, 154);
  }
}

TEST_CASE("with all output reserved at admission nobody is preempted") {
  // As above: B needs 2 blocks in the end, A was promised 2 of the 3.
  //  0-14 A's prompt, 14-58 A decodes 4 times, 58-72 B's prompt, 72-116 B decodes 4 times.
  ListSource source({{seconds(0), 4, 5}, {seconds(0), 4, 5}});
  ClusterConfig config = small_cluster(3);
  config.replica.scheduler.admission_output_reserve = 1.0;
  const RecordingObserver seen = run(config, kCost, source);
  check_request(seen.by_id().at(0), 0, 14, 58);
  check_request(seen.by_id().at(1), 58, 72, 116);
  CHECK(seen.preempted.empty());
}

TEST_CASE("a request that arrives when a step ends joins the next step") {
  // B arrives at 14, the end of A's prompt step: complete, arrive, decide. A: 4 + 2, B: 2 + 1. 14-27: A decodes, B's prompt.
  ListSource source({{seconds(0), 4, 2}, {seconds(14), 2, 1}});
  const RecordingObserver seen = run(small_cluster(), kCost, source);
  REQUIRE(seen.steps.size() == 2);
  CHECK(seen.steps[1] == step(14, 27, 1, 2, 5, 7, 2, 0));
}

TEST_CASE("engine latency shifts what the client sees and not the replica") {
  ListSource source({{seconds(0), 4, 2}, {seconds(14), 2, 1}});
  ClusterConfig config = small_cluster();
  config.replica.request_latency = Seconds(5);
  const RecordingObserver seen = run(config, kCost, source);
  check_request(seen.by_id().at(0), 0, 14 + 5, 27 + 5);
  check_request(seen.by_id().at(1), 14, 27 + 5, 27 + 5);
  CHECK(seen.steps.back().end == seconds(27));
  CHECK(seen.ended == seconds(32));
}

TEST_CASE("a stream interval of three shows tokens in threes and the rest at the end") {
  // 4 + 8 tokens alone: token 1 at 14, then one every 11 s: 3 at 36, 6 at 69, 8 at 91.
  ListSource source({{seconds(0), 4, 8}});
  ClusterConfig config = small_cluster();
  config.replica.stream_interval = 3;
  const RecordingObserver seen = run(config, kCost, source);
  check_request(seen.by_id().at(0), 0, 36, 91);
  REQUIRE(seen.gaps.size() == 5);
  check_gap(seen.gaps[0], 36, 0, 2);
  check_gap(seen.gaps[1], 69, 33, 1);
  check_gap(seen.gaps[2], 69, 0, 2);
  check_gap(seen.gaps[3], 91, 22, 1);
  check_gap(seen.gaps[4], 91, 0, 1);
}

TEST_CASE("an output shorter than the stream interval is seen when it ends") {
  ListSource source({{seconds(0), 4, 2}});
  ClusterConfig config = small_cluster();
  config.replica.stream_interval = 3;
  check_request(run(config, kCost, source).by_id().at(0), 0, 25, 25);
}

TEST_CASE("stream groups go on across a preemption") {
  // B of the preemption timeline, interval 2: tokens at 18, 77, 88, 99, 110. Its groups end with token 2 (77, made by the recompute), token
  // 4 (99) and the last token 5 (110). A's tokens come at 18, 29, 40, 51, 62: groups at 29, 51, 62.
  ListSource source({{seconds(0), 4, 5}, {seconds(0), 4, 5}});
  ClusterConfig config = small_cluster(3);
  config.replica.stream_interval = 2;
  const RecordingObserver seen = run(config, kCost, source);
  check_request(seen.by_id().at(0), 0, 29, 62);
  check_request(seen.by_id().at(1), 0, 77, 110);
  REQUIRE(seen.gaps.size() == 8);
  check_gap(seen.gaps[0], 29, 0, 1);
  check_gap(seen.gaps[1], 51, 22, 1);
  check_gap(seen.gaps[2], 51, 0, 1);
  check_gap(seen.gaps[3], 62, 11, 1);
  check_gap(seen.gaps[4], 77, 0, 1);
  check_gap(seen.gaps[5], 99, 22, 1);
  check_gap(seen.gaps[6], 99, 0, 1);
  check_gap(seen.gaps[7], 110, 11, 1);
}

TEST_CASE("requests that can never run are rejected and the others go on") {
  // Longest context 20; 3 blocks of 4 tokens hold 12: prompt + output - 1.
  ListSource source({{seconds(0), 15, 6}, {seconds(0), 10, 4}, {seconds(1), 10, 3}});
  ClusterConfig config = small_cluster(3);
  config.replica.scheduler.max_context = 20;
  const RecordingObserver seen = run(config, kCost, source);
  CHECK(seen.arrivals.size() == 3);
  REQUIRE(seen.rejected.size() == 2);
  CHECK(seen.rejected[0].id == 0);
  CHECK(seen.rejected[0].reason == RejectReason::kTooLong);
  CHECK(seen.rejected[1].id == 1);
  CHECK(seen.rejected[1].reason == RejectReason::kDoesNotFit);
  REQUIRE(seen.finished.size() == 1);
  CHECK(seen.finished[0].spec.id == 2);
}

TEST_CASE("no more requests run than the batch limit") {
  ListSource source({{seconds(0), 2, 3}, {seconds(0), 2, 3}, {seconds(0), 2, 3}});
  ClusterConfig config = small_cluster();
  config.replica.scheduler.max_batch_requests = 2;
  std::int32_t most = 0;
  for (const Step& s : run(config, kCost, source).steps) most = std::max(most, s.running);
  CHECK(most == 2);
}
