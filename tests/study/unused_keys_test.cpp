// Keys without effect are told with their place, contradictions are refused there, and host memory is checked against the node's.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study/host_memory.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// The default scenario (Mixtral on two H100, tensor 2) with `keys` on top.
json patched(const std::string& keys) {
  json scenario = small_scenario();
  scenario.merge_patch(json::parse(keys));
  return scenario;
}

std::vector<std::string> without_effect(const Scenario& scenario) {
  std::vector<std::string> out;
  for (const std::string& warning : scenario.warnings) {
    if (warning.find(" has no effect: ") != std::string::npos) out.push_back(warning);
  }
  return out;
}

/// Exactly one key of the scenario has no effect, the one at `place`.
void check_told(const std::string& keys, const std::string& place, const std::string& why) {
  CAPTURE(keys);
  const std::vector<std::string> told = without_effect(resolved(patched(keys)));
  CAPTURE(told.size());
  REQUIRE(told.size() == 1);
  CAPTURE(told[0]);
  CHECK(told[0].starts_with(place + " has no effect: "));
  CHECK(told[0].find(why) != std::string::npos);
}

void check_silent(const std::string& keys) {
  CAPTURE(keys);
  for (const std::string& told : without_effect(resolved(patched(keys)))) FAIL_CHECK(told);
}

void check_refused(const std::string& keys, const std::string& complaint) {
  CAPTURE(keys);
  const std::string found = complaint_of([&] { resolved(patched(keys)); });
  CAPTURE(found);
  CHECK(found.find(complaint) != std::string::npos);
}

constexpr const char* kDense = R"({"model": "llama-3.1-8b", "routing": null, "deployment": {"precision": null, "parallel": null, "replicas": 2}})";

std::string on_dense(const std::string& keys) {
  json patch = json::parse(kDense);
  patch.merge_patch(json::parse(keys));
  return patch.dump();
}

}  // namespace

TEST_CASE("no shipped scenario has a key without effect") {
  for (const fs::path& file : shipped_scenarios()) {
    const json document = cut_down(file, 100);
    if (document.contains("search")) continue;
    CAPTURE(file.string());
    const Scenario scenario = resolve_scenario(parse_json(document.dump(), "s.json", data().schema("scenario")), file.parent_path(), data());
    for (const std::string& told : without_effect(scenario)) FAIL_CHECK(told);
  }
}

TEST_CASE("routing and experts") {
  check_told(on_dense(R"({"routing": {"popularity": "uniform"}})"), "/routing", "dense model");
  check_told(on_dense(R"({"deployment": {"precision": {"weights": "bf16", "experts": "fp8"}}})"), "/deployment/precision/experts", "dense model");
  check_told(R"({"routing": {"placement": "balanced", "redundant_experts": 8}})", "/routing/redundant_experts", "the 8 copies only take memory");
  check_told(R"({"routing": {"placement": "balanced"}})", "/routing/placement", "expert parallelism");
  check_told(R"({"routing": {"drift": {"period": "1 h"}}})", "/routing/drift", "expert parallelism");
  const char* kSpread = R"(, "deployment": {"parallel": {"tensor": 2, "expert": 2}}})";
  check_told(std::string(R"({"routing": {"placement": "balanced", "rebalance": {"period": "5 s"}})") + kSpread, "/routing/rebalance", "popularity does not change");
  check_silent(std::string(R"({"routing": {"placement": "balanced", "rebalance": {"period": "5 s"}, "drift": {"period": "5 s"}})") + kSpread);
  // Two of eight experts per token: room for all tokens in each from 4 on.
  check_told(R"({"routing": {"capacity_factor": 4}})", "/routing/capacity_factor", "4 x 2 of 8 experts per token");
  check_silent(R"({"routing": {"capacity_factor": 3.9}})");
  check_silent(R"({"routing": {"placement": "balanced", "redundant_experts": 2}, "deployment": {"parallel": {"tensor": 2, "expert": 2}}})");
  check_refused(R"({"routing": {"popularity": "uniform", "sigma": 0.5}})", "/routing/sigma: \"sigma\" belongs to the popularity lognormal, not to uniform");
  check_refused(R"({"routing": {"popularity": null, "sigma": 0.5}})", "\"sigma\" belongs to the popularity lognormal, which is not stated here");
  check_refused(R"({"routing": {"popularity": "zipf", "sigma": null}})", "/routing: missing key 'exponent' (or 's') of the popularity zipf");
  check_refused(R"({"routing": {"popularity": "power_law", "sigma": null, "s": 1}})", "/routing/s: \"s\" belongs to the popularity zipf, not to power_law");
  check_refused(R"({"routing": {"popularity": "zipf", "sigma": null, "s": 1, "exponent": 1}})", "/routing/s: the same as \"exponent\"");
  check_refused(R"({"routing": {"popularity": "uniform", "sigma": null, "noise": 0.1}})", "/routing/noise");
  check_refused(R"({"routing": {"popularity": "recorded", "sigma": null, "file": "none.csv"}})", "s.json: /routing/file: ");
}

