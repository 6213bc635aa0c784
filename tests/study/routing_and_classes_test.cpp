// What routing, placement and workload classes leave in a result.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using nlohmann::json;

namespace {

/// DeepSeek-V2-Lite on four GPUs, experts and attention data-parallel over all of them.
json four_ranks(const std::string& routing) {
  json scenario = json::parse(R"({
    "model": "deepseek-v2-lite", "cluster": {"node": "hgx-h200", "gpus": 4},
    "deployment": {"engine": "sglang", "parallel": {"tensor": 1, "attention_data": 4, "expert": 4}},
    "workload": {"arrivals": {"process": "poisson", "rate": "20 /s"}, "prompt_tokens": {"distribution": "fixed", "value": 500},
                 "output_tokens": {"distribution": "fixed", "value": 60}, "requests": 80, "warmup_requests": 8}})");
  scenario["routing"] = json::parse(routing);
  return scenario;
}

}  // namespace

TEST_CASE("a result shows popularity, placement and the time that uneven ranks cost") {
  const json experts = simulated(four_ranks(R"({"popularity": "lognormal", "sigma": 0.8})"))["experts"];
  CHECK(experts["imbalance_share"] > 0.0);
  CHECK(experts["imbalance_share"] < 0.5);
  CHECK_FALSE(experts.contains("dropped_token_share"));
  CHECK_FALSE(experts.contains("rebalance"));
  CHECK(experts["load"]["layers"].size() == 16);
  CHECK(experts["load"]["layers"].back() == 25);
  double sum = 0;
  for (const json& load : experts["load"]["by_layer"][3]) sum += load.get<double>();
  CHECK(sum == doctest::Approx(64).epsilon(0.001));
  const json ranks = experts["placement"]["rank_load"];
  REQUIRE(ranks.size() == 4);
  CHECK(std::is_sorted(ranks.rbegin(), ranks.rend()));
  CHECK(ranks[0] > 1.05);
}

TEST_CASE("redundant experts even the ranks out and take memory") {
  const json plain = simulated(four_ranks(R"({"popularity": "lognormal", "sigma": 0.8})"));
  const json even = simulated(four_ranks(R"({"popularity": "lognormal", "sigma": 0.8, "placement": "balanced", "redundant_experts": 8})"));
  CHECK(even["experts"]["placement"]["rank_load"][0] < 1.03);
  CHECK(even["experts"]["imbalance_share"] < plain["experts"]["imbalance_share"]);
  // 72 slots for 64 experts
  const double bytes = plain["memory"]["per_gpu"]["experts_bytes"].get<double>();
  CHECK(even["memory"]["per_gpu"]["experts_bytes"].get<double>() == doctest::Approx(bytes * 72 / 64).epsilon(1e-6));
}

TEST_CASE("a capacity factor drops tokens, and rerouting saves most of them") {
  const json drop = simulated(four_ranks(R"({"popularity": "lognormal", "sigma": 0.8, "capacity_factor": 1.25})"))["experts"];
  const json reroute =
      simulated(four_ranks(R"({"popularity": "lognormal", "sigma": 0.8, "capacity_factor": 1.25, "overflow": "reroute"})"))["experts"];
  CHECK(drop["dropped_token_share"] > 0.05);
  CHECK(reroute["dropped_token_share"] < 0.01);
}

TEST_CASE("moving experts is counted and stops the replica, and a drift is told and read back") {
  const json scenario = four_ranks(R"({"popularity": "lognormal", "sigma": 0.8, "placement": "balanced",
      "drift": {"period": "1 s", "correlation": 0.5}, "rebalance": {"period": "1 s", "window": "1 s"}})");
  const json result = simulated(scenario);
  CHECK(result["experts"]["rebalance"]["count"] >= 3);  // 80 requests in 4 s
  CHECK(result["experts"]["rebalance"]["stall_s"] > 0.0);
  CHECK(result["experts"]["routing"].get<std::string>().find("changing every 1 s") != std::string::npos);
  const Scenario first = resolved(scenario);
  const Scenario again = resolved(result["scenario"], MOEPLAN_SOURCE_DIR);
  CHECK(again.deployment.routing == first.deployment.routing);
  CHECK(again.deployment.placement == first.deployment.placement);
}

