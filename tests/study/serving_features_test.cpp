// Production serving in scenarios and results: what is stated comes through, what is off leaves no trace, and sums agree.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using nlohmann::json;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The default scenario on four GPUs with `deployment` keys on top.
json deployed(const std::string& keys) {
  json scenario = with(small_scenario(), "/cluster/gpus", "4");
  scenario["deployment"].erase("replicas");
  scenario["deployment"].merge_patch(json::parse(keys));
  return scenario;
}

constexpr const char* kPools = R"({"disaggregation": {"prefill": {"replicas": 1}, "decode": {"replicas": 1}}})";
constexpr const char* kMtp = R"({"speculation": {"draft_tokens": 2, "acceptance": 0.9}})";

void check_again(const json& scenario) {
  const json first = simulated(scenario);
  json again = first["scenario"];
  const json second = simulated(again);
  CHECK(first["latency"] == second["latency"]);
  CHECK(first["memory"] == second["memory"]);
  CHECK(first["requests"] == second["requests"]);
  CHECK(first["scenario"]["deployment"] == second["scenario"]["deployment"]);
}

}  // namespace

TEST_CASE("a feature that is off leaves no section") {
  const json result = simulated(small_scenario());
  for (const char* key : {"prefix_cache", "kv_tiers", "pools", "speculation"}) CHECK_FALSE(result.contains(key));
  for (const char* key : {"prefix_cache", "kv_tiers", "disaggregation", "speculation"}) CHECK_FALSE(result["scenario"]["deployment"].contains(key));
}

TEST_CASE("a resolved scenario with features gives the same result again") {
  check_again(deployed(kPools));
  check_again(deployed(kMtp));
  check_again(deployed(R"({"prefix_cache": true, "kv_tiers": {"host_memory": "10 GB", "nvme": "20 GB", "nvme_bandwidth": "5 GB/s"}})"));
  check_again(deployed(R"({"scheduler": {"policy": "vllm_priority", "max_queued_requests": 3, "router": "power_of_two"}, "replicas": 2})"));
}

TEST_CASE("requests over the pools add up, and all KV of a prompt is sent") {
  const json result = simulated(deployed(kPools));
  const json& pools = result["pools"];
  CHECK(pools["prefill"]["requests"] == 40);
  CHECK(pools["decode"]["requests"] == 40);
  CHECK(pools["transfer"]["requests"] == 40);
  CHECK(pools["transfer"]["hidden_bytes"] < pools["transfer"]["bytes"]);
  // Mixtral: 32 layers x 8 heads x 128 x 2 x 2 bytes = 131072 bytes a token, prompts of 819 to 1024.
  CHECK(pools["transfer"]["bytes"] > 40 * 819 * 131072.0);
  CHECK(pools["transfer"]["bytes"] < 40 * 1024 * 131072.0);
  const json shorter = simulated(deployed(R"({"disaggregation": {"prefill": {}, "decode": {}, "stay_below_tokens": 900}})"));
  const json& transfer = shorter["pools"]["transfer"];
  CHECK(transfer["stayed"] > 0);
  CHECK(transfer["requests"].get<int>() + transfer["stayed"].get<int>() == 40);
}

