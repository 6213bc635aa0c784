// Fleets in scenarios and results: what is stated comes through, sums agree, GPU-hours are those held, and wrong input is refused in one line.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/shipped_scenarios.hpp"
#include "study/scenario_fleet.hpp"
#include "support/study_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;
using doctest::Approx;
using nlohmann::json;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The default scenario (replicas of two GPUs) on two nodes, rented at 1 USD/h, with `keys` on top.
json on_two_nodes(const std::string& keys) {
  json scenario = small_scenario();
  scenario["cluster"] = {{"node", "hgx-h100"}, {"nodes", 2}};
  scenario["cost"] = {{"rental", "1 USD/h"}};
  scenario.merge_patch(json::parse(keys));
  return scenario;
}

/// The same as four prefill and four decode replicas, with `keys` on top.
json pools_on_two_nodes(const std::string& keys) {
  json scenario = on_two_nodes(R"({"deployment": {"disaggregation": {"prefill": {"replicas": 4}, "decode": {"replicas": 4}}}})");
  scenario["deployment"].erase("replicas");
  scenario.merge_patch(json::parse(keys));
  return scenario;
}

constexpr const char* kScaling = R"({"deployment": {"replicas": 1, "fleet": {
  "autoscaling": {"max_replicas": 3, "target": 4, "period": "1 s", "down_cooldown": "2 s"},
  "cold_start": {"start": "2 s", "weights_from": "peer"}}}, "workload": {"requests": 200}})";

}  // namespace

TEST_CASE("without fleet, failures and deployments a result has none of their sections") {
  const json result = simulated(on_two_nodes("{}"));
  for (const char* key : {"fleet", "deployments", "totals"}) CHECK_FALSE(result.contains(key));
  CHECK_FALSE(result["scenario"].contains("failures"));
  CHECK_FALSE(result["scenario"]["deployment"].contains("fleet"));
  CHECK_FALSE(result["requests"].contains("failed"));
}

TEST_CASE("a fleet of fixed size gives the same requests as none, and holds all its GPUs") {
  const json plain = simulated(on_two_nodes(R"({"deployment": {"replicas": 3}})"));
  const json fleet = simulated(on_two_nodes(R"({"deployment": {"replicas": 3, "fleet": {}}})"));
  for (const char* key : {"latency", "throughput", "requests", "step_time", "cost"}) CHECK(plain[key] == fleet[key]);
  CHECK(fleet["utilisation"]["simulated_s"] == plain["utilisation"]["simulated_s"]);
  CHECK(fleet["utilisation"]["gpu_busy"].get<double>() == Approx(plain["utilisation"]["gpu_busy"].get<double>()));
  CHECK(fleet["fleet"]["replicas"]["mean_serving"].get<double>() == Approx(3));
  CHECK(fleet["fleet"]["gpu_hours"] == fleet["fleet"]["fixed_gpu_hours"]);
}

TEST_CASE("autoscaling holds fewer GPU-hours, and the cost is theirs") {
  const json result = simulated(on_two_nodes(kScaling));
  const json& fleet = result["fleet"];
  const double hours = result["utilisation"]["simulated_s"].get<double>() / 3600;
  CHECK(fleet["scale_ups"] > 0);
  CHECK(fleet["cold_starts"]["count"] > 0);
  // Engine 2 s, then 93 GB from a replica on the same node at 450 GB/s per GPU: two GPUs send in pairs, about 0.1 s.
  CHECK(fleet["cold_starts"]["mean_s"].get<double>() > 2.0);
  CHECK(fleet["cold_starts"]["mean_s"].get<double>() < 2.3);
  CHECK(fleet["fixed_gpu_hours"].get<double>() == Approx(hours * 3 * 2));
  CHECK(fleet["gpu_hours"].get<double>() < fleet["fixed_gpu_hours"].get<double>());
  const double held = fleet["replicas"]["mean_held"];
  CHECK(fleet["gpu_hours"].get<double>() == Approx(held * 2 * hours));
  CHECK(result["cost"]["per_hour_usd"].get<double>() == Approx(held * 2));
  CHECK(result["cost"]["per_gpu_hour_usd"].get<double>() == Approx(1));
  double over_time = 0;
  const json& points = fleet["over_time"];
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double until = i + 1 < points.size() ? points[i + 1]["at_s"].get<double>() : hours * 3600;
    over_time += points[i]["held"].get<double>() * (until - points[i]["at_s"].get<double>());
  }
  CHECK(over_time * 2 / 3600 == Approx(fleet["gpu_hours"].get<double>()));
}

