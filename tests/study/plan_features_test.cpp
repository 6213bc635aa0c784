// What a plan says of prefix cache, speculation and prefill apart: beside searches that know only one choice of each.
#include "study/plan_features.hpp"

#include <doctest/doctest.h>

#include "study/plan_feature_report.hpp"
#include "support/plan_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

json features_question() {
  json question = small_question();
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  question["search"]["features"] = {{"speculation", {"none", {{"draft_tokens", 2}, {"acceptance", 0.9}}}}, {"disaggregation", {json::object(), "none"}}};
  return question;
}

double best_usd(const json& question) {
  const PlanAnswer answer = answer_of(space_of(question));
  return answer.best ? answer.outcomes[*answer.best].plan->price.usd_per_hour : -1;
}

}  // namespace

TEST_CASE("every combination of features is searched, and each is worth what searches without the other choices find") {
  const json question = features_question();
  const PlanSpace space = space_of(question);
  CHECK(space.bases.size() == 4);
  CHECK(space.candidates.size() == 8);  // two layouts each
  const PlanAnswer answer = answer_of(space);
  const auto findings = feature_findings(space, answer);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].baseline == "none");
  CHECK(findings[1].baseline == "none");  // though it is named second
  for (std::size_t f = 0; f < findings.size(); ++f) {
    for (std::size_t v = 0; v < findings[f].values.size(); ++v) {
      const FeatureWorth& worth = findings[f].values[v];
      CAPTURE(worth.value);
      json alone = question;
      alone["search"]["features"][findings[f].feature] = {question["search"]["features"][findings[f].feature][v]};
      REQUIRE(worth.best.has_value());
      CHECK(answer.outcomes[*worth.best].plan->price.usd_per_hour == doctest::Approx(best_usd(alone)));
      CHECK(worth.candidates == 4);
    }
  }
  const json told = result_of(space, answer)["plan"]["features"];
  CHECK(told[0]["feature"] == "speculation");
  CHECK(told[0]["choices"][1]["value"] == "mtp 2");
  const double without = told[0]["choices"][0]["usd_per_hour"], with = told[0]["choices"][1]["usd_per_hour"];
  CHECK(told[0]["choices"][1]["saves_usd_per_hour"].get<double>() == doctest::Approx(without - with));
  CHECK(told[0]["choices"][1]["pays"] == (with < without));
  CHECK_FALSE(told[0]["choices"][0].contains("pays"));
  CHECK(plan_summary(space, answer, report_plan(space, answer, {})).find("what features are worth") != std::string::npos);
}

TEST_CASE("a feature without which nothing does pays, and one that leaves no plan does not") {
  json question = features_question();
  question["search"]["features"] = {{"speculation", {"none", {{"draft_tokens", 3}, {"acceptance", 1}}, {{"draft_tokens", 8}, {"acceptance", 0}}}}};
  question["search"]["parallel"] = {{{"tensor", 1}}};
  // 16 GB of weights at 864 GB/s take 18.6 ms a step: 12 ms a token is out of reach for one token a step, not for four
  question["objectives"] = {{"tpot_p50", "12 ms"}};
  const PlanSpace space = space_of(question);
  const auto worth = feature_findings(space, answer_of(space))[0].values;
  CHECK_FALSE(worth[0].best.has_value());
  CHECK(worth[1].pays);
  CHECK(worth[1].text.find("without it there is no plan") != std::string::npos);
  CHECK_FALSE(worth[2].pays);
  CHECK(worth[2].text.find("no plan with it") != std::string::npos);
}

TEST_CASE("without choices of features nothing is said of them, and ids stay as they were") {
  const PlanSpace space = space_of(small_question());
  CHECK(space.features.empty());
  const json plan = result_of(space, answer_of(space))["plan"];
  CHECK_FALSE(plan.contains("features"));
  CHECK_FALSE(plan["best"].contains("features"));
  CHECK(plan["best"]["id"].get<std::string>().find("/bf16-kv_bf16/r") != std::string::npos);
}

TEST_CASE("a prefix cache has its own router and room, and choices that are wrong get one line") {
  json question = small_question();
  question["search"]["features"] = {{"prefix_cache", {false, {{"router", "prefix_aware"}, {"kv_tiers", {{"host_memory", "100 GB"}, {"host_bandwidth", "20 GB/s"}}}}}}};
  const PlanSpace space = space_of(question);
  CHECK(space.features[0].values[1] == "on, prefix_aware router, host memory");
  CHECK_FALSE(space.bases[0].scenario.deployment.features.prefix_cache);
  CHECK(space.bases[1].scenario.deployment.features.prefix_cache);
  CHECK(space.bases[1].scenario.deployment.features.kv_tiers.has_value());
  CHECK(space.bases[1].scenario.router == RequestRouting::kPrefixAware);
  const auto complaint = [](json choices) {
    json wrong = small_question();
    wrong["search"]["features"] = std::move(choices);
    return complaint_of([&] { space_of(wrong); });
  };
  CHECK(complaint({{"prefix_cache", {true, true}}}).find("is the choice 'on' again") != std::string::npos);
  CHECK(complaint({{"speculation", {"mtp"}}}) != "");
  CHECK(complaint({{"disaggregation", {{{"prefill", {{"parallel", "all"}}}}}}}).find("\"auto\", a layout or an array") != std::string::npos);
  CHECK(complaint({{"disaggregation", {{{"prefill", {{"gpus", {"h100-sxn"}}}}}}}}).find("did you mean 'h100-sxm'") != std::string::npos);
  CHECK(complaint({{"cache", {true}}}) != "");
}
