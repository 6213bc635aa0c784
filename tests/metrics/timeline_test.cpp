// The timeline against a trace worked out by hand.
#include "metrics/timeline.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "metrics_support.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;
using nlohmann::json;

namespace {

/// A decode step of two sequences with 3 ms of all-reduce and 1 ms of drawn all-to-all.
struct HandStep {
  HandStep() {
    prepared.decode_sequences = 2;
    prepared.fixed_parts[static_cast<std::size_t>(StepPart::kAllReduce)] = 0.003;
    outcome.seconds = 0.02;
    outcome.all_to_all_seconds = 0.001;
    outcome.hottest_over_mean = 1.25;
    outcome.distinct_experts = 6.5;
  }
  StepRecord record(std::int32_t replica, double start) const {
    StepRecord step;
    step.replica = replica;
    step.start = at(start);
    step.end = at(start + 0.02);
    step.decode_context = 500;
    step.kv_tokens_used = 512;
    step.running = 2;
    step.waiting = 1;
    step.prepared = &prepared;
    step.outcome = &outcome;
    return step;
  }
  PreparedStep prepared;
  StepOutcome outcome;
};

std::vector<json> events_of(const json& trace, const std::string& phase, const std::string& name) {
  std::vector<json> found;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] == phase && event["name"] == name) found.push_back(event);
  }
  return found;
}

}  // namespace

TEST_CASE("the timeline has steps, communication, requests, evictions and refusals in microseconds") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "trace.json";
  Timeline timeline(file, 2, 100, {"chat \"A\""});
  const HandStep step;
  timeline.on_step(step.record(1, 0.5));
  timeline.on_preempted(7, 1, at(0.52));
  timeline.on_finished(finished(arriving(0, 0.25, 7), 0.5, 1.5, 12.000000001));
  timeline.on_rejected(arriving(1, 1), RejectReason::kTooLong, at(1));
  CHECK_FALSE(std::filesystem::exists(file));
  timeline.on_end(at(13));

  const json trace = json::parse(slurp(file));
  CHECK(events_of(trace, "M", "process_name").size() == 3);  // the requests and two replicas
  const std::vector<json> steps = events_of(trace, "X", "decode");
  REQUIRE(steps.size() == 1);
  CHECK(steps[0]["pid"] == 2);  // replica 1
  CHECK(steps[0]["ts"] == 500000.0);
  CHECK(steps[0]["dur"] == 20000.0);
  CHECK(steps[0]["args"] == json({{"decode_sequences", 2}, {"decode_context", 500}, {"prefill_tokens", 0}, {"hottest_over_mean", 1.25}, {"distinct_experts", 6.5}}));
  CHECK(events_of(trace, "X", "all_reduce").at(0)["dur"] == 3000.0);
  CHECK(events_of(trace, "X", "all_to_all").at(0)["ts"] == 503000.0);
  CHECK(events_of(trace, "C", "requests").at(0)["args"] == json({{"running", 2}, {"waiting", 1}}));
  CHECK(events_of(trace, "C", "KV tokens").at(0)["args"] == json({{"used", 512}}));
  CHECK(events_of(trace, "i", "eviction").at(0)["args"] == json({{"request", 7}}));
  CHECK(events_of(trace, "i", "rejected").at(0)["args"] == json({{"request", 1}, {"reason", "too long"}}));
  const json request = events_of(trace, "b", "request 0").at(0);
  CHECK(request["ts"] == 250000.0);
  CHECK(request["args"]["class"] == "chat \"A\"");
  CHECK(events_of(trace, "b", "queued").at(0)["ts"] == 250000.0);
  CHECK(events_of(trace, "b", "prefill").at(0)["ts"] == 500000.0);
  CHECK(events_of(trace, "b", "decode").at(0)["ts"] == 1500000.0);
  CHECK(events_of(trace, "e", "request 0").at(0)["ts"] == 12000000.001);
}

TEST_CASE("the timeline shows KV caches on their way from prefill to decode") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "trace.json";
  Timeline timeline(file, 2, 100, {"default"});
  // Ready after 1 s, room after 1.5 s, 600 MB of 1 GB were sent beside the prefill.
  timeline.on_kv_transfer({.id = 3, .from = 0, .to = 1, .ready = at(1), .start = at(1.5), .end = at(1.75), .bytes = Bytes(1'000'000'000), .hidden = Bytes(600'000'000)});
  timeline.on_kv_transfer({.id = 100, .from = 0, .to = 1, .ready = at(1), .start = at(1), .end = at(2), .bytes = Bytes(1), .hidden = Bytes(0)});
  timeline.on_end(at(3));
  const json trace = json::parse(slurp(file));
  const std::vector<json> begins = events_of(trace, "b", "KV hand-off");
  REQUIRE(begins.size() == 1);  // request 100 lies beyond the limit
  CHECK(begins[0]["pid"] == 1);  // replica 0
  CHECK(begins[0]["ts"] == 1500000.0);
  CHECK(begins[0]["args"] == json({{"request", 3}, {"to_replica", 1}, {"bytes", 1000000000}, {"sent_beside_prefill_bytes", 600000000}, {"waited_for_room_us", 500000.0}}));
  CHECK(events_of(trace, "e", "KV hand-off").at(0)["ts"] == 1750000.0);
}

TEST_CASE("the timeline keeps the first steps of every replica and the first requests, and says what it left out") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "trace.json";
  Timeline timeline(file, 2, 6, {"default"});
  const HandStep step;
  for (int i = 0; i < 5; ++i) timeline.on_step(step.record(0, i));
  timeline.on_step(step.record(1, 0));
  for (std::uint64_t id = 0; id < 10; ++id) timeline.on_finished(finished(arriving(9 - id, 0), 0, 1, 2));
  timeline.on_preempted(3, 0, at(1));
  timeline.on_preempted(8, 0, at(1));
  timeline.on_end(at(2));
  const json trace = json::parse(slurp(file));
  CHECK(events_of(trace, "X", "decode").size() == 4);  // three of the first replica's five, one of the second's one
  CHECK(events_of(trace, "b", "queued").size() == 6);
  CHECK(trace["otherData"]["steps"] == "4 of 6");
  CHECK(trace["otherData"]["requests"] == "6 of 10");
  CHECK(trace["otherData"]["evictions"] == "1 of 2");
}