TEST_CASE("a node that fails takes its replicas' requests, which are retried or have failed") {
  const std::string failing = R"({"deployment": {"replicas": 2, "fleet": {"cold_start": {"start": "1 s"}}}, "cluster": {"nodes": 1},
    "failures": {"times": [{"node": 0, "at": "2 s"}], "restart": "3 s", "retries": RETRIES}})";
  const auto with_retries = [&](const char* retries) { return std::string(failing).replace(failing.find("RETRIES"), 7, retries); };
  const json result = simulated(on_two_nodes(with_retries("1")));
  CHECK(result["requests"]["completed"] == 40);
  CHECK(result["requests"]["retries"] > 0);
  CHECK(result["requests"]["failed"] == 0);
  const json& failures = result["fleet"]["failures"];
  CHECK(failures["node_failures"] == 1);
  CHECK(failures["lost_requests"] == result["requests"]["retries"]);
  CHECK(failures["lost_kv_tokens"] > 0);
  // Down 3 s, started in 1 s, and 187 GB from a disk of 2 GB/s.
  CHECK(result["fleet"]["cold_starts"]["count"] == 2);
  CHECK(result["fleet"]["cold_starts"]["mean_s"] > 90.0);
  CHECK(result["latency"]["ttft_s"]["max"] > 90.0);
  const json given_up = simulated(on_two_nodes(with_retries("0")));
  CHECK(given_up["requests"]["failed"] == failures["lost_requests"]);
  CHECK(given_up["requests"]["completed"].get<int>() + given_up["requests"]["failed"].get<int>() == 40);
}

TEST_CASE("a failure stated for a time after the run is told") {
  const auto warned = [](const char* at) {
    const json result = simulated(on_two_nodes(std::string(R"({"deployment": {"replicas": 2}, "failures": {"times": [{"node": 1, "at": ")") + at + R"("}]}})"));
    for (const json& w : result["warnings"]) {
      if (contains(w, "node 1 was to fail at 86400 s, but the run ends at ")) return true;
    }
    return false;
  };
  CHECK(warned("24 h"));
  CHECK_FALSE(warned("1 s"));
}

TEST_CASE("several deployments share a cluster: each has its result, together they have totals") {
  json scenario = on_two_nodes(R"({"deployments": [
    {"name": "small", "model": "llama-3.1-8b", "deployment": {"replicas": 2}, "share": 0.25, "objectives": {"ttft_p99": "1 s"}},
    {"name": "own", "model": "qwen3-30b-a3b", "deployment": {"parallel": {"tensor": 2}},
     "workload": {"arrivals": {"process": "closed", "concurrency": 2}, "prompt_tokens": {"distribution": "fixed", "value": 100},
                  "output_tokens": {"distribution": "fixed", "value": 20}, "requests": 12}}]})");
  const json result = simulated(scenario);
  const json& list = result["deployments"];
  REQUIRE(list.size() == 3);
  CHECK(list[0]["requests"]["completed"] == 30);
  CHECK(list[1]["requests"]["completed"] == 10);
  CHECK(list[2]["requests"]["completed"] == 12);
  CHECK(list[1]["model"] == "Meta-Llama-3.1-8B");
  CHECK(list[1]["objectives"].size() == 1);
  CHECK(result["totals"]["gpus"] == 2 + 2 + 2);
  CHECK(result["totals"]["requests"]["completed"] == 52);
  CHECK(result["totals"]["usd_per_hour"].get<double>() == Approx(6));
  CHECK(result["latency"] == list[0]["latency"]);
  // The resolved scenario is one again. Its shares have become workloads.
  json again = result["scenario"];
  for (json* d : {&again["deployment"], &again["deployments"][0]["deployment"], &again["deployments"][1]["deployment"]}) (*d)["cost_profile"] = "h100-sxm";
  CHECK(simulated(again)["deployments"] == list);
}

TEST_CASE("every deployment's requests and timeline are written, the first one's where it was asked for") {
  const json scenario = on_two_nodes(R"({"deployments": [{"name": "small/one", "model": "llama-3.1-8b", "deployment": {"replicas": 2}, "share": 0.25}]})");
  const Scenario s = resolved(scenario);
  const TemporaryFolder folder;
  RunOptions options;
  options.requests_file = folder.path() / "r.csv";
  options.trace_file = folder.path() / "t.json";
  run_scenario(s, options);
  const auto lines = [&](const char* file) {
    const std::string text = slurp(folder.path() / file);
    return std::count(text.begin(), text.end(), '\n');
  };
  CHECK(lines("r.csv") == 1 + 30);
  CHECK(file_of_deployment(options.requests_file, s, 0) == folder.path() / "r.2-small_one.csv");
  CHECK(lines("r.2-small_one.csv") == 1 + 10);
  CHECK(json::parse(slurp(folder.path() / "t.json")).contains("traceEvents"));
  CHECK(json::parse(slurp(folder.path() / "t.2-small_one.json")).contains("traceEvents"));
  CHECK(file_of_deployment("/dev/null", s, 0).empty());
}

