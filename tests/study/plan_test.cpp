// The plan search on spaces so small that every size of every candidate can be simulated beside it.
#include "study/plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/random.hpp"
#include "input/json_document.hpp"
#include "study/error_model.hpp"
#include "study/plan_bounds.hpp"
#include "study/plan_journal.hpp"
#include "study/plan_report.hpp"
#include "study/simulation.hpp"
#include "support/input_error.hpp"
#include "support/plan_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Every size of one candidate, simulated from one replica upwards: the cost of the smallest that meets the objectives; nothing when none does.
std::optional<double> exhaustive(const PlanSpace& space, std::size_t index) {
  const PlanCandidate& c = space.candidates[index];
  const PlanGroup& group = space.groups[c.group];
  if (!group.refusal.empty()) return std::nullopt;
  DeploymentConfig config = group.config;
  config.scheduler = c.scheduler;
  const Deployment deployment(config);
  if (!deployment.memory().plan.fits) return std::nullopt;
  const Scenario& base = space.bases[group.base].scenario;
  const PlanQuestion question = plan_question(base, load_factors(space.search.load, base.workload).peak);
  const PlanLadder ladder(space, group);
  for (int rung = 1; rung <= ladder.rungs(); ++rung) {
    const PlanRun run = run_plan(question, {config, deployment.memory().plan, deployment.cost()}, ladder.size(rung).serving);
    if (run.met) return ladder.price(rung, {run.utilisation, 0}).usd_per_hour;
  }
  return std::nullopt;
}

/// The search's answer against the exhaustive one.
void check_against_exhaustive(const json& question) {
  CAPTURE(question.dump());
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  std::optional<double> least;
  for (std::size_t i = 0; i < space.candidates.size(); ++i) {
    CAPTURE(space.candidates[i].id);
    const auto cost = exhaustive(space, i);
    if (cost && (!least || *cost < *least)) least = cost;
    // a candidate's own smallest plan, where the search looked for it
    if (answer.outcomes[i].plan) CHECK(answer.outcomes[i].plan->price.usd_per_hour == doctest::Approx(cost.value_or(-1)));
    if (!cost) CHECK_FALSE(answer.outcomes[i].plan.has_value());
  }
  REQUIRE(answer.best.has_value() == least.has_value());
  if (least) CHECK(answer.outcomes[*answer.best].plan->price.usd_per_hour == doctest::Approx(*least));
  CHECK(answer.exhausted);
}

}  // namespace

TEST_CASE("the search finds what trying every size of every candidate finds") {
  check_against_exhaustive(small_question());
}

TEST_CASE("branch and bound is sound on random small spaces") {
  RandomStream random(7, "test/plan");
  const std::vector<std::string> gpus = {"l40s", "a100-sxm-80", "h100-sxm", "rtx-4090"};
  for (int i = 0; i < 6; ++i) {
    json question = small_question();
    question["search"]["gpus"] = {gpus[random.below(2)], gpus[2 + random.below(2)]};
    question["search"]["parallel"] = {{{"tensor", 1 << random.below(2)}}, {{"tensor", 2}, {"pipeline", 1 + static_cast<int>(random.below(2))}}};
    question["search"]["pareto_up_to"] = 1.0;
    question["workload"]["arrivals"]["rate"] = std::to_string(5 + random.below(60)) + " /s";
    question["workload"]["prompt_tokens"]["high"] = 200 + static_cast<int>(random.below(2000));
    question["workload"]["output_tokens"]["high"] = 30 + static_cast<int>(random.below(150));
    question["objectives"] = {{"ttft_p90", std::to_string(80 + random.below(1500)) + " ms"}, {"tpot_mean", std::to_string(8 + random.below(40)) + " ms"}};
    question["search"]["limits"]["gpus"] = 4 + static_cast<int>(random.below(12));
    check_against_exhaustive(question);
  }
}