TEST_CASE("communication of experts") {
  check_told(R"({"deployment": {"expert_communication": "deep_ep"}})", "/deployment/expert_communication", "attention data parallelism");
  check_told(R"({"deployment": {"overlap": {"two_batch": true}}})", "/deployment/overlap/two_batch", "attention data parallelism");
  check_told(R"({"deployment": {"expert_communication": "deep_ep", "parallel": {"tensor": 1, "attention_data": 2}}})", "/deployment/expert_communication", "parallel.expert 1");
  check_told(R"({"deployment": {"overlap": {"shared_expert": true}, "parallel": {"tensor": 1, "attention_data": 2, "expert": 2}}})", "/deployment/overlap/shared_expert",
             "no shared experts");
  check_told(on_dense(R"({"deployment": {"overlap": {"two_batch": true}}})"), "/deployment/overlap/two_batch", "dense model");
  check_silent(R"({"deployment": {"overlap": {"two_batch": false}}})");
  const std::string nvlink = R"({"cluster": {"gpus": GPUS, "nodes": 2}, "deployment": {"expert_communication": "nvlink_two_sided", "parallel": {"tensor": 1, "attention_data": GPUS, "expert": 8}}})";
  const auto on = [&](const std::string& gpus) {
    std::string text = nvlink;
    for (std::size_t at = 0; (at = text.find("GPUS")) != std::string::npos;) text.replace(at, 4, gpus);
    return text;
  };
  check_silent(on("8"));
  check_refused(on("16"), "/deployment/expert_communication: the 16 GPUs that exchange tokens (tensor 1 x attention_data 16) lie on 2 nodes, and no NVLink domain spans nodes of 'hgx-h100'");
  check_told(R"({"cluster": {"network": {"oversubscription": 2}}})", "/cluster/network", "one node");
}

TEST_CASE("schedulers, routers and prefix caches") {
  check_told(R"({"deployment": {"scheduler": {"queue_order": "longest_prefix"}}})", "/deployment/scheduler/queue_order", "without prefix_cache");
  check_told(R"({"deployment": {"scheduler": {"queue_order": "priority"}}})", "/deployment/scheduler/queue_order", "the same priority");
  check_silent(R"({"deployment": {"scheduler": {"policy": "vllm_priority"}}})");  // it has budgets and an order of its own
  check_told(R"({"deployment": {"scheduler": {"router": "power_of_two"}}})", "/deployment/scheduler/router", "one replica");
  const Scenario by_load = resolved(patched(R"({"cluster": {"gpus": 4}, "deployment": {"replicas": 2, "scheduler": {"router": "prefix_aware"}}})"));
  CHECK(std::count(by_load.warnings.begin(), by_load.warnings.end(), "/deployment/scheduler/router: without prefix_cache 'prefix_aware' routes as 'least_outstanding_tokens' does") == 1);
  check_told(R"({"deployment": {"prefix_cache": true}})", "/deployment/prefix_cache", "begin alike");
  check_silent(R"({"deployment": {"kv_tiers": {"host_memory": "100 GB"}}})");  // what preempted requests held is fetched again
  check_silent(R"({"deployment": {"prefix_cache": true}, "workload": {"prefix": {"tokens": 100}}})");
  check_silent(R"({"deployment": {"scheduler": {"policy": "sglang"}}})");
  check_refused(R"({"deployment": {"scheduler": {"policy": "vllm_priority", "queue_order": "arrival"}}})", "/deployment/scheduler/queue_order: the policy");
  check_refused(R"({"deployment": {"kv_tiers": {"host_memory": "10 GB", "nvme_bandwidth": "1 GB/s"}}})", "/deployment/kv_tiers/nvme_bandwidth: has no effect without nvme");
  check_refused(R"({"deployment": {"speculation": {"method": "draft_model", "model": "mistral-7b-v0.1", "mtp_layers": 1, "draft_tokens": 1, "acceptance": 0.5}}})",
                "/deployment/speculation/mtp_layers");
  check_refused(R"({"cluster": {"gpus": 4}, "deployment": {"replicas": null, "disaggregation": {"prefill": {"scheduler": {"router": "power_of_two"}}, "decode": {}}}})",
                "/deployment/disaggregation/prefill/scheduler/router: both pools have one router");
}