TEST_CASE("pools may have GPUs of their own") {
  json scenario = deployed(R"({"disaggregation": {"prefill": {"cluster": {"node": "hgx-h100", "nodes": 1}}, "decode": {"cluster": {"node": "hgx-h200", "nodes": 1}}}})");
  const json result = simulated(scenario);
  CHECK(result["pools"]["prefill"]["gpu"] == "h100-sxm");
  CHECK(result["pools"]["decode"]["gpu"] == "h200-sxm");
  CHECK(result["hardware"]["prefill_pool"]["node"] == "hgx-h100");
  CHECK(result["hardware"]["nodes"] == 2);  // four GPUs, but on two clusters
  CHECK(result["memory"]["per_gpu"]["capacity_bytes"] > 140'000'000'000);
  CHECK(result["memory"]["prefill_pool"]["per_gpu"]["capacity_bytes"] < 90'000'000'000);
  const Scenario s = resolved(scenario);
  const std::string text = memory_summary(s, memory_only(s));
  CHECK(contains(text, "prefill NVIDIA H100 SXM5 80 GB, decode NVIDIA H200 SXM5 141 GB"));
  CHECK(contains(text, "memory of the fullest GPU of the decode pool: "));
  CHECK(contains(text, "memory of the fullest GPU of the prefill pool: "));
}

TEST_CASE("experts that pools keep in host memory are reported") {
  const json result = simulated(deployed(R"({"offload": {"resident_share": 0.5}, "disaggregation": {"prefill": {}, "decode": {}}})"));
  CHECK(result["offload"]["resident_share"] == 0.5);
  CHECK(result["offload"]["bytes_streamed_per_step"] > 0);
}

TEST_CASE("requests of one token end with their prefill, and the three ways through the pools add up") {
  json scenario = deployed(R"({"disaggregation": {"prefill": {}, "decode": {}, "stay_below_tokens": 900}})");
  scenario["workload"]["output_tokens"] = {{"distribution", "uniform"}, {"low", 1}, {"high", 2}};
  const json transfer = simulated(scenario)["pools"]["transfer"];
  CHECK(transfer["stayed"] > 0);
  CHECK(transfer["ended_in_prefill"] > 0);
  CHECK(transfer["requests"].get<int>() + transfer["stayed"].get<int>() + transfer["ended_in_prefill"].get<int>() == 40);
}

TEST_CASE("pools on clusters of their own send over the scenario's network") {
  json scenario = deployed(R"({"disaggregation": {"prefill": {"cluster": {"node": "hgx-h100", "nodes": 1}}, "decode": {"cluster": {"node": "hgx-h200", "nodes": 1}}, "overlap": "after"}})");
  const double open = simulated(scenario)["pools"]["transfer"]["send_s"]["mean"];
  // Two ports of 50 GB/s at most, through an uplink of 8 x 50 / 80 = 5 GB/s: twenty times as long, but for the 1 ms of starting.
  scenario["cluster"]["network"] = {{"leaf_nodes", 1}, {"oversubscription", 80}};
  const json narrow = simulated(scenario);
  CHECK(narrow["pools"]["transfer"]["send_s"]["mean"].get<double>() - 1e-3 >= 19 * (open - 1e-3));
  CHECK(narrow["scenario"]["cluster"]["network"]["oversubscription"] == 80);
  check_again(scenario);
  // A network that only one pool states connects both.
  scenario["cluster"].erase("network");
  scenario["deployment"]["disaggregation"]["decode"]["cluster"]["network"] = {{"leaf_nodes", 1}, {"oversubscription", 80}};
  CHECK(simulated(scenario)["pools"]["transfer"]["send_s"] == narrow["pools"]["transfer"]["send_s"]);
  check_again(scenario);
}

TEST_CASE("links and exposed communication of pools are reported, KV on its way included") {
  json scenario = deployed(R"({"disaggregation": {"prefill": {"cluster": {"node": "hgx-h100", "nodes": 1}}, "decode": {"cluster": {"node": "hgx-h200", "nodes": 1}}, "overlap": "after"}})");
  scenario["cluster"]["network"] = {{"leaf_nodes", 1}, {"oversubscription", 80}};
  const json result = simulated(scenario);
  const json& network = result["network"];
  // Prompts are computed with all-reduces in one pool, tokens in the other.
  for (const char* pool : {"prefill", "decode"}) CHECK(network["pools"][pool]["exposed_communication_share"] > 0);
  CHECK(network["pools"]["prefill"]["exposed_communication_s"].contains("prefill"));
  CHECK_FALSE(network["pools"]["prefill"]["exposed_communication_s"].contains("decode"));
  CHECK(network["pools"]["decode"]["exposed_communication_s"].contains("decode"));
  // All KV and nothing else climbs from the first node to the spine.
  const json* uplink = nullptr;
  for (const json& link : network["links"]) {
    if (link["name"] == "leaf0>spine") uplink = &link;
  }
  REQUIRE(uplink != nullptr);
  const double sent = (*uplink)["utilisation_mean"].get<double>() * 5e9 * result["utilisation"]["simulated_s"].get<double>();
  CHECK(sent == doctest::Approx(result["pools"]["transfer"]["bytes"].get<double>()).epsilon(1e-6));
}

TEST_CASE("an MTP head that is right makes tokens faster, touches more experts per step and takes memory") {
  const json plain = simulated(deployed("{}"));
  const json mtp = simulated(deployed(kMtp));
  CHECK(mtp["latency"]["tpot_s"]["mean"] < 0.75 * plain["latency"]["tpot_s"]["mean"].get<double>());
  CHECK(mtp["step_time"]["decode"]["mean_s"] > plain["step_time"]["decode"]["mean_s"]);
  CHECK(mtp["memory"]["kv_capacity_tokens"] < plain["memory"]["kv_capacity_tokens"]);
  CHECK(mtp["memory"]["weights_by_component"]["draft_bytes"] > 1'000'000'000);
  const json& s = mtp["speculation"];
  CHECK(s["drafted_tokens"] == s["accepted_tokens"].get<std::int64_t>() + s["rejected_tokens"].get<std::int64_t>());
  CHECK(s["tokens_per_step"] == doctest::Approx(1 + 0.9 + 0.81).epsilon(0.03));
  // One that is always wrong only costs.
  const json wrong = simulated(deployed(R"({"speculation": {"draft_tokens": 2, "acceptance": 0}})"));
  CHECK(wrong["latency"]["tpot_s"]["mean"] > plain["latency"]["tpot_s"]["mean"]);
}

TEST_CASE("a histogram of accepted lengths means the chances that give it") {
  // Of 10 drafts 2 were accepted to length 0, 4 to 1, 4 to 2: 0.8, then 0.5 of those.
  const Scenario s = resolved(deployed(R"({"speculation": {"draft_tokens": 2, "acceptance": {"histogram": [2, 4, 4]}}})"));
  const auto& chances = s.deployment.features.speculation->config.acceptance;
  REQUIRE(chances.size() == 2);
  CHECK(chances[0] == doctest::Approx(0.8));
  CHECK(chances[1] == doctest::Approx(0.5));
}

TEST_CASE("a smaller model can draft") {
  const json result = simulated(deployed(R"({"speculation": {"method": "draft_model", "model": "mistral-7b-v0.1", "draft_tokens": 2, "acceptance": 0.7}})"));
  CHECK(result["scenario"]["deployment"]["speculation"]["model"] == "mistral-7b-v0.1");
  CHECK(result["memory"]["weights_by_component"]["draft_bytes"] > 10'000'000'000);
}

TEST_CASE("what a full queue rejects is counted with its tokens") {
  json scenario = deployed(R"({"scheduler": {"max_queued_requests": 1}})");
  scenario["workload"]["arrivals"] = {{"process", "batch"}};
  scenario["workload"]["output_tokens"] = {{"distribution", "fixed"}, {"value", 256}};
  const json requests = simulated(scenario)["requests"];
  CHECK(requests["rejected_by"]["queue_full"] == requests["rejected"]);
  CHECK(requests["rejected"] > 0);
  CHECK(requests["rejected_output_tokens"] == 256 * requests["rejected"].get<std::int64_t>());
}

TEST_CASE("clients of a closed loop that a full queue turns away come again: every request is served") {
  json scenario = deployed(R"({"scheduler": {"max_queued_requests": 1, "max_batch_requests": 1}})");
  scenario["workload"]["arrivals"] = {{"process", "closed"}, {"concurrency", 8}};
  const json result = simulated(scenario);
  CHECK(result["requests"]["completed"] == 40);
  CHECK(result["requests"]["rejected"] == 0);
  CHECK(result["requests"]["turned_away"] > 40);
  CHECK(result["scenario"]["workload"]["arrivals"]["retry_after"] == "1 s");
  scenario["workload"]["arrivals"]["retry_after"] = "30 s";
  const json slower = simulated(scenario);
  CHECK(slower["requests"]["turned_away"] < result["requests"]["turned_away"]);
  CHECK(slower["latency"]["ttft_s"]["max"] > result["latency"]["ttft_s"]["max"]);
  scenario["workload"]["arrivals"]["retry_after"] = "0 s";
  CHECK(contains(refused(scenario), "/workload/arrivals/retry_after"));
}

TEST_CASE("workload classes are reported and judged apart, the urgent one served first") {
  json scenario = deployed(R"({"scheduler": {"policy": "vllm_priority", "max_batch_requests": 2}})");
  scenario["workload"] = json::parse(R"({"arrivals": {"process": "batch"}, "requests": 40, "prompt_tokens": {"distribution": "fixed", "value": 500},
    "output_tokens": {"distribution": "fixed", "value": 20}, "classes": [{"name": "urgent", "priority": 1}, {"name": "idle"}]})");
  scenario["objectives"] = json::parse(R"({"classes": {"urgent": {"ttft_p99": "20 s"}, "idle": {"e2e_p50": "1 ms"}}})");
  const json result = simulated(scenario);
  const json& classes = result["classes"];
  REQUIRE(classes.size() == 2);
  CHECK(classes[0]["completed"].get<int>() + classes[1]["completed"].get<int>() == 40);
  CHECK(classes[0]["latency"]["ttft_s"]["max"] <= classes[1]["latency"]["ttft_s"]["max"]);
  CHECK(classes[0]["latency"]["ttft_s"]["mean"] < classes[1]["latency"]["ttft_s"]["mean"]);
  CHECK(classes[0]["objectives"][0]["met"] == true);
  CHECK(classes[1]["objectives"][0]["met"] == false);
  scenario["objectives"] = json::parse(R"({"classes": {"urgnt": {"ttft_p99": "20 s"}}})");
  CHECK(contains(refused(scenario), "did you mean 'urgent'"));
}

TEST_CASE("serving that makes no sense is refused with its place") {
  CHECK(contains(refused(deployed(R"({"replicas": 2, "disaggregation": {"prefill": {}, "decode": {}}})")), "/deployment/replicas"));
  CHECK(contains(refused(deployed(R"({"disaggregation": {"prefill": {"replicas": 2}, "decode": {}}})")), "need 6 GPUs, but the cluster offers 4"));
  CHECK(contains(refused(deployed(R"({"kv_tiers": {"host_memory": "10 GB"}, "prefix_cache": false})")), "/deployment/prefix_cache"));
  CHECK(contains(refused(deployed(R"({"kv_tiers": {"host_memory": "10 GB", "nvme": "1 TB"}})")), "nvme needs nvme_bandwidth"));
  CHECK(contains(refused(deployed(R"({"speculation": {"draft_tokens": 2, "acceptance": [0.5]}})")), "1 chances for 2 drafted tokens"));
  CHECK(contains(refused(deployed(R"({"speculation": {"method": "draft_model", "draft_tokens": 2, "acceptance": 0.5}})")), "names a \"model\""));
  CHECK(contains(refused(deployed(R"({"speculation": {"draft_tokens": 2, "acceptance": {"histogram": [1, 2]}}})")), "the histogram has 2 lengths"));
  CHECK(contains(refused(deployed(R"({"scheduler": {"preempt_for_priority": true}})")), "needs queue_order"));
  CHECK(contains(refused(deployed(R"({"scheduler": {"policy": "vlm"}})")), "'vllm'"));
}