TEST_CASE("a fleet's sentences count in whole words") {
  FleetSummary fleet;
  fleet.autoscaled = fleet.fails = true;
  fleet.mean_serving = 1;
  fleet.peak = fleet.replicas_fixed = 1;
  fleet.scale_ups = fleet.lost_requests = fleet.retries = fleet.node_failures = 1;
  CHECK(contains(fleet_text(fleet), "1.00 replicas serving on average, 1 at most, 1 place; none started; 1 time more, 0 times fewer"));
  CHECK(contains(fleet_text(fleet), "1 node failure: 1 request lost its replica, 1 retry, 0 failed"));
  fleet.cold_starts = 1;
  fleet.cold_start_mean_s = 30;
  CHECK(contains(fleet_text(fleet), "; 1 started (in 30 s)"));
  fleet.cold_starts = fleet.lost_requests = fleet.retries = 2;
  CHECK(contains(fleet_text(fleet), "; 2 started (in 30 s each)"));
  CHECK(contains(fleet_text(fleet), "2 requests lost their replica, 2 retries"));
}

TEST_CASE("deployments whose replicas cross nodes slow each other, those that do not leave each other alone") {
  // Leaves of three nodes, a spine that carries an eighth: replicas of 16 GPUs on nodes 0-1 and 2-3 share nothing; of 32 on 0-3 and 4-7 they meet
  // above the second leaf.
  json scenario = on_two_nodes(R"({"model": "deepseek-r1", "cluster": {"node": "hgx-h200", "nodes": 8, "network": {"oversubscription": 8, "leaf_nodes": 3}},
    "deployment": {"parallel": {"tensor": 1, "expert": 16, "attention_data": 16}, "precision": null}, "routing": null, "objectives": null, "cost": null})");
  json& d = scenario["deployment"];
  const auto other = [&] {
    json entry = {{"name", "other"}, {"model", "deepseek-r1"}, {"deployment", d}, {"share", 0.5}};
    return json::array({entry});
  };
  scenario["deployments"] = other();
  const json apart = simulated(scenario);
  for (const json& one : apart["deployments"]) CHECK(one["network_slowdown"] == 1.0);
  d["parallel"] = {{"tensor", 1}, {"expert", 32}, {"attention_data", 32}};
  scenario["deployments"] = other();
  const json shared = simulated(scenario);
  for (const json& one : shared["deployments"]) CHECK(one["network_slowdown"] > 1.001);
}