TEST_CASE("each class has its latencies, its objectives and its experts") {
  json scenario = four_ranks(R"({"popularity": "lognormal", "sigma": 0.5})");
  scenario["workload"] = json::parse(R"({"arrivals": {"process": "poisson", "rate": "20 /s"}, "requests": 120, "warmup_requests": 10,
    "classes": [
      {"name": "chat", "weight": 3, "prompt_tokens": {"distribution": "fixed", "value": 200}, "output_tokens": {"distribution": "fixed", "value": 50},
       "objectives": {"ttft_p99": "10 s", "tpot_mean": "1 us"}},
      {"name": "code", "prompt_tokens": {"distribution": "fixed", "value": 1200}, "output_tokens": {"distribution": "fixed", "value": 50},
       "routing": {"popularity": "lognormal", "sigma": 1.1}}]})");
  const json result = simulated(scenario);
  REQUIRE(result["classes"].size() == 2);
  const json& chat = result["classes"][0];
  const json& code = result["classes"][1];
  CHECK(chat["arrived"].get<int>() + code["arrived"].get<int>() == 120);
  CHECK(chat["mean_prompt_tokens"] == 200.0);
  CHECK(code["latency"]["ttft_s"]["mean"] > chat["latency"]["ttft_s"]["mean"]);
  REQUIRE(chat["objectives"].size() == 2);
  for (const json& objective : chat["objectives"]) CHECK(objective["met"] == (objective["objective"] == "ttft_p99"));
  CHECK(code["objectives"].empty());
  // shares of the decoded tokens are 3 : 1, of the prompt tokens 600 : 1200
  const auto& domains = resolved(scenario).deployment.routing.domains;
  REQUIRE(domains.size() == 2);
  CHECK(domains[0].decode_share == doctest::Approx(0.75));
  CHECK(domains[1].prefill_share == doctest::Approx(2.0 / 3));
  CHECK(domains[0].popularity.sigma == 0.5);
  CHECK(domains[1].popularity.sigma == 1.1);
  const Scenario again = resolved(result["scenario"], MOEPLAN_SOURCE_DIR);
  CHECK(again.class_objectives.at("chat").size() == 2);
  CHECK(again.deployment.routing.domains == domains);
  CHECK_FALSE(simulated(four_ranks(R"({"popularity": "uniform"})")).contains("classes"));
}

TEST_CASE("sessions that outgrow the context are told, with the turn from which they do") {
  json s = small_scenario();
  s["deployment"]["scheduler"] = {{"max_context", 2000}};
  s["workload"] = {{"arrivals", {{"process", "poisson"}, {"rate", "1 /s"}}},
                   {"prompt_tokens", {{"distribution", "fixed"}, {"value", 300}}},
                   {"output_tokens", {{"distribution", "fixed"}, {"value", 100}}},
                   {"sessions", {{"turns", {{"distribution", "uniform"}, {"low", 1}, {"high", 10}}}, {"think_time", "1 s"}}},
                   {"requests", 60}};
  const auto told = [&] {
    const json result = simulated(s);
    for (const json& w : result["warnings"]) {
      if (w.get<std::string>().find("sessions") != std::string::npos) return std::pair(w.get<std::string>(), result["requests"]["rejected"].get<int>());
    }
    return std::pair(std::string(), result["requests"]["rejected"].get<int>());
  };
  // 400 tokens a turn: the sixth would end at 2,400 of 2,000, and five of ten sessions have six turns or more.
  const auto [warning, rejected] = told();
  CHECK(warning == "sessions grow by 400 tokens a turn: from about turn 6 on, which 50 % of them reach, they do not fit the context of 2000 tokens, and such turns are rejected; "
                   "sessions.max_context ends sessions before");
  CHECK(rejected > 0);
  s["workload"]["sessions"]["max_context"] = 1800;
  CHECK(told() == std::pair(std::string(), 0));
  s["workload"]["sessions"].erase("max_context");
  s["workload"]["sessions"]["turns"] = {{"distribution", "fixed"}, {"value", 5}};
  CHECK(told() == std::pair(std::string(), 0));
}

TEST_CASE("the shipped workloads with classes, sessions and bursts run") {
  for (const char* name : {"assistant-mixture", "code-bursts", "summarisation", "reasoning", "chat-day"}) {
    CAPTURE(name);
    json scenario = four_ranks(R"({"popularity": "uniform"})");
    scenario["workload"] = name;
    Scenario s = resolved(scenario);
    s.workload.requests = 60;
    s.workload.warmup_requests = 5;
    const Result result = run_scenario(s, {});
    CHECK(result.requests.completed + result.requests.rejected == 60);
  }
}
