// Prefill and decode replicas searched together, beside every pair of numbers tried.
#include "study/plan_pools.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/random.hpp"
#include "study/plan_bounds.hpp"
#include "study/plan_journal.hpp"
#include "study/plan_workshop.hpp"
#include "support/plan_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

/// Long prompts, so that prefill has something to do; `pools` as in search.features.disaggregation.
json pools_question(const json& pools) {
  json question = small_question();
  question["workload"]["arrivals"]["rate"] = "20 /s";
  question["workload"]["prompt_tokens"]["high"] = 3000;
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  question["search"]["features"] = {{"disaggregation", {pools}}};
  return question;
}

/// The cheapest of all pairs within the limits, each simulated; nothing when none does.
std::optional<double> exhaustive(const PlanSpace& space, std::size_t index, PlanWorkshop& workshop) {
  const PlanGroup& group = space.groups[space.candidates[index].group];
  if (!group.refusal.empty()) return std::nullopt;
  const CandidateReplica replica(workshop, index, workshop.candidate_config(index));
  std::optional<double> least;
  for (int prefill = 1;; ++prefill) {
    const PlanLadder ladder(space, group, prefill);
    if (ladder.rungs() == 0) return least;
    for (int rung = 1; rung <= ladder.rungs(); ++rung) {
      const PlanRun run = run_plan(workshop.question(group), replica.get(), {ladder.size(rung).serving, prefill});
      const double usd = ladder.price(rung, {run.utilisation, run.prefill_utilisation}).usd_per_hour;
      if (run.met && (!least || usd < *least)) least = usd;
    }
  }
}

void check_against_exhaustive(const json& question) {
  CAPTURE(question.dump());
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  PlanWorkshop workshop(space, data(), {});
  std::optional<double> cheapest;
  for (std::size_t i = 0; i < space.candidates.size(); ++i) {
    CAPTURE(space.candidates[i].id);
    const auto least = exhaustive(space, i, workshop);
    if (least && (!cheapest || *least < *cheapest)) cheapest = least;
    if (answer.outcomes[i].plan) CHECK(answer.outcomes[i].plan->price.usd_per_hour == doctest::Approx(least.value_or(-1)));
    if (!least) CHECK_FALSE(answer.outcomes[i].plan.has_value());
    if (!least) CHECK(answer.outcomes[i].reason != "");
  }
  REQUIRE(answer.best.has_value() == cheapest.has_value());
  if (cheapest) CHECK(answer.outcomes[*answer.best].plan->price.usd_per_hour == doctest::Approx(*cheapest));
}

}  // namespace

TEST_CASE("the search of prefill and decode replicas finds what trying every pair finds") {
  RandomStream random(11, "test/pools");
  for (int i = 0; i < 6; ++i) {
    json pools = {{"prefill", {{"gpus", {i % 2 == 0 ? "l40s" : "h100-sxm"}}}}};
    if (i % 3 == 2) pools["prefill"]["parallel"] = {{{"tensor", 1}}, {{"tensor", 2}}};
    if (i == 4) pools["stay_below_tokens"] = 800;
    json question = pools_question(pools);
    question["workload"]["arrivals"]["rate"] = std::to_string(4 + random.below(24)) + " /s";
    question["workload"]["output_tokens"]["high"] = 30 + static_cast<int>(random.below(200));
    question["objectives"] = {{"ttft_p90", std::to_string(200 + random.below(1200)) + " ms"}, {"tpot_mean", std::to_string(24 + random.below(20)) + " ms"}};
    question["search"]["limits"]["gpus"] = 5 + static_cast<int>(random.below(5));
    question["search"]["pareto_up_to"] = 1.0;
    check_against_exhaustive(question);
  }
}

TEST_CASE("numbers of GPUs that may be bought bound both pools together") {
  json question = pools_question(json::object());
  question["search"]["counts"] = {3, 6, 9};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  REQUIRE(answer.best.has_value());
  const PlanSize& size = answer.outcomes[*answer.best].plan->size;
  CHECK((size.gpus == 3 || size.gpus == 6 || size.gpus == 9));
  CHECK(size.gpus - size.spare_gpus == size.serving + size.prefill.serving);  // one GPU each
  const PlanFigures& figures = *answer.outcomes[*answer.best].plan;
  const double busy = (figures.utilisation * (size.gpus - size.prefill.gpus) + figures.prefill_utilisation * size.prefill.gpus) / size.gpus;
  CHECK(result_of(space, answer)["plan"]["best"]["cost"]["gpu_busy"].get<double>() == doctest::Approx(busy));
  question["search"]["counts"] = {1};
  CHECK(answer_of(space_of(question)).outcomes[0].rejection == Rejection::kLimit);
}

TEST_CASE("bounds of both pools lie below what is simulated") {
  const PlanSpace space = space_of(pools_question(json::object()));
  PlanWorkshop workshop(space, data(), {});
  const CandidateReplica replica(workshop, 0, workshop.candidate_config(0));
  PlanQuestion question = workshop.question(space.groups[0]);
  question.objectives = {};
  for (const char* key : {"ttft_p90", "ttft_mean", "tpot_p50", "e2e_p90"}) {
    question.objectives.push_back({key, ObjectiveKind::kLatency, *latency_statistic(key), 100, {}});
  }
  const PlanBounds bounds = bound_plan(question, workshop.profile(space.groups[0]), replica.get());
  const PlanRun alone = run_plan(question, replica.get(), {100, 100});
  REQUIRE(alone.met);
  for (std::size_t i = 0; i < question.objectives.size(); ++i) {
    CAPTURE(question.objectives[i].key);
    CHECK(bounds.objectives[i] > 0.2 * *alone.objectives[i].value);
    CHECK(bounds.objectives[i] < *alone.objectives[i].value);
  }
  // fewer of either kind than bounded do not carry the load, however many there are of the other
  REQUIRE(bounds.prefill >= 2);
  CHECK_FALSE(run_plan(workshop.question(space.groups[0]), replica.get(), {100, bounds.prefill - 1}).met);
}

