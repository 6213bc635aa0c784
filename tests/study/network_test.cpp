// Scenarios over several nodes, with experts in host memory, and what their results say about it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "study/shared_links.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

const fs::path kRoot(MOEPLAN_SOURCE_DIR);

json answer(const json& scenario) {
  const Scenario s = resolved(scenario);
  const std::string text = result_json(s, run_scenario(s, {}), data());
  CHECK(complaint_of([&] { parse_json(text, "result", kRoot / "reports/schema/result.schema.json"); }) == "");
  return json::parse(text);
}

json what_if(const std::string& name, int requests = 60) { return cut_down(kRoot / "scenarios/what-if" / (name + ".json"), requests); }

double exposed(const json& result) { return result["network"]["exposed_communication_s"]["decode"]; }

}  // namespace

TEST_CASE("every what-if scenario is answered in the result's schema") {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(kRoot / "scenarios/what-if")) {
    if (entry.path().extension() != ".json") continue;
    CAPTURE(entry.path().filename().string());
    const json result = answer(cut_down(entry.path(), 20));
    CHECK(result["memory"]["fits"] == true);
    CHECK(result["requests"]["completed"] == 20);
    ++count;
  }
  CHECK(count >= 6);
}

TEST_CASE("experts over four nodes expose more communication than over one, and name the busiest links") {
  const json one = answer(what_if("deepseek-r1-ep8"));
  const json four = answer(what_if("deepseek-r1-ep32"));
  CHECK(exposed(four) > 2 * exposed(one));
  CHECK(one["network"]["links"][0]["kind"] == "scale_up");
  CHECK(four["network"]["links"][0]["kind"] == "nic");
  CHECK(four["network"]["links"].size() == 20);
  double last = 1;
  for (const json& link : four["network"]["links"]) {
    CHECK(link["utilisation_mean"] <= last);
    CHECK(link["utilisation_p50"] <= link["utilisation_p99"]);
    last = link["utilisation_mean"];
  }
  const json& decode = four["step_time"]["decode"];
  CHECK(exposed(four) == doctest::Approx(decode["mean_s"].get<double>() *
                                         (decode["share"]["all_to_all"].get<double>() + decode["share"]["all_reduce"].get<double>())));
}

TEST_CASE("a narrower spine is never faster, and at 4:1 it is felt") {
  const double free = exposed(answer(what_if("deepseek-r1-spine-1to1")));
  const double half = exposed(answer(what_if("deepseek-r1-spine-2to1")));
  const double quarter = exposed(answer(what_if("deepseek-r1-spine-4to1")));
  CHECK(half >= free);
  CHECK(quarter > 1.02 * half);
}

TEST_CASE("overlap hides communication, reported as hidden, and is refused where the engine does not do it") {
  json scenario = what_if("deepseek-r1-ep32", 100);
  const json plain = answer(with(scenario, "/deployment/overlap", R"({"shared_expert": false})"));
  const json shared = answer(scenario);
  CHECK(plain["network"]["hidden_communication_s"]["decode"] == 0);
  CHECK(shared["network"]["hidden_communication_s"]["decode"] > 0);
  CHECK(exposed(shared) < exposed(plain));
  scenario = with(scenario, "/deployment/overlap", R"({"two_batch": true})");
  CHECK(answer(scenario)["warnings"].dump().find("two-batch overlap") != std::string::npos);
  CHECK(complaint_of([&] { resolved(with(scenario, "/deployment/engine", R"("trtllm")")); }).find("two-batch overlap") != std::string::npos);
}

TEST_CASE("replicas that share no link between nodes have no network, and one replica never has") {
  CHECK(SharedLinks(resolved(what_if("deepseek-r1-ep32"))).make_network() == nullptr);
  CHECK(SharedLinks(resolved(what_if("deepseek-r1-spine-4to1"))).make_network() != nullptr);
  CHECK(SharedLinks(resolved(with(what_if("deepseek-r1-spine-4to1"), "/cluster/network/leaf_nodes", "4"))).make_network() == nullptr);
  CHECK(SharedLinks(resolved(small_scenario())).make_network() == nullptr);
}

TEST_CASE("Mixtral offloaded on a 24 GB card: only resident experts and staging count, and waiting follows the misses") {
  const json scenario = cut_down(kRoot / "scenarios/mixtral-8x7b-offload-rtx-4090.json", 6);
  const auto with_share = [&](const std::string& share) {
    return answer(with(with(scenario, "/deployment/offload/resident_share", share), "/deployment/offload/prefetch_hit_rate", "0"));
  };
  const json half = with_share("0.5");
  const json quarter = with_share("0.25");
  CHECK(half["memory"]["fits"] == true);
  CHECK(quarter["memory"]["per_gpu"]["experts_bytes"] < half["memory"]["per_gpu"]["experts_bytes"]);
  CHECK(half["offload"]["hit_rate"] > quarter["offload"]["hit_rate"].get<double>() + 0.15);
  CHECK(half["offload"]["bytes_streamed_per_step"] < quarter["offload"]["bytes_streamed_per_step"]);
  // Twice as many misses: the part of the step that waits for them takes twice as long, the rest as long as before.
  const auto missed = [](const json& result) { return 1 - result["offload"]["hit_rate"].get<double>(); };
  const double waiting = half["offload"]["stream_share_of_step"];
  const double ratio = quarter["latency"]["tpot_s"]["mean"].get<double>() / half["latency"]["tpot_s"]["mean"].get<double>();
  CHECK(missed(quarter) / missed(half) > 1.5);
  CHECK(ratio == doctest::Approx(1 - waiting + waiting * missed(quarter) / missed(half)).epsilon(0.1));
  json resident = scenario;
  resident["deployment"].erase("offload");
  CHECK(answer(resident)["memory"]["fits"] == false);
  CHECK_FALSE(answer(small_scenario()).contains("offload"));
}

TEST_CASE("wrong networks and offloads are refused with one line") {
  const json scenario = small_scenario();
  CHECK(complaint_of([&] { resolved(with(scenario, "/cluster/network", R"({"kind": "torus"})")); }).find("leaf_spine") != std::string::npos);
  CHECK(complaint_of([&] { resolved(with(scenario, "/cluster/network", R"({"oversubscription": 0.5})")); }) != "");
  CHECK(complaint_of([&] { resolved(with(scenario, "/deployment/offload", R"({"resident_share": 2})")); }) != "");
  json dense = with(scenario, "/model", R"("llama-3.1-8b")");
  dense.erase("routing");
  dense["deployment"].erase("precision");
  dense = with(dense, "/deployment/offload", R"({"resident_share": 0.5})");
  CHECK(complaint_of([&] { resolved(dense); }).find("no routed experts") != std::string::npos);
}
