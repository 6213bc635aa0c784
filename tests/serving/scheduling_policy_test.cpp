// Each engine's scheduler against a timeline worked by hand. A step takes 10 s + 1 s per decoding sequence + 1 s per prompt token; KV blocks
// hold 4 tokens, steps take 8.
#include "serving/scheduling_policy.hpp"

#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(10, 1, 0, 1);

ClusterConfig under(SchedulingPolicy policy, std::int64_t blocks = 1000) {
  ClusterConfig config = small_cluster(blocks);
  config.replica.scheduler = with_policy(config.replica.scheduler, policy);
  return config;
}

/// Issues whole requests, so that priorities and prefixes can be set.
class SpecSource final : public RequestSource {
 public:
  explicit SpecSource(std::vector<RequestSpec> specs) : specs_(std::move(specs)) {}
  std::optional<RequestSpec> next() override {
    if (issued_ == specs_.size()) return std::nullopt;
    RequestSpec spec = specs_[issued_];
    spec.id = issued_++;
    return spec;
  }
  void on_finished(std::uint64_t, SimTime) override {}
  [[nodiscard]] bool closed() const override { return false; }
  [[nodiscard]] std::uint64_t total() const override { return specs_.size(); }

 private:
  std::vector<RequestSpec> specs_;
  std::uint64_t issued_ = 0;
};

RequestSpec request(std::int64_t at, int prompt, int output, int priority = 0, std::int64_t session = -1) {
  RequestSpec spec;
  spec.arrival = seconds(at);
  spec.prompt_tokens = prompt;
  spec.output_tokens = output;
  spec.priority = priority;
  spec.session_id = session;
  return spec;
}

void check(const RecordingObserver& seen, std::uint64_t id, std::int64_t first, std::int64_t last) {
  CAPTURE(id);
  const FinishedRequest r = seen.by_id().at(id);
  CHECK(r.first_token == seconds(first));
  CHECK(r.last_token == seconds(last));
}

}  // namespace

TEST_CASE("vLLM: decodes ride first, a prompt takes the rest of the budget") {
  // 0-14 A's prompt (4); 14-32 A decodes beside 7 of B's 10; 32-46 A's last beside B's other 3; 46-57 B's last.
  SpecSource source({request(0, 4, 3), request(5, 10, 2)});
  const RecordingObserver seen = run(under(SchedulingPolicy::kVllm), kCost, source);
  check(seen, 0, 14, 46);
  check(seen, 1, 46, 57);
}

TEST_CASE("SGLang: prompts first, decodes wait") {
  // 0-14 A's prompt; 14-32 8 of B's prompt; 32-44 its other 2; 44-56 both decode (B's last); 56-67 A's last.
  SpecSource source({request(0, 4, 3), request(5, 10, 2)});
  const RecordingObserver seen = run(under(SchedulingPolicy::kSglang), kCost, source);
  check(seen, 0, 14, 67);
  check(seen, 1, 44, 56);
}

TEST_CASE("SGLang: of those who wait, the one with most cached tokens goes first") {
  // Conversation 1 leaves 8 tokens (prompt 8, its one token is never written): 0-18. While B's prompt of 8 runs 18-36, C (unknown) and D
  // (conversation 1, 8 + 4) arrive. D has 8 tokens cached and goes first: 36-54 its 4 tokens and 4 of C's; 54-68 C's others.
  ClusterConfig config = under(SchedulingPolicy::kSglang);
  config.replica.kv_reuse.enabled = true;
  const std::vector<RequestSpec> specs = {request(0, 8, 1, 0, 1), request(1, 8, 1), request(20, 8, 1), request(21, 12, 1, 0, 1)};
  SpecSource source(specs);
  const RecordingObserver seen = run(config, kCost, source);
  check(seen, 1, 36, 36);
  check(seen, 3, 54, 54);
  check(seen, 2, 68, 68);
  CHECK(seen.by_id().at(3).cached_tokens == 8);
  CHECK(seen.by_id().at(2).cached_tokens == 0);
  // In order of arrival: C 36-54, D 54-68.
  config.replica.scheduler.queue_order = QueueOrder::kArrival;
  SpecSource again(specs);
  const RecordingObserver plain = run(config, kCost, again);
  check(plain, 2, 54, 54);
  check(plain, 3, 68, 68);
}

TEST_CASE("TensorRT-LLM, guaranteed no evict: a request waits until all KV it may need is free") {
  // A and B (4 + 5 tokens: 2 blocks each in the end), 3 blocks. 0-14 A's prompt, 14-58 A decodes 4 times; 58-72 B, 72-116.
  SpecSource source({request(0, 4, 5), request(0, 4, 5)});
  const RecordingObserver seen = run(under(SchedulingPolicy::kTrtNoEvict, 3), kCost, source);
  CHECK(seen.preempted.empty());
  check(seen, 0, 14, 58);
  check(seen, 1, 72, 116);
}