TEST_CASE("what fleets cannot be is refused in one line") {
  const auto fleet = [&](const std::string& keys) { return refused(on_two_nodes(R"({"deployment": {"fleet": )" + keys + "}}")); };
  CHECK(contains(fleet(R"({"autoscaling": {"target": 4, "min_replicas": 3, "max_replicas": 2}})"), "2 is below min_replicas 3"));
  CHECK(contains(fleet(R"({"autoscaling": {"target": 4, "max_replicas": 9}})"), "need 18 GPUs, but the cluster offers 16"));
  CHECK(contains(fleet(R"({"autoscaling": {"target": 4, "max_replicas": 2, "up_above": 3}})"), "3 is below the target 4"));
  CHECK(contains(fleet(R"({"autoscaling": {"target": 4, "max_replicas": 2, "metric": "kv_use"}})"), "0 to 1"));
  CHECK(contains(fleet(R"({"autoscaling": {"target": 4, "max_replicas": 2}, "spare_replicas": 1})"), "max_replicas says"));
  CHECK(contains(fleet(R"({"autoscaling": {"target": 4, "max_replicas": 2, "period": "0 s"}})"), "0.1 s or more"));
  CHECK(contains(refused(on_two_nodes(R"({"deployment": {"replicas": 4, "fleet": {"autoscaling": {"target": 4, "max_replicas": 2}}}})")), "4 replicas at the beginning"));
  CHECK(contains(refused(on_two_nodes(R"({"failures": {"restart": "1 s"}})")), "state one of"));
  CHECK(contains(refused(on_two_nodes(R"({"failures": {"times": [{"node": 2, "at": "1 s"}]}})")), "nodes are 0 to 1"));
  CHECK(contains(refused(on_two_nodes(R"({"deployments": [{"model": "llama-3.1-8b"}]})")), "a workload of its own or a share"));
  CHECK(contains(refused(on_two_nodes(R"({"deployments": [{"model": "llama-3.1-8b", "share": 0.5}, {"model": "llama-3.1-8b", "share": 0.5}]})")), "add up to 1"));
  CHECK(contains(refused(on_two_nodes(R"({"deployments": [{"name": "a", "model": "llama-3.1-8b", "share": 0.2}, {"name": "a", "model": "llama-3.1-8b", "share": 0.2}]})")), "is named 'a', too"));
  CHECK(contains(refused(on_two_nodes(R"({"deployments": [{"model": "llama-3.1-8b", "share": 0.5, "deployment": {"replicas": 15}}]})")), "together need 17 GPUs"));
  CHECK(contains(refused(pools_on_two_nodes(R"({"deployment": {"fleet": {"autoscaling": {"target": 4, "max_replicas": 2}}}})")), "pools do not scale"));
  CHECK(contains(refused(pools_on_two_nodes(R"({"deployment": {"fleet": {"spare_replicas": 1}}})")), "a spare place would belong to one of the pools"));
  CHECK(contains(refused(pools_on_two_nodes(R"({"deployment": {"disaggregation": {"prefill": {"cluster": {"node": "hgx-h100"}}}},
    "deployments": [{"model": "llama-3.1-8b", "share": 0.5}]})")), "pools beside others have no cluster of their own"));
  // Its place once, and what an entry is called.
  const std::string unknown = refused(on_two_nodes(R"({"deployments": [{"model": "llama-3.1-8c", "share": 0.5}]})"));
  CHECK(contains(unknown, "/deployments/0/model: unknown model"));
}

TEST_CASE("a node that fails under pools takes their replicas; what they held is computed again") {
  // Prefill on node 0, decode on node 1.
  for (const int node : {0, 1}) {
    json scenario = pools_on_two_nodes(R"({"deployment": {"fleet": {"cold_start": {"start": "1 s", "disk_bandwidth": "200 GB/s"}}},
      "failures": {"times": [{"node": 0, "at": "0.1 s"}], "restart": "3 s"}, "workload": {"arrivals": {"process": "batch", "rate": null}}})");
    if (node == 1) scenario["failures"]["times"] = json::parse(R"([{"node": 1, "at": "1 s"}])");
    const json result = simulated(scenario);
    CHECK(result["requests"]["completed"] == 40);
    CHECK(result["requests"]["retries"] > 0);
    const json& failures = result["fleet"]["failures"];
    CHECK(failures["lost_requests"] == result["requests"]["retries"]);
    CHECK(result["fleet"]["cold_starts"]["count"] == 4);
    CHECK(result["pools"]["decode"]["requests"] == 40);
    if (node == 1) CHECK(failures["lost_kv_tokens"] > 0);
    json again = result["scenario"];
    CHECK(simulated(again)["fleet"] == result["fleet"]);
  }
}

TEST_CASE("pools stand beside other deployments and fail with the node that they share") {
  json scenario = pools_on_two_nodes(R"({"deployment": {"disaggregation": {"prefill": {"replicas": 2}, "decode": {"replicas": 2}}},
    "deployments": [{"name": "plain", "model": "llama-3.1-8b", "share": 0.25},
                    {"name": "pools", "model": "llama-3.1-8b", "deployment": {"disaggregation": {"prefill": {}, "decode": {}}}, "share": 0.25}]})");
  const json result = simulated(scenario);
  const json& list = result["deployments"];
  REQUIRE(list.size() == 3);
  CHECK(list[0]["requests"]["completed"] == 20);
  CHECK(list[1]["requests"]["completed"] == 10);
  CHECK(list[2]["requests"]["completed"] == 10);
  CHECK(result["totals"]["gpus"] == 8 + 1 + 2);
  CHECK(list[2]["gpus"] == 2);
  CHECK(result["pools"]["decode"]["requests"] == 20);
  // Alone on the cluster the pools do the same.
  json alone = scenario;
  alone.erase("deployments");
  alone["workload"] = result["scenario"]["workload"];
  CHECK(simulated(alone)["latency"] == result["latency"]);
  scenario["failures"] = json::parse(R"({"times": [{"node": 1, "at": "1 s"}], "restart": "1 s"})");
  const json failing = simulated(scenario);
  // The first eight GPUs are node 0: only the two smaller ones feel it.
  CHECK(failing["deployments"][0]["requests"] == list[0]["requests"]);
  CHECK(failing["deployments"][1]["fleet"]["failures"]["node_failures"] == 1);
  CHECK(failing["deployments"][2]["fleet"]["failures"]["node_failures"] == 1);
  CHECK(failing["totals"]["requests"]["completed"] == 40);
}
