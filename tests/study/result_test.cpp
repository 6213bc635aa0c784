// Results as JSON: every shipped scenario against reports/schema/result.schema.json, and what a schema cannot say.
#include "study/result.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void check_memory(const json& memory) {
  const json& gpu = memory["per_gpu"];
  std::int64_t parts = 0;
  for (const char* key : {"weights_bytes", "kv_cache_bytes", "activations_bytes", "runtime_bytes", "free_bytes"})
    parts += gpu[key].get<std::int64_t>();
  CHECK(parts == gpu["capacity_bytes"]);
  std::int64_t weights = 0;
  for (const auto& [key, bytes] : memory["weights_by_component"].items()) weights += bytes.get<std::int64_t>();
  CHECK(weights == gpu["weights_bytes"]);
  CHECK(memory["weights_by_component"]["experts_bytes"] == gpu["experts_bytes"]);
  CHECK(memory["parameters"]["active"] <= memory["parameters"]["total"]);
  CHECK((memory["missing_bytes"] == 0) == memory["fits"].get<bool>());
}

void check_order(const json& latency) {
  for (const auto& [metric, value] : latency.items()) {
    CAPTURE(metric);
    const std::vector<std::string> rising = {"p50", "p90", "p95", "p99", "max"};
    for (std::size_t i = 1; i < rising.size(); ++i) CHECK(value[rising[i - 1]] <= value[rising[i]]);
    CHECK(value["mean"] <= value["max"]);
  }
}

double sum(const json& shares) {
  double total = 0;
  for (const json& share : shares) total += share.get<double>();
  return total;
}

}  // namespace

TEST_CASE("results of all shipped scenarios match the result schema and add up") {
  for (const fs::path& file : shipped_scenarios()) {
    CAPTURE(file.filename().string());
    const json result = simulated(cut_down(file, 40));
    check_memory(result["memory"]);
    check_order(result["latency"]);
    // several deployments: the file's own one has its share of the requests
    const json& requests = result.contains("totals") ? result["totals"]["requests"] : result["requests"];
    CHECK(requests == json({{"arrived", 40}, {"completed", 40}, {"in_flight", 0}, {"preempted", 0}, {"rejected", 0}}));
    CHECK(sum(result["step_time"]["decode"]["share"]) == doctest::Approx(1));
    CHECK(sum(result["step_time"]["prefill"]["share"]) == doctest::Approx(1));
    CHECK(sum(result["provenance"]["step_time_share"]) == doctest::Approx(1));
    CHECK(result["intervals"].empty());
    // what the result repeats is a scenario itself
    CHECK(complaint_of([&] { parse_json(result["scenario"].dump(), "resolved", data().schema("scenario")); }) == "");
  }
}

TEST_CASE("memory alone has no latency, throughput or requests") {
  const Scenario scenario = resolved(small_scenario());
  const json result = checked(scenario, memory_only(scenario));
  check_memory(result["memory"]);
  CHECK(result["latency"].is_null());
  CHECK(result["throughput"].is_null());
  CHECK(result["requests"]["arrived"] == 0);
}

TEST_CASE("a model that does not fit has null latencies, zero requests, objectives that are not met") {
  const json result = simulated(with(with(small_scenario(), "/cluster/gpus", "1"), "/deployment/parallel/tensor", "1"));
  check_memory(result["memory"]);
  CHECK(result["memory"]["fits"] == false);
  CHECK(result["memory"]["missing_bytes"] > 0);
  CHECK(result["memory"]["per_gpu"]["free_bytes"] < 0);
  CHECK(result["latency"].is_null());
  CHECK(result["throughput"].is_null());
  CHECK(result["cost"].is_null());
  CHECK(result["experts"].is_null());
  for (const auto& [key, value] : result["requests"].items()) CHECK(value == 0);
  REQUIRE(result["objectives"].size() == 2);
  CHECK(result["objectives"][0]["met"] == false);
  CHECK(result["objectives"][0]["value"].is_null());
  CHECK_FALSE(result["warnings"].empty());
}

TEST_CASE("one output token each leaves no time between tokens to report") {
  const json result = simulated(with(small_scenario(), "/workload/output_tokens", R"({"distribution": "fixed", "value": 1})"));
  CHECK(result["latency"]["tpot_s"].is_null());
  CHECK(result["latency"]["itl_s"].is_null());
  CHECK(result["step_time"]["decode"].is_null());
  CHECK(result["latency"]["ttft_s"] == result["latency"]["e2e_s"]);
}

