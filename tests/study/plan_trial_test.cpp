// A plan tried with the fleet and the failures that its scenario states, which its search does not see.
#include "study/plan_trial.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "input/json_reader.hpp"
#include "study/plan_space.hpp"
#include "study/scenario_fleet.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

JsonDocument document(const std::string& keys) {
  json scenario = small_scenario();
  scenario["cluster"] = {{"node", "hgx-h100"}, {"nodes", 2}};
  scenario.merge_patch(json::parse(keys));
  return parse_json(scenario.dump(), "s.json", data().schema("scenario"));
}

const fs::path kFolder = fs::path(MOEPLAN_SOURCE_DIR) / "scenarios";

constexpr const char* kStated = R"({"deployment": {"fleet": {"autoscaling": {"min_replicas": 2, "max_replicas": 64, "target": 4, "period": "1 s"},
  "cold_start": {"start": "1 s", "disk_bandwidth": "100 GB/s"}}}, "failures": {"times": [{"node": 0, "at": "2 s"}, {"node": 7, "at": "3 s"}], "restart": "1 s"}})";

}  // namespace

TEST_CASE("the search of a plan sees neither fleet nor failures, which are kept for its trial") {
  json asked = json::parse(kStated);
  asked["objectives"] = {{"ttft_p99", nullptr}, {"tpot_p99", nullptr}, {"ttft_p50", "20 s"}};
  asked["search"] = {{"parallel", json::array({{{"tensor", 2}}})}};
  const PlanSpace space = lay_out_plan(document(asked.dump()), kFolder, data(), {});
  const PlanBase& base = space.bases.front();
  CHECK_FALSE(base.scenario.in_fleet());
  CHECK(base.scenario.replicas == 1);
  REQUIRE(base.fleet);
  CHECK(base.fleet->autoscaling->max_replicas == 64);
  REQUIRE(base.failures);
  CHECK(base.failures->given.size() == 2);
  asked["deployments"] = json::parse(R"([{"model": "llama-3.1-8b", "share": 0.5}])");
  CHECK(complaint_of([&] { lay_out_plan(document(asked.dump()), kFolder, data(), {}); }).find("/deployments: a plan sizes one deployment") != std::string::npos);
}

TEST_CASE("a trial scales up to the plan's replicas, and only nodes that the plan has fail") {
  const Scenario stated = resolve_starting_point(document(kStated), kFolder, data());
  const Scenario best = resolve_scenario(document(R"({"deployment": {"replicas": 3}})"), kFolder, data());
  StudyLibraries shared;
  const auto trial = try_plan(stated.fleet, stated.failures, best, 1, shared);
  REQUIRE(trial);
  CHECK(trial->scenario.fleet->autoscaling->max_replicas == 4);
  CHECK(trial->scenario.fleet->autoscaling->min_replicas == 2);
  REQUIRE(trial->notes.size() == 1);
  CHECK(trial->notes[0] == "the plan has 2 nodes: node 7 does not fail");
  CHECK(trial->result.fleet->node_failures == 1);
  CHECK(trial->result.requests.completed == 40);
  // Dealt over both nodes: a node takes half of them.
  CHECK(trial->scenario.spread);
  CHECK(ScenarioFleet(trial->scenario).service(0, trial->scenario, Deployment(trial->scenario.deployment, shared)).first_gpu == std::vector<int>{0, 8, 2, 10});
  const json section = trial_section(*trial, data());
  CHECK(section["fleet"]["failures"]["node_failures"] == 1);
  CHECK(section["objectives"].size() == best.objectives.size());
  CHECK(trial_text(*trial).find("1 node failure: ") != std::string::npos);
}

TEST_CASE("a trial says what an objective asked for and that the plan was saturated") {
  PlanTrial trial;
  const std::vector<Objective> objectives = parse_objectives(JsonReader(document(R"({"objectives": {"ttft_p99": null, "tpot_p99": null, "ttft_p50": "2 s", "e2e_p99": "3 s"}})")).at("objectives"));
  REQUIRE(objectives.size() == 2);
  for (const Objective& o : objectives) trial.result.objectives.push_back({o, o.key == "ttft_p50" ? 1.0 : 4.0, false});
  trial.result.warnings = {"saturated (backlog grows): more load is offered than served"};
  const std::string text = trial_text(trial);
  CAPTURE(text);
  CHECK(text.find("NOT MET (saturated)\n") != std::string::npos);
  CHECK(text.find("<= 3") != std::string::npos);
  CHECK(text.find("NOT MET\n") != std::string::npos);
  CHECK(text.find("saturated (backlog grows): more load is offered than served") != std::string::npos);
}

TEST_CASE("pools do not scale in a trial, and without a fleet there is none") {
  const Scenario stated = resolve_starting_point(document(kStated), kFolder, data());
  const Scenario pools = resolve_scenario(document(R"({"deployment": {"replicas": null, "disaggregation": {"prefill": {"replicas": 2}, "decode": {"replicas": 2}}}})"), kFolder, data());
  StudyLibraries shared;
  const auto trial = try_plan(stated.fleet, stated.failures, pools, 1, shared);
  REQUIRE(trial);
  CHECK_FALSE(trial->scenario.fleet->autoscaling);
  CHECK(trial->notes.front().find("pools, which do not scale") != std::string::npos);
  CHECK(trial->result.fleet->node_failures == 1);
  CHECK_FALSE(try_plan(std::nullopt, std::nullopt, pools, 0, shared));
}
