// Request logs: read with complaints by line, summarised by hand, replayed with every request accounted for.
#include "study/log_validation.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/study_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kHeader = "id,arrival_s,scheduled_s,first_token_s,last_token_s,prompt_tokens,output_tokens\n";
const fs::path kRuns = fs::path(MOEPLAN_SOURCE_DIR) / "scenarios/measured_runs";

LogValidation replay(const char* name) {
  const Scenario scenario = load_scenario(kRuns / (std::string(name) + ".json"), data());
  return validate_log(kRuns / (std::string(name) + ".csv"), scenario);
}

}  // namespace

TEST_CASE("the statistics of a log are what one works out by hand") {
  const TemporaryFolder folder;
  // Three requests: TTFT 1, 2, 3 s; TPOT 4 s / 4, 6 s / 2 and none (one token); end to end 5, 8, 3 s; from 10 to 20 s.
  const fs::path file = folder.write("log.csv", std::string(kHeader) + "0,10,10,11,15,100,5\n1,12,13,14,20,100,3\n2,13,15,16,16,100,1\n");
  REQUIRE(is_request_log(file));
  const LogSummary s = summarise_log(read_request_log(file), 12);
  CHECK(s.requests == 3);
  CHECK(s.output_tokens == 9);
  CHECK(s.makespan_s == 10);
  CHECK(s.latency[0].mean == doctest::Approx(2));
  CHECK(s.latency[0].p50 == 2);
  CHECK(s.latency[0].p90 == 3);
  CHECK(s.latency[1].count == 2);
  CHECK(s.latency[1].mean == doctest::Approx(2));
  CHECK(s.latency[1].p50 == 1);
  CHECK(s.latency[2].mean == doctest::Approx(16.0 / 3));
  // 4 s after the first arrival, at 14: requests 0 and 1 run, 2 waits, nothing has finished. At 15, request 0 has.
  REQUIRE(s.timeline.size() == 12);
  CHECK(s.timeline[3].running == 2);
  CHECK(s.timeline[3].waiting == 1);
  CHECK(s.timeline[3].finished_tokens == 0);
  CHECK(s.timeline[4].running == 2);
  CHECK(s.timeline[4].finished_tokens == 5);
}

TEST_CASE("a table of runs is no log, and a broken log is refused by its line") {
  const TemporaryFolder folder;
  CHECK_FALSE(is_request_log(kRuns / "published_runs.csv"));
  const auto complaint = [&](const char* rows) {
    const fs::path file = folder.write("log.csv", std::string(kHeader) + rows);
    return complaint_of([&] { read_request_log(file); });
  };
  CHECK(complaint("0,0,0,1,2,10,5\n1,1,1,3,2,10,5\n").find("log.csv:3") != std::string::npos);
  CHECK(complaint("0,1,1,1,2,10,5\n1,0,1,1,2,10,5\n").find("order of arrival") != std::string::npos);
  CHECK(complaint("0,0,0,1,2,10,0\n").find("output_tokens is 0") != std::string::npos);
  CHECK(complaint("").find("no requests") != std::string::npos);
}

TEST_CASE("a replay finishes every request of the log with the tokens it had") {
  const LogValidation v = replay("requests_vllm_rtx-4090_llama-3.1-8b");
  CHECK(v.measured.requests == 300);
  CHECK(v.predicted.requests == 300);
  CHECK(v.predicted.output_tokens == v.measured.output_tokens);
  CHECK(v.rejected == 0);
  // KV runs out, as it did: vLLM admits on the prompt alone.
  CHECK(v.preempted > 0);
  const json out = json::parse(log_validation_json(v));
  CHECK(out.at("requests").at("preempted") == v.preempted);
  CHECK(out.at("timeline").size() == 12);
  CHECK(out.at("tpot_s").at("mean").at("measured").get<double>() == doctest::Approx(0.03245).epsilon(1e-3));
  // Both logs come out of the same code twice with the same bytes.
  CHECK(log_validation_json(replay("requests_vllm_rtx-4090_llama-3.1-8b")) == log_validation_json(v));
}

TEST_CASE("the RTX 4090 has the KV blocks that its run documents") {
  // 2,588 blocks of 16 tokens, within 2 %.
  const LogValidation v = replay("requests_vllm_rtx-4090_llama-3.1-8b");
  CHECK(static_cast<double>(v.kv_capacity_tokens) / v.kv_block_tokens == doctest::Approx(2588).epsilon(0.02));
}