TEST_CASE("a closed loop offers no rate") {
  const json result = simulated(with(small_scenario(), "/workload/arrivals", R"({"process": "closed", "concurrency": 4})"));
  CHECK(result["throughput"]["offered_per_s"].is_null());
  CHECK(result["throughput"]["saturated"] == false);
}

TEST_CASE("replications give an interval around each mean") {
  const json result = simulated(small_scenario(), 3);
  CHECK(result["replications"] == 3);
  const json& interval = result["intervals"]["tpot.mean"];
  CHECK(interval["low"] < result["latency"]["tpot_s"]["mean"]);
  CHECK(interval["high"] > result["latency"]["tpot_s"]["mean"]);
  CHECK(interval["level"] == 0.95);
  // Arrivals differ from seed to seed: all rates are means.
  const json& t = result["throughput"];
  CHECK(t["output_tokens_per_s_per_gpu"].get<double>() * 2 == doctest::Approx(t["output_tokens_per_s"].get<double>()));
}

TEST_CASE("the provenance lists every file with its hash") {
  json scenario = with(small_scenario(), "/workload", R"("azure-conversation")");
  scenario["routing"] = {{"popularity", "recorded"}, {"file", "routing/mixtral-8x7b.csv"}};
  const Scenario s = resolved(scenario);
  const json files = checked(s, memory_only(s))["provenance"]["files"];
  std::vector<std::string> names;
  for (const json& file : files) {
    names.push_back(file["file"]);
    CHECK(file["sha256"] == sha256_of_file(data().folder() / names.back()));
  }
  CHECK(names == std::vector<std::string>{"scenarios/models/mixtral-8x7b.json", "hardware_profiles/nodes/hgx-h100.json",
                                          "hardware_profiles/gpus/h100-sxm.json", "hardware_profiles/engines/vllm.json",
                                          "hardware_profiles/fitted/h100-sxm.json", "scenarios/routing/mixtral-8x7b.csv",
                                          "scenarios/workloads/azure-conversation.json", "scenarios/traces/azure_2023_conversation.csv",
                                          "hardware_profiles/prices.csv"});
}

TEST_CASE("a resolved scenario gives the same result again") {
  const json first = simulated(small_scenario());
  json again = first["scenario"];
  const json second = simulated(again);
  CHECK(first["latency"] == second["latency"]);
  CHECK(first["memory"] == second["memory"]);
  CHECK(first["experts"] == second["experts"]);
}

TEST_CASE("a resolved scenario finds the traces of the data folder wherever it lies, and tells where it looked for others") {
  json scenario = small_scenario();
  scenario["workload"] = {{"arrivals", {{"process", "poisson"}, {"rate", "2 /s"}}},
                          {"prompt_tokens", {{"distribution", "trace"}, {"file", "traces/azure_2023_conversation.csv"}}},
                          {"output_tokens", {{"distribution", "trace"}, {"file", "traces/azure_2023_conversation.csv"}}},
                          {"requests", 60}};
  const json first = simulated(scenario);
  CHECK(first["scenario"]["workload"]["prompt_tokens"]["file"] == "scenarios/traces/azure_2023_conversation.csv");
  const TemporaryFolder folder;
  const Scenario elsewhere = resolved(first["scenario"], folder.path());
  CHECK(checked(elsewhere, run_scenario(elsewhere, {}))["latency"] == first["latency"]);
  scenario["workload"]["prompt_tokens"]["file"] = "mine.csv";
  const std::string complaint = complaint_of([&] { resolved(scenario, folder.path()); });
  CAPTURE(complaint);
  CHECK(complaint.find("s.json: /workload/prompt_tokens/file: no file 'mine.csv' in '" + folder.path().string() + "', nor in the data folder '" + data().folder().string() + "'") == 0);
}