TEST_CASE("analytic bounds lie below what is simulated, for a dense and for a sparse model") {
  for (const char* model : {"llama-3.1-8b", "qwen3-30b-a3b"}) {
    json question = small_question();
    question["model"] = model;
    question["cluster"] = {{"gpu", "h100-sxm"}};
    question["search"]["parallel"] = {{{"tensor", 2}, {"expert", model[0] == 'q' ? 2 : 1}}};
    question["objectives"] = {{"ttft_p90", "100 s"}, {"tpot_mean", "100 s"}, {"tpot_p50", "100 s"}, {"e2e_p90", "100 s"}, {"ttft_mean", "100 s"}};
    const PlanSpace space = space_of(question);
    const FirstReplica first(space);
    const PlanReplica& replica = first.replica;
    const PlanQuestion asked = plan_question(space.bases[0].scenario, 1);
    const PlanBounds bounds = bound_plan(asked, profile_workload(asked), replica);
    CHECK(bounds.problem == "");
    const PlanRun alone = run_plan(asked, replica, 300);  // a replica for every request
    REQUIRE(alone.met);
    for (std::size_t i = 0; i < asked.objectives.size(); ++i) {
      CAPTURE(asked.objectives[i].key);
      CHECK(bounds.objectives[i] > 0.3 * *alone.objectives[i].value);  // a bound that says something
      CHECK(bounds.objectives[i] < *alone.objectives[i].value);
    }
    CHECK(bounds.replicas <= smallest_plan(asked, replica, [](int n) { return n; }, 1, 300).rung.value_or(1000));
  }
}

TEST_CASE("a run that meets the objectives while the machine still fills up is made longer before that counts") {
  // 60 requests over 2 s, of which each takes about one.
  json question = small_question();
  question["workload"]["requests"] = 60;
  question["workload"]["warmup_requests"] = 0;
  question["objectives"] = {{"ttft_p50", "500 ms"}, {"tpot_p50", "40 ms"}};
  const PlanSpace space = space_of(question);
  const FirstReplica first(space);
  Scenario scenario = space.bases[0].scenario;
  scenario.deployment = first.config;
  scenario.replicas = 4;
  const PlanRun run = run_plan(plan_question(scenario, 1), first.replica, 4);
  CHECK(run.met);
  CHECK(run.requests > 60);
  CHECK_FALSE(run.short_window);
  scenario.workload.requests = run.requests;
  CHECK_FALSE(run_scenario(scenario, {}).throughput->saturated);
}

TEST_CASE("a run that is given up early has the verdict of the whole run") {
  const PlanSpace space = space_of(small_question());
  const FirstReplica first(space);
  for (const int replicas : {1, 2, 3, 5}) {
    Scenario scenario = space.bases[0].scenario;
    scenario.deployment = first.config;
    scenario.replicas = replicas;
    const PlanRun run = run_plan(plan_question(scenario, 1), first.replica, replicas);
    scenario.workload.requests = run.requests;
    const Result whole = run_scenario(scenario, {});
    const bool met = std::all_of(whole.objectives.begin(), whole.objectives.end(), [](const ObjectiveResult& o) { return o.met; }) && !whole.throughput->saturated;
    CHECK(run.met == met);
    if (run.met) CHECK(run.objectives[0].value == whole.objectives[0].value);
  }
}

