// Closed loops: who measures the burst that they begin with, and who leaves it out.
#include "study/first_burst.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "study/compare_input.hpp"
#include "study/comparison.hpp"
#include "study/uncertain_inputs.hpp"
#include "support/plan_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

WorkloadConfig closed(int clients, std::uint64_t requests, std::uint64_t warmup) {
  WorkloadConfig w;
  w.arrivals.process = ArrivalProcess::kClosed;
  w.arrivals.concurrency = clients;
  w.classes = {WorkloadClass{"default", 1, LengthConfig::fixed(100), LengthConfig::fixed(10)}};
  w.requests = requests;
  w.warmup_requests = warmup;
  return w;
}

bool any_contains(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(), [&](const std::string& t) { return t.find(part) != std::string::npos; });
}

/// 60 clients with long prompts: the last of a burst waits for 59 of them, later ones for a few.
json question(int requests, int warmup) {
  json q = small_question();
  q["cluster"] = {{"gpu", "h100-sxm"}};
  q["workload"]["arrivals"] = {{"process", "closed"}, {"concurrency", 60}};
  q["workload"]["prompt_tokens"] = {{"distribution", "uniform"}, {"low", 900}, {"high", 1100}};
  q["workload"]["requests"] = requests;
  q["workload"]["warmup_requests"] = warmup;
  q["objectives"] = {{"ttft_p90", "400 ms"}};
  q["search"]["parallel"] = {{{"tensor", 1}}};
  q["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  return q;
}

const char* const kSteady = "warmup_requests 10 is less than the 60 clients, who all begin at once; a plan is for steady operation: the first 60 requests are left out, and at least 100 are measured";

}  // namespace

TEST_CASE("a closed loop past its first burst leaves out one wave and measures as many requests as before") {
  const WorkloadConfig w = past_first_burst(closed(64, 100, 10));
  CHECK(w.warmup_requests == 64);
  CHECK(w.requests == 154);
  CHECK_FALSE(measures_first_burst(w));
  CHECK(measures_first_burst(closed(64, 100, 10)));
  CHECK_FALSE(measures_first_burst(closed(64, 64, 10)));   // nothing but the burst
  CHECK(past_first_burst(closed(64, 100, 70)).requests == 100);
  WorkloadConfig open = closed(64, 100, 10);
  open.arrivals.process = ArrivalProcess::kPoisson;
  CHECK(past_first_burst(open).warmup_requests == 10);
}

TEST_CASE("a plan for clients is sized for what follows their first burst, whatever warm-up is stated") {
  const PlanSpace space = space_of(question(110, 10));
  const PlanAnswer answer = answer_of(space);
  const json stated = result_of(space_of(question(160, 60)), answer_of(space_of(question(160, 60))));
  const json result = result_of(space, answer);
  REQUIRE(result["plan"]["best"].is_object());
  CHECK(result["plan"]["best"]["gpus"] == stated["plan"]["best"]["gpus"]);
  CHECK(result["plan"]["best"]["latency"] == stated["plan"]["best"]["latency"]);
  CHECK(result["scenario"]["workload"]["warmup_requests"] == 60);
  // Six requests for each client at least: where a run ends, fewer and fewer are in flight.
  CHECK(result["scenario"]["workload"]["requests"] >= 60 + 6 * 60);
  CHECK(result["plan"]["best"]["simulated_requests"] == result["scenario"]["workload"]["requests"]);
  CHECK(any_contains(result["warnings"], kSteady));
  CHECK_FALSE(any_contains(result["warnings"], "that burst is measured"));
  CHECK(plan_summary(space, answer, report_plan(space, answer, {})).find(kSteady) != std::string::npos);
  // With the burst, which a run of `simulate` measures, as many replicas would not do.
  Scenario burst = answer.scenario;
  burst.workload.requests = 110;
  burst.workload.warmup_requests = 10;
  const Result measured = run_scenario(burst, {});
  CHECK_FALSE(measured.objectives[0].met);
}

TEST_CASE("more clients have a longer first wave: at the peak of a plan and in draws of the load") {
  const PlanSpace space = space_of(question(160, 60));
  const PlanQuestion twice = plan_question(space.bases[0].scenario, 2);
  CHECK(twice.workload.arrivals.concurrency == 120);
  CHECK(twice.workload.warmup_requests == 120);
  CHECK(twice.workload.requests == 220);
  InputDistribution load;
  load.kind = InputKind::kLoad;
  Scenario scenario = space.bases[0].scenario;
  CHECK(draw_scenario(scenario, {load}, {2.0}).scenario.workload.warmup_requests == 120);
  scenario.workload.warmup_requests = 10;  // the burst is measured as stated
  CHECK(draw_scenario(scenario, {load}, {2.0}).scenario.workload.warmup_requests == 10);
}

TEST_CASE("simulate measures the burst with a warning; a comparison leaves it out with a note") {
  json s = question(110, 10);
  s.erase("search");
  const Scenario scenario = resolved(s);
  CHECK(any_contains(scenario.warnings, "that burst is measured, too"));
  CHECK(scenario.workload.warmup_requests == 10);
  const auto compared = [](const json& one) {
    json other = one;
    other["name"] = "other";
    other["deployment"]["scheduler"]["max_batch_requests"] = 8;
    return compare({make_compare_input(resolved(one), data()), make_compare_input(resolved(other), data())}, data(), nullptr, {});
  };
  const Comparison burst = compared(s);
  CHECK(any_contains(burst.notes, "small: warmup_requests 10 is less than the 60 clients"));
  const Comparison stated = compared(question(160, 60));
  CHECK(stated.notes.empty());
  REQUIRE(burst.rows[0].ttft_p99_s.has_value());
  CHECK(burst.rows[0].ttft_p99_s == stated.rows[0].ttft_p99_s);
  REQUIRE(burst.effects.size() == stated.effects.size());
  for (std::size_t i = 0; i < burst.effects.size(); ++i) CHECK(burst.effects[i].change == stated.effects[i].change);
}