TEST_CASE("fleets, adapters, offloading") {
  check_told(R"({"deployment": {"fleet": {"cold_start": {"start": "1 s"}}}})", "/deployment/fleet/cold_start", "without autoscaling and failures");
  check_told(R"({"cluster": {"gpus": 4}, "deployment": {"fleet": {"spare_replicas": 1}}})", "/deployment/fleet/spare_replicas", "no node fails");
  check_told(R"({"failures": {"failures_per_node_year": 1}, "deployment": {"fleet": {"cold_start": {"store_bandwidth": "1 GB/s"}}}})",
             "/deployment/fleet/cold_start/store_bandwidth", "over the network");
  const std::string scaled = R"({"cluster": {"gpus": 8}, "deployment": {"fleet": {"autoscaling": {"min_replicas": MIN, "max_replicas": 2, "target": 4}, "cold_start": COLD}}})";
  const auto scaling = [&](const char* least, const char* cold) {
    std::string text = scaled;
    text.replace(text.find("MIN"), 3, least);
    return text.replace(text.find("COLD"), 4, cold);
  };
  check_told(scaling("2", R"({"start": "1 s"})"), "/deployment/fleet/autoscaling", "both 2");
  check_told(scaling("1", R"({"weights_from": "peer", "disk_bandwidth": "9 GB/s"})"), "/deployment/fleet/cold_start/disk_bandwidth", "a replica that serves");
  check_told(scaling("1", R"({"weights_from": "network", "disk_bandwidth": "9 GB/s"})"), "/deployment/fleet/cold_start/disk_bandwidth", "over the network");
  check_silent(scaling("0", R"({"weights_from": "peer", "disk_bandwidth": "9 GB/s"})"));
  check_silent(scaling("1", R"({"weights_from": "disk", "disk_bandwidth": "9 GB/s"})"));
  check_told(R"({"failures": {"failures_per_node_year": 1, "retries": 0, "back_off": "2 s"}})", "/failures/back_off", "retries 0");
  check_told(R"({"deployment": {"lora": {"rank": 8, "resident": 0}}})", "/deployment/lora", "no adapter is resident");
  check_told(on_dense(R"({"deployment": {"lora": {"rank": 8, "resident": 2, "targets": ["attention", "experts"]}}})"), "/deployment/lora/targets", "no experts");
}