TEST_CASE("cost and power count both pools, each at the prices of its own GPUs") {
  json question = pools_question({{"prefill", {{"gpus", {"h100-sxm"}}}}});
  question["cost"] = {{"rental", {{"prices", {{"l40s", "1 USD/h"}, {"h100-sxm", "3 USD/h"}}}}}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  REQUIRE(answer.best.has_value());
  const PlanFigures& plan = *answer.outcomes[*answer.best].plan;
  CHECK(plan.price.usd_per_hour == doctest::Approx(3.0 * plan.size.prefill.gpus + 1.0 * (plan.size.gpus - plan.size.prefill.gpus)));
  CHECK(plan.price.load_w > 700.0 * plan.size.prefill.gpus);  // an H100's TDP alone
  const json result = result_of(space, answer);
  CHECK(result["cost"]["per_hour_usd"].get<double>() == doctest::Approx(plan.price.usd_per_hour));
  CHECK(result["pools"]["prefill"]["gpu"] == "h100-sxm");
  CHECK(result["pools"]["prefill"]["replicas"] == plan.size.prefill.serving);
  CHECK(result["pools"]["decode"]["replicas"] == plan.size.serving);
  CHECK(result["plan"]["best"]["prefill"]["replicas"] == plan.size.prefill.serving);
  CHECK(result["plan"]["best"]["gpus"] == plan.size.gpus);
  CHECK(result["scenario"]["cost"]["rental"]["prices"] == json{{"l40s", "1 USD/h"}, {"h100-sxm", "3 USD/h"}});
  // the plan's own figures and those of the full simulation are of the same deployment
  CHECK(result["latency"]["tpot_s"]["p90"].get<double>() == doctest::Approx(plan.latency[1].p90).epsilon(0.05));
  // a spare node for either pool
  question["search"]["reliability"] = {{"spare_nodes", 1}};
  question["search"]["limits"]["gpus"] = 64;
  const PlanAnswer spared = answer_of(space_of(question));
  REQUIRE(spared.best.has_value());
  const PlanSize& size = spared.outcomes[*spared.best].plan->size;
  CHECK(size.prefill.spare > 0);
  CHECK(size.spare > 0);
  CHECK(size.nodes >= 4);
}

TEST_CASE("a plan of pools is the same bytes on one thread and on four, and from a journal") {
  json question = pools_question({{"prefill", {{"gpus", {"l40s", "h100-sxm"}}, {"parallel", {{{"tensor", 1}}, {{"tensor", 2}}}}}}});
  question["search"]["features"]["disaggregation"].push_back("none");
  const PlanSpace space = space_of(question);
  ThreadExecutor one(1);
  ThreadExecutor four(4);
  const TemporaryFolder folder;
  PlanOptions options;
  options.executor = &one;
  const std::string expected = whole_answer(space, options);
  CHECK(json::parse(expected)["plan"]["features"][0]["feature"] == "disaggregation");
  options.executor = &four;
  CHECK(whole_answer(space, options) == expected);
  {
    PlanJournal journal(folder.path() / "j", space.inputs, 0);
    options.journal = &journal;
    options.executor = &one;
    int asked = 0;
    options.out_of_time = [&] { return ++asked > static_cast<int>(space.groups.size()) + 2; };
    CHECK_FALSE(answer_of(space, options).exhausted);
  }
  check_completed(space, options, folder.path() / "j", expected);
}

TEST_CASE("maintenance of pools in the calmest hour costs no more than at the peak") {
  json question = pools_question(json::object());
  json hours = json::array();
  for (int hour = 0; hour < 24; ++hour) hours.push_back(hour == 3 ? 0.2 : 1.0);
  question["search"]["load"] = {{"hourly", hours}};
  question["search"]["limits"]["gpus"] = 64;
  question["search"]["reliability"] = {{"maintenance_nodes", 1}};
  const PlanAnswer peak = answer_of(space_of(question));
  question["search"]["reliability"]["maintenance_off_peak"] = true;
  const PlanAnswer calm = answer_of(space_of(question));
  REQUIRE((peak.best && calm.best));
  CHECK(calm.outcomes[*calm.best].plan->price.usd_per_hour <= peak.outcomes[*peak.best].plan->price.usd_per_hour);
}

TEST_CASE("a deployment that keeps prefill apart is searched like that") {
  json question = pools_question(json::object());
  question["search"].erase("features");
  question["deployment"]["disaggregation"] = {{"prefill", {{"cluster", {{"gpu", "h100-sxm"}}}, {"replicas", 2}}}, {"decode", {{"replicas", 7}}}};
  const PlanSpace space = space_of(question);
  CHECK(space.features.empty());
  REQUIRE(space.groups[0].pools.has_value());
  CHECK(space.groups[0].pools->prefill.cluster.gpu.id == "h100-sxm");
  CHECK(space.groups[0].config.cluster.gpu.id == "l40s");
  CHECK(answer_of(space).best.has_value());
}