TEST_CASE("of models with windowed attention the KV cache is never fuller than full, and what it holds is told for short and for long sequences") {
  // Half of gpt-oss's layers keep 128 tokens of a context; 4,000 tokens a request fill the cache of one H100.
  json s = small_scenario();
  s["model"] = "gpt-oss-120b";
  s["cluster"] = {{"gpu", "h100-sxm"}, {"gpus", 1}};
  s["deployment"] = {{"engine", "vllm"}, {"scheduler", {{"max_batch_requests", 1024}}}};
  s["workload"] = {{"arrivals", {{"process", "batch"}}},
                   {"prompt_tokens", {{"distribution", "fixed"}, {"value", 4000}}},
                   {"output_tokens", {{"distribution", "fixed"}, {"value", 40}}},
                   {"requests", 300}};
  const json result = simulated(s);
  const double full = result["utilisation"]["kv_cache"];
  CHECK(full > 0.5);
  CHECK(full <= 1);
  const json& memory = result["memory"];
  CHECK(memory["kv_capacity_longest_tokens"].get<double>() > 1.9 * memory["kv_capacity_tokens"].get<double>());
  CHECK(memory["kv_capacity_longest_tokens"].get<double>() < 2.1 * memory["kv_capacity_tokens"].get<double>());
  const Scenario scenario = resolved(s);
  CHECK(result_summary(scenario, run_scenario(scenario, {})).find(" tokens of KV cache per replica in short sequences, ") != std::string::npos);
  CHECK_FALSE(simulated(small_scenario())["memory"].contains("kv_capacity_longest_tokens"));
}

TEST_CASE("eight-bit experts of a model that is released in four are said to be assumed") {
  const auto told = [](const char* model, const char* experts) {
    json s = small_scenario();
    s["model"] = model;
    s["cluster"] = {{"gpu", "h100-sxm"}, {"gpus", 8}};
    s["deployment"] = {{"engine", "vllm"}, {"parallel", {{"tensor", 8}}}};
    if (*experts != 0) s["deployment"]["precision"] = {{"weights", "bf16"}, {"experts", experts}};
    s["workload"]["requests"] = 10;
    s["workload"]["warmup_requests"] = 0;
    const json result = simulated(s);
    for (const json& w : result["warnings"]) {
      if (w.get<std::string>().find(" are assumed: ") != std::string::npos) return w.get<std::string>();
    }
    return std::string();
  };
  CHECK(told("gpt-oss-20b", "") == "");
  CHECK(told("gpt-oss-20b", "bf16") == "");
  CHECK(told("gpt-oss-20b", "fp8").starts_with("fp8 experts are assumed: "));
  CHECK(told("gpt-oss-20b", "fp8").ends_with(" is released with mxfp4 experts, and what is converted from them is larger and no better"));
  CHECK(told("qwen3-30b-a3b", "fp8") == "");  // a bf16 release can be quantised to fp8
}

TEST_CASE("every named workload runs") {
  for (const auto& entry : fs::directory_iterator(data().workloads())) {
    CAPTURE(entry.path().filename().string());
    json scenario = small_scenario();
    scenario["workload"] = entry.path().stem().string();
    Scenario s = resolved(scenario);
    s.workload.requests = 20;
    s.workload.warmup_requests = 0;
    const Result result = run_scenario(s, {});
    CHECK(result.requests.arrived == 20);
    CHECK(result.requests.completed + result.requests.rejected == 20);
  }
}

TEST_CASE("the checklist says what is confirmed and what is left to do") {
  const auto status = [](const json& result) {
    std::vector<std::string> out;
    for (const json& item : result["checklist"]) out.push_back(item["status"]);
    return out;
  };
  const json as_published = simulated(small_scenario());
  CHECK(status(as_published) == std::vector<std::string>{"confirmed", "confirmed", "confirmed", "open", "confirmed"});
  CHECK(as_published["hardware"]["gpus"] == 2);
  CHECK(as_published["hardware"]["nodes"] == 1);
  CHECK(as_published["hardware"]["model_kind"] == "moe");
  const json quantised = simulated(with(small_scenario(), "/deployment/precision", R"({"weights": "fp8", "experts": "fp8", "kv_cache": "bf16"})"));
  CHECK(quantised["checklist"][2]["status"] == "open");
  CHECK(quantised["checklist"][2]["detail"] == "weights run in fp8, published in bf16; experts run in fp8, published in bf16: re-run your quality evaluations in these formats");
  const json too_small = simulated(with(with(small_scenario(), "/cluster/gpus", "1"), "/deployment/parallel/tensor", "1"));
  CHECK(status(too_small).back() == "failed");
}