TEST_CASE("drafts") {
  const auto drafting = [](const std::string& keys) { return R"({"deployment": {"scheduler": {"max_batch_requests": 64}, "speculation": {"draft_tokens": 1, "acceptance": 0.5, )" + keys + "}}}"; };
  check_told(drafting(R"("most_sequences": 64)"), "/deployment/speculation/most_sequences", "max_batch_requests");
  check_silent(drafting(R"("most_sequences": 63)"));
  check_told(drafting(R"("crowded": {"above": 8, "factor": 1})"), "/deployment/speculation/crowded", "changes no chance");
  check_told(drafting(R"("crowded": {"above": 64, "factor": 0.5})"), "/deployment/speculation/crowded", "max_batch_requests");
  check_told(drafting(R"("most_sequences": 8, "crowded": {"above": 8, "factor": 0.5})"), "/deployment/speculation/crowded", "most_sequences");
  check_silent(drafting(R"("most_sequences": 8, "crowded": {"above": 7, "factor": 0.5})"));
  // Forty requests at once, of which two may draft: only at the end do so few decode.
  json crowd = patched(drafting(R"("most_sequences": 2)"));
  crowd["workload"]["arrivals"] = {{"process", "batch"}};
  crowd["workload"]["output_tokens"] = {{"distribution", "fixed"}, {"value", 64}};
  crowd["workload"]["prompt_tokens"] = {{"distribution", "fixed"}, {"value", 64}};
  const json result = simulated(crowd);
  CHECK(result["speculation"]["drafted_tokens"] == 0);
  const json& warnings = result["warnings"];
  CHECK(std::any_of(warnings.begin(), warnings.end(), [](const json& w) { return w.get<std::string>().starts_with("nothing was drafted: more than 2 sequences"); }));
}

TEST_CASE("requests that do not fit the context with their outputs are told before they are rejected") {
  const auto outputs = [](const std::string& lengths) {
    return R"({"deployment": {"scheduler": {"max_context": 1100}}, "workload": {"prompt_tokens": {"distribution": "fixed", "value": 1000, "low": null, "high": null}, "output_tokens": )" + lengths + "}}";
  };
  // 50 to 149 tokens: 49 of 100 lengths are above 100.
  const json some = patched(outputs(R"({"distribution": "uniform", "value": null, "low": 50, "high": 149})"));
  const std::vector<std::string> warnings = resolved(some).warnings;
  REQUIRE(warnings.size() >= 1);
  CHECK(std::any_of(warnings.begin(), warnings.end(), [](const std::string& w) { return w.find("% of the prompts with their outputs do not fit the context of 1100 tokens; they are rejected") != std::string::npos; }));
  CHECK(simulated(some)["requests"]["rejected"] > 0);
  check_silent(outputs(R"({"distribution": "fixed", "value": 100, "low": null, "high": null})"));
  check_refused(outputs(R"({"distribution": "fixed", "value": 101, "low": null, "high": null})"), "/workload/output_tokens: 100 % of the prompts with their outputs do not fit the context of 1100 tokens");
}

TEST_CASE("recorded requests that do not fit the context are told, too") {
  json text = patched(R"({"deployment": {"scheduler": {"max_context": 3000}}})");
  const json recorded = {{"distribution", "trace"}, {"file", std::string(MOEPLAN_SOURCE_DIR) + "/scenarios/traces/sharegpt_300.csv"}};
  text["workload"]["prompt_tokens"] = recorded;
  text["workload"]["output_tokens"] = recorded;
  const std::vector<std::string> warnings = resolved(text).warnings;
  // 6 of 300 rows
  CHECK(std::any_of(warnings.begin(), warnings.end(), [](const std::string& w) { return w.find("2 % of the prompts with their outputs do not fit the context of 3000 tokens; they are rejected") != std::string::npos; }));
}

TEST_CASE("workloads") {
  check_told(R"({"workload": {"arrivals": {"process": "closed", "rate": null, "concurrency": 2, "retry_after": "2 s"}}})", "/workload/arrivals/retry_after", "no queue has a limit");
  check_told(R"({"workload": {"arrivals": {"process": "batch", "rate": null}, "warmup_requests": 4}})", "/workload/warmup_requests", "of a batch all requests count");
  check_told(R"({"workload": {"classes": [{"name": "a", "priority": 1}, {"name": "b"}]}})", "/workload/classes/0/priority", "no priorities");
  check_told(R"({"workload": {"classes": [{"name": "a", "arrivals": {"process": "poisson", "rate": "1 /s"}}]}})", "/workload/arrivals", "arrivals of its own");
  check_refused(R"({"workload": {"prefix": {"tokens": 10}, "classes": [{"name": "a"}]}})", "/workload/prefix: with classes, each class states its own");
  check_refused(R"({"workload": {"prefix": {"tokens": 10, "zipf": 1}}})", "/workload/prefix/zipf: has no effect on one prefix");
  check_refused(R"({"workload": {"classes": [{"name": "a", "prompt_tokens": {"distribution": "fixed", "value": 10}}]}})", "/workload/prompt_tokens: has no effect");
  check_refused(R"({"workload": {"arrivals": {"process": "trace", "rate": null, "file": "none.csv"}, "prompt_tokens": null, "output_tokens": null}})",
                "s.json: /workload/arrivals/file: ");
}

