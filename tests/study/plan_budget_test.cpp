// A plan search whose time is limited: what it leaves out, what it says of that, and that its journal completes it.
#include <doctest/doctest.h>

#include <set>

#include "study/error_model.hpp"
#include "study/plan_journal.hpp"
#include "support/plan_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;

TEST_CASE("a time budget ends a run at once, and the assessment of the plan that was found") {
  const PlanSpace space = space_of(small_question());
  int asked = 0;
  PlanQuestion question = plan_question(space.bases[0].scenario, 1, [&] { return ++asked > 3; });
  const FirstReplica first(space);
  question.workload.requests = 100'000;  // some hundred thousand steps, asked about every thousand
  CHECK_THROWS_AS(run_plan(question, first.replica, 16), OutOfTime);
  CHECK(asked == 4);

  // over once all groups are done with
  class Counted final : public PlanStatus {
   public:
    void finished(const std::string& group, std::size_t) override { groups_.insert(group); }
    std::set<std::string> groups_;
  } status;
  ThreadExecutor one(1);
  const TemporaryFolder folder;
  PlanOptions options;
  options.executor = &one;
  const std::string expected = whole_answer(space, options);
  options.status = &status;
  options.out_of_time = [&] { return status.groups_.size() == space.groups.size(); };
  PlanReportOptions late;
  late.too_late = [] { return true; };
  {
    PlanJournal journal(folder.path() / "j", space.inputs, 0);
    options.journal = &journal;
    const PlanAnswer cut = answer_of(space, options);
    CHECK(cut.exhausted);
    REQUIRE(cut.best.has_value());
    CHECK_FALSE(cut.headroom.has_value());
    CHECK(cut.not_assessed == std::vector<std::string>{"headroom", "assumptions"});
    const ErrorModel errors = load_error_model(data().error_model());
    late.errors = &errors;
    late.out_of_time = options.out_of_time;
    const PlanReport report = report_plan(space, cut, late);
    CHECK_FALSE(report.confidence.has_value());
    const json result = json::parse(plan_json(space, cut, report, data()));
    CHECK(complaint_of([&] { parse_json(result.dump(), "result", fs::path(MOEPLAN_SOURCE_DIR) / "reports/schema/result.schema.json"); }) == "");
    CHECK(result["plan"]["not_assessed"] == json({"headroom", "assumptions", "full simulation", "confidence"}));
    CHECK(result["latency"].is_null());
    CHECK(result["objectives"][0]["value"] == result["plan"]["best"]["objectives"][0]["value"]);
    CHECK(plan_summary(space, cut, report, "--resume here").find("NOT ASSESSED: headroom, assumptions, full simulation, confidence: the time budget ended first; --resume here completes the answer") !=
          std::string::npos);
  }
  check_completed(space, options, folder.path() / "j", expected);
}

TEST_CASE("what was found out of headroom and confidence is kept, and the answer is the same bytes") {
  json question = small_question();
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["uncertainty"] = {{"samples", 8}, {"load_factor", {1.5, 2}}};
  const PlanSpace space = space_of(question);
  const ErrorModel errors = load_error_model(data().error_model());
  ThreadExecutor one(1);
  const TemporaryFolder folder;
  /// The answer, and how often runs asked for the time.
  const auto whole = [&] {
    PlanJournal journal(folder.path() / "j", space.inputs, 0);
    int asked = 0;
    PlanOptions options;
    options.executor = &one;
    options.journal = &journal;
    options.out_of_time = [&] {
      ++asked;
      return false;
    };
    PlanReportOptions reported;
    reported.errors = &errors;
    reported.jobs = 1;
    reported.out_of_time = options.out_of_time;
    reported.journal = &journal;
    const PlanAnswer answer = answer_of(space, options);
    const std::string text = plan_json(space, answer, report_plan(space, answer, reported), data());
    return std::pair(text, asked);
  };
  const auto [first, asked_first] = whole();
  const auto [again, asked_again] = whole();
  CHECK(again == first);
  CHECK(asked_again < asked_first / 4);
}

TEST_CASE("where the time suffices for the probability alone, nothing is said of the GPUs for 95 %") {
  json question = small_question();
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["uncertainty"] = {{"samples", 8}, {"load_factor", {1.5, 2}}};  // more than the plan is sized for
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  const ErrorModel errors = load_error_model(data().error_model());
  PlanReportOptions options;
  options.errors = &errors;
  double done = 0;
  options.progress = [&](double share) { done = share; };
  options.out_of_time = [&] { return done == 1; };
  options.jobs = 1;
  const PlanReport report = report_plan(space, answer, options);
  REQUIRE(report.confidence.has_value());
  CHECK(report.not_assessed == std::vector<std::string>{"GPUs for 95 %"});
  const json plan = json::parse(plan_json(space, answer, report, data()))["plan"];
  CHECK(plan["probability_met"].is_number());
  CHECK_FALSE(plan.contains("extra_gpus_95"));
  CHECK(plan_summary(space, answer, report).find("make it 95 %") == std::string::npos);
}