TEST_CASE("TensorRT-LLM, maximum utilisation: both run, the later one is paused when KV runs out") {
  // 0-18 both prompts; 18-29 A decodes, B is paused; 29-62 A ends; 62-77 B computes 5 tokens anew; 77-110 B decodes 3 times.
  SpecSource source({request(0, 4, 5), request(0, 4, 5)});
  const RecordingObserver seen = run(under(SchedulingPolicy::kTrtMaxUtilization, 3), kCost, source);
  CHECK(seen.preempted.size() == 1);
  check(seen, 0, 18, 62);
  check(seen, 1, 18, 110);
}

TEST_CASE("static batching: nobody joins a batch that runs") {
  // A (4 + 3) and B (2 + 2) at 0, C (2 + 1) at 1. Both prompts fit one step: 0-16; 16-28 both decode (B's last);
  // 28-39 A's last; only then C: 39-51.
  SpecSource source({request(0, 4, 3), request(0, 2, 2), request(1, 2, 1)});
  const RecordingObserver seen = run(under(SchedulingPolicy::kStatic), kCost, source);
  check(seen, 0, 16, 39);
  check(seen, 1, 16, 28);
  check(seen, 2, 51, 51);
}

TEST_CASE("priorities: the higher class goes first and takes the place of the lower") {
  // One request at a time. A (low, 4 + 4) runs 0-14; at 3 B (low) and at 5 C (high, 4 + 2) arrive. 14: A is preempted for C: 14-28 C's
  // prompt, 28-39 its last. Then A again, before B: it computes 4 + 1 tokens 39-54, decodes twice to 76; B 76-90.
  ClusterConfig config = under(SchedulingPolicy::kVllmPriority);
  config.replica.scheduler.max_batch_requests = 1;
  SpecSource source({request(0, 4, 4, 0), request(3, 4, 1, 0), request(5, 4, 2, 1)});
  const RecordingObserver seen = run(config, kCost, source);
  CHECK(seen.preempted == std::vector<std::uint64_t>{0});
  check(seen, 2, 28, 39);
  check(seen, 0, 14, 76);
  check(seen, 1, 90, 90);
}

TEST_CASE("a full queue rejects: what it rejects is told, the others are served as if it had not come") {
  // One request at a time, two may wait. A runs 0-14 (4 + 1); B and C wait; D at 3 finds two waiting.
  ClusterConfig config = under(SchedulingPolicy::kVllm);
  config.replica.scheduler.max_batch_requests = 1;
  config.replica.scheduler.max_queued_requests = 2;
  SpecSource source({request(0, 4, 1), request(1, 4, 1), request(2, 4, 1), request(3, 4, 1)});
  const RecordingObserver seen = run(config, kCost, source);
  REQUIRE(seen.rejected.size() == 1);
  CHECK(seen.rejected[0].id == 3);
  CHECK(seen.rejected[0].reason == RejectReason::kQueueFull);
  check(seen, 2, 42, 42);
  // By tokens: 4 + 4 wait already, 8 may.
  config.replica.scheduler.max_queued_requests = 0;
  config.replica.scheduler.max_queued_tokens = 8;
  SpecSource again({request(0, 4, 1), request(1, 4, 1), request(2, 4, 1), request(3, 1, 1)});
  const RecordingObserver tokens = run(config, kCost, again);
  REQUIRE(tokens.rejected.size() == 1);
  CHECK(tokens.rejected[0].id == 3);
}

TEST_CASE("a client that finds the queue full comes again with the same request, and its latency counts from the first attempt") {
  // One request at a time, one may wait, 3 clients at 0, again after 5 s. A waits, B and C are turned away; at 5 A runs and B waits; C tries
  // at 5 and 10; A ends at 14, B runs 14-28, C waits from 15 on and runs 28-42.
  ClusterConfig config = under(SchedulingPolicy::kVllm);
  config.replica.scheduler.max_batch_requests = 1;
  config.replica.scheduler.max_queued_requests = 1;
  std::string text[2];
  for (const bool single : {false, true}) {
    config.step_by_step = single;
    ClosedSource source(3, 3, SimTime{0}, {4, 4}, {1, 1}, 1);
    source.come_again_after(seconds(5));
    const RecordingObserver seen = run(config, kCost, source);
    CHECK(seen.arrivals.size() == 3);
    CHECK(seen.rejected.empty());
    const std::vector<std::pair<std::uint64_t, SimTime>> turned_away = {{1, seconds(0)}, {2, seconds(0)}, {2, seconds(5)}, {2, seconds(10)}};
    CHECK(seen.turned_away == turned_away);
    check(seen, 1, 28, 28);
    check(seen, 2, 42, 42);
    CHECK(seen.by_id().at(2).spec.arrival == seconds(0));
    text[single ? 1 : 0] = seen.text();
  }
  CHECK(text[0] == text[1]);
}

TEST_CASE("a prompt that the queue can never take is rejected for good, and its client goes on") {
  ClusterConfig config = under(SchedulingPolicy::kVllm);
  config.replica.scheduler.max_queued_tokens = 3;
  ClosedSource source(1, 2, seconds(1), {4, 4}, {1, 1}, 1);
  source.come_again_after(seconds(5));
  const RecordingObserver seen = run(config, kCost, source);
  REQUIRE(seen.rejected.size() == 2);
  CHECK(seen.rejected[1].reason == RejectReason::kQueueFull);
  CHECK(seen.rejected[1].at == seconds(1));
  CHECK(seen.turned_away.empty());
}