TEST_CASE("KV tiers and offloaded experts are checked against what the node has") {
  // An HGX H100 of 2 TB: eight GPUs may have 250 GB each, two of them more.
  const std::string eight = R"({"cluster": {"gpus": 8}, "deployment": {"replicas": 4, "kv_tiers": {"host_memory": "SIZE"}}, "workload": {"prefix": {"tokens": 10}}})";
  const auto tiers = [&](std::string text, const std::string& size) { return text.replace(text.find("SIZE"), 4, size); };
  check_silent(tiers(eight, "250 GB"));
  check_refused(tiers(eight, "300 GB"), "/deployment/kv_tiers: 8 GPUs of a node x 300 GB are 2.4 TB of host memory, but node 'hgx-h100' has 2 TB; accepted: at most 250 GB per GPU");
  check_silent(R"({"deployment": {"kv_tiers": {"host_memory": "300 GB"}}, "workload": {"prefix": {"tokens": 10}}})");
  // Two pools of four GPUs on the same node
  const std::string pools = R"({"cluster": {"gpus": 8}, "deployment": {"replicas": null, "kv_tiers": {"host_memory": "SIZE"},
                               "disaggregation": {"prefill": {"replicas": 2}, "decode": {"replicas": 2}}}, "workload": {"prefix": {"tokens": 10}}})";
  check_silent(tiers(pools, "250 GB"));
  check_refused(tiers(pools, "300 GB"), "/deployment/kv_tiers: 4 prefill and 4 decode GPUs of a node keep 2.4 TB of host memory, but node 'hgx-h100' has 2 TB");
  // Offloaded experts of one layout are not those of another: all of Mixtral's 90.2 GB for each prefill replica of one GPU (a tenth of eight experts is
  // none), half as much per GPU of two. 4 x 90.2 and 4 x 45.1 GB: alone each pool would fit a host of 500 GB.
  const std::string offloading = R"({"cluster": {"node": {"id": "small-host", "gpu": "h100-sxm", "gpus": 8, "topology": "switch", "scale_up_bandwidth": "450 GB/s", "host_bandwidth": "55 GB/s",
    "host_memory": "HOST", "sources": ["test"]}, "gpus": 8}, "deployment": {"replicas": null, "parallel": {"tensor": 2}, "offload": {"resident_share": 0.1},
    "disaggregation": {"prefill": {"replicas": 4, "parallel": {"tensor": 1}}, "decode": {"replicas": 2}}}})";
  const auto host = [&](std::string text, const std::string& size) { return text.replace(text.find("HOST"), 4, size); };
  check_silent(host(offloading, "560 GB"));
  check_refused(host(offloading, "500 GB"), "/deployment/offload: 4 prefill and 4 decode GPUs of a node keep 541.2 GB of host memory, but node 'small-host' has 500 GB");
  check_refused(R"({"deployment": {"kv_tiers": {"host_memory": "100 GB", "nvme": "16 TB", "nvme_bandwidth": "1 GB/s"}}, "workload": {"prefix": {"tokens": 10}}})",
                "2 GPUs of a node x 16 TB are 32 TB of NVMe, but node 'hgx-h100' has 30.72 TB");
  NodeSpec node;
  node.gpus = 4;
  CHECK_FALSE(host_shortage(node, {Bytes(1'000'000'000'000), Bytes(0)}, 4));  // not known
  node.host_memory = Bytes(100);
  CHECK_FALSE(host_shortage(node, {Bytes(25), Bytes(0)}, 9));
  CHECK(host_shortage(node, {Bytes(26), Bytes(0)}, 9));
}