TEST_CASE("every candidate is the best, on the front, or rejected with a reason") {
  json question = small_question();
  question["search"]["gpus"] = {"l40s", "h100-sxm"};
  question["search"]["engines"] = {"vllm", "trtllm"};
  question["search"]["precision"] = {"bf16", "nvfp4", {{"weights", "fp8"}, {"kv_cache", "nvfp4"}}};
  question["search"]["parallel"] = {{{"tensor", 1}}, {{"tensor", 3}}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  const json result = result_of(space, answer);
  std::set<std::string> seen;
  for (const json& c : result["plan"]["pareto"]) seen.insert(c["id"].get<std::string>());
  CHECK(seen.count(result["plan"]["best"]["id"].get<std::string>()) == 1);
  std::set<std::string> kinds;
  for (const json& r : result["plan"]["rejected"]) {
    CHECK(seen.insert(r["candidate"]["id"].get<std::string>()).second);
    CHECK(r["reason"].get<std::string>() != "");
    kinds.insert(r["kind"].get<std::string>());
  }
  CHECK(seen.size() == space.candidates.size());
  CHECK(result["plan"]["candidates"] == space.candidates.size());
  CHECK(kinds.count("layout") == 1);
  CHECK(kinds.count("engine support") == 1);
  // what the engine forbids is said with the matrix's source
  const auto& rejected = result["plan"]["rejected"];
  const auto forbidden = std::find_if(rejected.begin(), rejected.end(), [](const json& r) { return r["kind"] == "engine support"; });
  CHECK((*forbidden)["reason"].get<std::string>().find("support matrix of") != std::string::npos);
}

TEST_CASE("no plan on the front is beaten in cost, latency, throughput and power by any plan") {
  json question = small_question();
  question["search"]["gpus"] = {"l40s", "h100-sxm", "a100-sxm-80"};
  question["search"]["pareto_up_to"] = 3;
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  const auto& objectives = space.bases[0].scenario.objectives;
  REQUIRE(answer.pareto.size() >= 2);
  CHECK(answer.pareto.front() == *answer.best);
  for (std::size_t k = 1; k < answer.pareto.size(); ++k) {
    const ParetoPoint point = pareto_point(*answer.outcomes[answer.pareto[k]].plan, objectives);
    for (const CandidateOutcome& other : answer.outcomes) {
      if (other.plan) CHECK_FALSE(pareto_point(*other.plan, objectives).dominates(point));
    }
  }
}

TEST_CASE("the answer is the same bytes on one thread and on four, and from a journal") {
  json question = small_question();
  question["search"]["gpus"] = {"l40s", "h100-sxm"};
  const PlanSpace space = space_of(question);
  ThreadExecutor one(1);
  ThreadExecutor four(4);
  const TemporaryFolder folder;
  PlanOptions options;
  options.executor = &one;
  const std::string expected = whole_answer(space, options);
  options.executor = &four;
  CHECK(whole_answer(space, options) == expected);
  {
    // ended by its time budget after two groups
    PlanJournal journal(folder.path() / "j", space.inputs, 0);
    options.journal = &journal;
    options.executor = &one;
    int asked = 0;
    options.out_of_time = [&] { return ++asked > static_cast<int>(space.groups.size()) + 2; };
    const PlanAnswer cut = answer_of(space, options);
    CHECK_FALSE(cut.exhausted);
    CHECK(std::any_of(cut.outcomes.begin(), cut.outcomes.end(), [](const CandidateOutcome& o) { return o.rejection == Rejection::kUnfinished; }));
  }
  check_completed(space, options, folder.path() / "j", expected);
}

TEST_CASE("limits bound what is bought, and counts say what can be") {
  json question = small_question();
  const PlanAnswer free = answer_of(space_of(question));
  REQUIRE(free.best.has_value());
  const PlanFigures& plan = *free.outcomes[*free.best].plan;
  SUBCASE("a count") {
    question["search"]["counts"] = {1, plan.size.gpus + 1, 12};
    const PlanAnswer counted = answer_of(space_of(question));
    REQUIRE(counted.best.has_value());
    CHECK(counted.outcomes[*counted.best].plan->size.gpus == plan.size.gpus + 1);
  }
  SUBCASE("a budget below the plan") {
    question["search"]["limits"] = {{"budget", std::to_string(plan.price.usd_per_hour * 0.99) + " USD/h"}};
    const PlanSpace space = space_of(question);
    const PlanAnswer none = answer_of(space);
    CHECK_FALSE(none.best.has_value());
    CHECK(no_plan_text(space, none).find("limits.budget") != std::string::npos);
  }
  SUBCASE("power for one node less") {
    question["search"]["limits"] = {{"power", "200 W"}};
    const PlanAnswer dark = answer_of(space_of(question));
    CHECK_FALSE(dark.best.has_value());
    CHECK(dark.outcomes[0].rejection == Rejection::kLimit);
  }
}

TEST_CASE("N+1 buys the replicas of a node more, and the objectives hold without it") {
  json question = small_question();
  const PlanAnswer plain = answer_of(space_of(question));
  question["search"]["reliability"] = {{"spare_nodes", 1}};
  const PlanSpace space = space_of(question);
  const PlanAnswer spare = answer_of(space);
  REQUIRE(spare.best.has_value());
  const PlanFigures& with = *spare.outcomes[*spare.best].plan;
  const PlanFigures& without = *plain.outcomes[*plain.best].plan;
  CHECK(with.size.spare > 0);
  CHECK(with.price.usd_per_hour > without.price.usd_per_hour);
  CHECK(with.size.nodes >= 2);
  REQUIRE(spare.headroom.has_value());
  REQUIRE(spare.headroom->outages.has_value());
  CHECK(spare.headroom->outages->availability > 0.99);
  REQUIRE(spare.headroom->all_up.has_value());
  CHECK(spare.headroom->all_up->objectives[1] <= with.objectives[1] * 1.02);  // not slower with more replicas up
}

TEST_CASE("maintenance in the calmest hour leaves enough replicas, and costs no more than at the peak") {
  json question = small_question();
  json hours = json::array();
  for (int hour = 0; hour < 24; ++hour) hours.push_back(hour == 3 ? 0.1 : 1.0);
  question["search"]["load"] = {{"hourly", hours}};
  question["search"]["limits"]["gpus"] = 64;
  question["search"]["reliability"] = {{"maintenance_nodes", 1}};
  const PlanAnswer peak = answer_of(space_of(question));
  question["search"]["reliability"]["maintenance_off_peak"] = true;
  const PlanAnswer calm = answer_of(space_of(question));
  question["search"].erase("reliability");
  const PlanAnswer none = answer_of(space_of(question));
  REQUIRE((peak.best && calm.best && none.best));
  const PlanFigures& plan = *calm.outcomes[*calm.best].plan;
  // what a node takes away of replicas evenly spread over the plan's nodes leaves one for a tenth of the load
  const int all = plan.size.serving + plan.size.spare;
  CHECK(all - (all + plan.size.nodes - 1) / plan.size.nodes >= 1);
  CHECK(plan.price.usd_per_hour < peak.outcomes[*peak.best].plan->price.usd_per_hour);
  CHECK(plan.price.usd_per_hour >= none.outcomes[*none.best].plan->price.usd_per_hour);
}

TEST_CASE("in calm hours only its share of a stated throughput is asked: no machine serves more than arrives") {
  json question = small_question();
  json hours = json::array();
  for (int hour = 0; hour < 24; ++hour) hours.push_back(hour == 3 ? 0.1 : 0.9);
  question["search"]["load"] = {{"hourly", hours}, {"peak_factor", 1.5}};
  question["search"]["limits"]["gpus"] = 64;
  question["search"]["reliability"] = {{"maintenance_nodes", 1}, {"maintenance_off_peak", true}};
  const PlanAnswer plain = answer_of(space_of(question));
  question["objectives"]["requests_per_s"] = 29;  // of 30, at the workload's own load
  const PlanAnswer asked = answer_of(space_of(question));
  REQUIRE((plain.best && asked.best));
  CHECK(asked.outcomes[*asked.best].plan->size.replicas() == plain.outcomes[*plain.best].plan->size.replicas());
  REQUIRE((plain.headroom && asked.headroom));
  CHECK(plain.headroom->replicas_at_mean < plain.outcomes[*plain.best].plan->size.serving);
  CHECK(asked.headroom->replicas_at_mean == plain.headroom->replicas_at_mean);
}

TEST_CASE("objectives of a single class decide the size, too") {
  json question = small_question();
  question["objectives"] = {{"ttft_p50", "500 ms"}};
  question["workload"].erase("prompt_tokens");
  question["workload"].erase("output_tokens");
  question["workload"]["classes"] = {{{"name", "short"}, {"weight", 1}, {"prompt_tokens", {{"distribution", "fixed"}, {"value", 100}}}, {"output_tokens", {{"distribution", "fixed"}, {"value", 20}}}},
                                     {{"name", "long"}, {"weight", 1}, {"prompt_tokens", {{"distribution", "fixed"}, {"value", 4000}}}, {"output_tokens", {{"distribution", "fixed"}, {"value", 20}}}}};
  const PlanAnswer loose = answer_of(space_of(question));
  question["objectives"]["classes"] = {{"short", {{"ttft_p90", "150 ms"}}}};
  const PlanSpace space = space_of(question);
  const PlanAnswer tight = answer_of(space);
  REQUIRE((loose.best && tight.best));
  const PlanFigures& plan = *tight.outcomes[*tight.best].plan;
  CHECK(plan.price.usd_per_hour > loose.outcomes[*loose.best].plan->price.usd_per_hour);
  const json best = result_of(space, tight)["plan"]["best"];
  CHECK(best["objectives"][1]["key"] == "short.ttft_p90");
  CHECK(best["objectives"][1]["value"].get<double>() <= 0.15);
  // the class has too few requests for its percentile, though all together have enough
  question["objectives"]["classes"]["short"] = {{"ttft_p95", "150 ms"}};
  CHECK(complaint_of([&] { space_of(question); }).find("short.ttft_p95 needs 200 measured requests of its class") != std::string::npos);
}

TEST_CASE("measured points correct the candidates that they were measured on, and those alone") {
  json question = small_question();
  question["search"]["parallel"] = {{{"tensor", 1}}, {{"tensor", 2}}};
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "runs.csv";
  // one GPU under load of 8 clients: 60 ms a token, about three times what a weight read of 16 GB at 864 GB/s takes
  std::ofstream(file) << "id,suite,model,gpu,gpus,engine,engine_version,tp,ep,pp,dp,weights,kv_cache,mode,concurrency,request_rate_per_s,isl,osl,length_low,ttft_ms,tpot_ms,itl_ms,"
                         "output_tok_s,quality,source,notes\n"
                         "a,t,llama-3.1-8b,l40s,1,vllm,,1,1,1,1,bf16,,closed,8,,256,32,0.8,,60,,,A,,\n";
  question["objectives"] = {{"tpot_p50", "50 ms"}};
  const PlanSpace space = lay_out_plan(parse_json(question.dump(), "s.json", data().schema("scenario")), fs::path(MOEPLAN_SOURCE_DIR) / "scenarios", data(), file);
  const PlanAnswer plain = answer_of(space);
  PlanOptions options;
  options.anchors = file;
  const PlanAnswer anchored = answer_of(space, options);
  CHECK(plain.outcomes[0].plan.has_value());
  CHECK_FALSE(anchored.outcomes[0].plan.has_value());  // 60 ms a token and more
  CHECK(anchored.outcomes[0].key == "tpot_p50");
  REQUIRE((plain.outcomes[1].plan && anchored.outcomes[1].plan));
  CHECK(anchored.outcomes[1].plan->objectives == plain.outcomes[1].plan->objectives);
  CHECK(anchored.best == std::size_t{1});
  CHECK_FALSE(anchored.anchors.has_value());  // the plan itself has none
  // with room for it the corrected candidate is bought, and the answer says by what it was corrected
  question["objectives"] = {{"tpot_p50", "200 ms"}};
  question["search"]["parallel"] = {{{"tensor", 1}}};
  const PlanSpace roomy = lay_out_plan(parse_json(question.dump(), "s.json", data().schema("scenario")), fs::path(MOEPLAN_SOURCE_DIR) / "scenarios", data(), file);
  const PlanAnswer corrected = answer_of(roomy, options);
  REQUIRE(corrected.best.has_value());
  REQUIRE(corrected.anchors.has_value());
  CHECK(corrected.outcomes[0].plan->objectives[0] > 0.05);
  CHECK(result_of(roomy, corrected).contains("anchors"));
  const std::string summary = plan_summary(roomy, corrected, report_plan(roomy, corrected, {}));
  CHECK(summary.find("anchors\n  1 measured row of " + roomy.candidates[*corrected.best].id + ": ") != std::string::npos);
  CHECK(summary.find("largest error ") != std::string::npos);
  CHECK(summary.find("candidates without measured rows of their own are not corrected") != std::string::npos);
  CHECK(plan_summary(space, anchored, report_plan(space, anchored, {})).find("anchors\n") == std::string::npos);
}

TEST_CASE("growth and the busiest hour are planned for, and the months say when which part is needed") {
  json question = small_question();
  question["search"]["load"] = {{"growth_per_month", 0.3}, {"months", 3}, {"peak_factor", 1.2}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  REQUIRE(answer.best.has_value());
  CHECK(answer.factors.peak == doctest::Approx(1.2 * 2.197));
  CHECK(answer.scenario.workload.arrivals.rate == doctest::Approx(30 * 1.2 * 2.197));
  REQUIRE(answer.headroom->months.size() == 4);
  CHECK(answer.headroom->months.front().replicas < answer.headroom->months.back().replicas);
  CHECK(answer.headroom->months.back().replicas <= answer.outcomes[*answer.best].plan->size.serving);
}

TEST_CASE("wrong and contradictory questions get one clear line") {
  const auto complaint = [](const json& question) { return complaint_of([&] { space_of(question); }); };
  const auto says = [&](const json& question, const char* part) {
    const std::string text = complaint(question);
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  json q = small_question();
  q.erase("objectives");
  says(q, "a plan needs objectives");
  q = small_question();
  q["objectives"] = {{"ttft_p99", "1 s"}};
  says(q, "ttft_p99 needs 1000 measured requests (10 beyond the percentile), but 330 - 30 of warm-up leave 300; state at least 1030 requests");
  q["objectives"] = {{"requests_per_s", 31}};
  says(q, "asks for 31 /s, but the workload offers 30 requests/s");
  q = small_question();
  q["search"]["gpus"] = {"h100-sxn"};
  says(q, "did you mean 'h100-sxm'");
  q["search"]["gpus"] = {"h100-sxm", "h100-sxm"};
  says(q, "/search/gpus/1: 'h100-sxm' stands there twice");
  q = small_question();
  q["search"]["precision"] = {"fp9"};
  says(q, "unknown precision 'fp9'");
  q = small_question();
  q["search"]["schedulers"] = "best";
  says(q, "\"auto\" or an array");
  q = small_question();
  q["search"]["load"] = {{"months", 3}};
  says(q, "growth_per_month");
  q = small_question();
  q["search"]["gpus"] = {"gaudi3"};
  says(q, "no rental price");
  q = small_question();
  q["workload"]["arrivals"] = {{"process", "batch"}};
  q["search"]["load"] = {{"peak_factor", 2}};
  says(q, "a batch has no rate");
  q = small_question();
  q["search"]["gpu"] = {"l40s"};
  says(q, "'gpus'");
}

TEST_CASE("an objective out of reach at any size is told as that, and an unknown price, too") {
  json q = small_question();
  q["objectives"]["tpot_p90"] = "1 ms";
  const PlanSpace fast = space_of(q);
  const PlanAnswer answer = answer_of(fast);
  CHECK_FALSE(answer.best.has_value());
  CHECK(answer.simulated == 0);
  CHECK(no_plan_text(fast, answer).find("objective out of reach at any size") != std::string::npos);
  CHECK(no_plan_text(fast, answer).find("however many replicas there are; the objective is 1 ms") != std::string::npos);
  CHECK(plan_summary(fast, answer, report_plan(fast, answer, {})).find("no plan: all 4 candidates are rejected for one reason") != std::string::npos);
  q = small_question();
  q["search"]["gpus"] = {"gaudi3", "l40s"};
  const PlanSpace priced = space_of(q);
  const PlanAnswer partly = answer_of(priced);
  CHECK(partly.best.has_value());
  CHECK(std::any_of(partly.outcomes.begin(), partly.outcomes.end(), [](const CandidateOutcome& o) { return o.rejection == Rejection::kPrice; }));
}

TEST_CASE("a plan says how sure it is, and what being sure costs") {
  json q = small_question();
  q["uncertainty"] = {{"samples", 8}};
  const PlanSpace space = space_of(q);
  const PlanAnswer answer = answer_of(space);
  const ErrorModel errors = load_error_model(data().error_model());
  const json plan = result_of(space, answer, &errors)["plan"];
  const double probability = plan["probability_met"];
  CHECK(probability >= 0);
  CHECK(probability <= 1);
  REQUIRE(plan.contains("extra_gpus_95"));
  if (!plan["extra_gpus_95"].is_null()) CHECK((plan["extra_gpus_95"] == 0) == (probability >= 0.95));
}

TEST_CASE("automatic layouts divide the model, and attention is copied for sparse models only") {
  const PlanSpace dense = space_of(small_question());
  const auto layouts = automatic_layouts(dense.groups[0].config.model, dense.groups[0].config.cluster.node);
  CHECK(std::any_of(layouts.begin(), layouts.end(), [](const ParallelLayout& l) { return l.pipeline == 2; }));
  CHECK(std::none_of(layouts.begin(), layouts.end(), [](const ParallelLayout& l) { return l.attention_data > 1 || l.expert > 1; }));
  json q = small_question();
  q["model"] = "mixtral-8x7b";
  const PlanSpace sparse = space_of(q);
  const auto more = automatic_layouts(sparse.groups[0].config.model, sparse.groups[0].config.cluster.node);
  CHECK(std::any_of(more.begin(), more.end(), [](const ParallelLayout& l) { return l.attention_data == 4 && l.expert == 8; }));
  CHECK(std::all_of(more.begin(), more.end(), [](const ParallelLayout& l) { return l.gpus() <= 32; }));
}

TEST_CASE("answers recorded in a trace can be longer, too, their prompts with them") {
  json question = small_question();
  const json recorded = {{"distribution", "trace"}, {"file", "traces/sharegpt_300.csv"}};
  question["workload"]["prompt_tokens"] = recorded;
  question["workload"]["output_tokens"] = recorded;
  question["search"]["parallel"] = {{{"tensor", 1}}};
  const PlanAnswer answer = answer_of(space_of(question));
  REQUIRE(answer.headroom.has_value());
  const auto& tested = answer.headroom->assumptions;
  CHECK(std::any_of(tested.begin(), tested.end(), [](const PlanHeadroom::Assumption& a) { return a.text == "answers 15 % longer"; }));
}
