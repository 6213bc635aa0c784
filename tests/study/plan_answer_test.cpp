// What a plan's answer says: money and energy at the load they belong to, spares, bought nodes, why there is none.
#include <doctest/doctest.h>

#include <cstdlib>

#include "study/error_model.hpp"
#include "study/steady_load.hpp"
#include "support/plan_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using doctest::Approx;

namespace {

const PlanFigures& best_of(const PlanAnswer& answer) {
  REQUIRE(answer.best.has_value());
  return *answer.outcomes[*answer.best].plan;
}

std::string summary_of(const PlanSpace& space, const PlanAnswer& answer) { return plan_summary(space, answer, report_plan(space, answer, {})); }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

json hourly_peak(int hour, double peak, double other) {
  json hours = json::array();
  for (int h = 0; h < 24; ++h) hours.push_back(h == hour ? peak : other);
  return hours;
}

/// One candidate, one GPU a replica.
json single_question() {
  json question = small_question();
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  return question;
}

}  // namespace

TEST_CASE("a spare node takes no more GPUs than a spread of replicas needs, also where the number of GPUs is fixed") {
  json question = single_question();
  const int serving = best_of(answer_of(space_of(question))).size.serving;
  REQUIRE(serving >= 3);
  question["search"]["reliability"] = {{"spare_nodes", 1}};
  question["search"]["limits"]["gpus"] = 64;
  // one replica more, each on a node of its own
  CHECK(best_of(answer_of(space_of(question))).size.gpus == serving + 1);
  question["search"]["counts"] = {serving + 1};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  CHECK(best_of(answer).size.serving == serving);
  CHECK(contains(summary_of(space, answer), "replicas are spread over " + std::to_string(serving + 1) + " nodes: one that fails takes 1 of "));
  // bought nodes are bought whole: what is left must lie on one of two nodes
  question["search"].erase("counts");
  question["cost"] = {{"owned", {{"capex", "200000 USD"}, {"years", 4}}}};
  const PlanFigures bought = best_of(answer_of(space_of(question)));
  CHECK(bought.size.nodes == 2);
  CHECK(bought.size.gpus % bought.size.nodes == 0);
  CHECK(bought.price.usd_per_hour == Approx(2 * 200000.0 / 4 / 8766));
}

TEST_CASE("limits hold while nothing has failed, too: then spares draw power") {
  json question = single_question();
  question["search"]["reliability"] = {{"spare_nodes", 1}};
  const PlanFigures plan = best_of(answer_of(space_of(question)));
  REQUIRE(plan.size.spare > 0);
  const double spares_idle = plan.price.load_w.value();
  question["search"]["limits"]["power"] = std::to_string(spares_idle + 1) + " W";
  CHECK_FALSE(answer_of(space_of(question)).best.has_value());
  question["search"]["limits"]["power"] = std::to_string(2 * spares_idle) + " W";
  CHECK(best_of(answer_of(space_of(question))).size.gpus == plan.size.gpus);
}

TEST_CASE("a bought plan of one GPU pays for its node") {
  json question = single_question();
  question["workload"]["arrivals"]["rate"] = "2 /s";
  question["cost"] = {{"owned", {{"capex", "87660 USD"}, {"years", 5}}}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  CHECK(best_of(answer).size.serving == 1);
  CHECK(best_of(answer).price.usd_per_hour == Approx(2));  // 87,660 over 43,830 hours
  CHECK(result_of(space, answer)["cost"]["per_hour_usd"].get<double>() == Approx(2));
}

TEST_CASE("cost per request and per token of a plan do not depend on the length of its run") {
  json question = single_question();
  question["cost"] = {{"rental", "1 USD/h"}};
  question["search"]["counts"] = {8};  // the same purchase
  const auto priced = [&](int requests, int warmup) {
    question["workload"]["requests"] = requests;
    question["workload"]["warmup_requests"] = warmup;
    const PlanSpace space = space_of(question);
    return result_of(space, answer_of(space));
  };
  const json brief = priced(330, 30);
  const json lasting = priced(6000, 600);
  // 8 USD/h over 30 requests a second
  CHECK(brief["plan"]["best"]["cost"]["usd_per_request"].get<double>() == Approx(8.0 / 3600 / 30));
  for (const char* key : {"usd_per_request", "usd_per_million_output_tokens", "usd_per_million_input_tokens"}) {
    CHECK(brief["plan"]["best"]["cost"][key].get<double>() == Approx(lasting["plan"]["best"]["cost"][key].get<double>()).epsilon(0.02));
  }
  for (const char* key : {"per_request_usd", "per_million_output_tokens_usd"}) CHECK(brief["cost"][key].get<double>() == Approx(lasting["cost"][key].get<double>()).epsilon(0.02));
  CHECK(brief["cost"]["per_request_usd"].get<double>() == Approx(brief["plan"]["best"]["cost"]["usd_per_request"].get<double>()));
}

TEST_CASE("what is served in the long run is what is offered, unless the deployment does not keep up") {
  WorkloadConfig w;
  w.arrivals.rate = 10;
  ThroughputSummary measured{8, 800, 2400, 0, 9.5, false};
  const MeanLengths lengths{100, 50};
  CHECK(served_rates(w, lengths, measured, true).requests == 10);
  CHECK(served_rates(w, lengths, measured, true).output_tokens == 500);
  CHECK(served_rates(w, lengths, measured, true).input_tokens == 1000);
  CHECK(served_rates(w, lengths, measured, false).requests == 8);  // some were turned away
  measured.too_short = true;
  CHECK(served_rates(w, lengths, measured, true).requests == 8);  // not known to keep up
  CHECK(*offered_rate(w, measured) == 10);
  measured.too_short = false;
  measured.saturated = true;
  CHECK(served_rates(w, lengths, measured, true).output_tokens == 800);
  measured.saturated = false;
  w.arrivals.hourly_factors.assign(24, 1.0);
  CHECK(served_rates(w, lengths, measured, true).requests == 9.5);  // of the hours simulated
  measured.offered_per_s.reset();
  CHECK(served_rates(w, lengths, measured, true).requests == 8);  // a closed loop
  CHECK_FALSE(offered_rate(w, measured));
}

TEST_CASE("money and energy are given at the load that is sized for and at the mean of the period") {
  json question = single_question();
  question["search"]["load"] = {{"hourly", hourly_peak(14, 2.0, 0.5)}};
  question["search"]["limits"]["gpus"] = 64;
  question["cost"] = {{"rental", "1 USD/h"}, {"api", {{"input", "1 USD/Mtok"}, {"output", "2 USD/Mtok"}}}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  const json result = result_of(space, answer);
  const json cost = result["plan"]["best"]["cost"];
  // What the GPUs bear: the load they are sized for and the headroom.
  const json& api = result["cost"]["api"];
  const double bear = cost["requests_per_s"].get<double>() * (1 + result["plan"]["headroom"]["load_share"].get<double>());
  CHECK(api["largest_requests_per_s"].get<double>() == Approx(bear));
  // The mean is 0.5625 of the workload's load, the peak twice that: as a mean load they bear 0.5625 / 2 as much.
  CHECK(api["at_mean_load"]["largest_requests_per_s"].get<double>() == Approx(bear * 0.5625 / 2));
  CHECK(api["break_even_served"] == (api["break_even_requests_per_s"].get<double>() <= bear));
  CHECK(result["cost"]["served"]["requests_per_s"] == cost["requests_per_s"]);
  const json& mean = cost["at_mean_load"];
  CHECK(cost["load_factor"] == 2.0);
  CHECK(mean["load_factor"].get<double>() == Approx((23 * 0.5 + 2) / 24));
  // the same GPUs, so that tokens cost more in proportion as there are fewer
  CHECK(mean["usd_per_hour"] == cost["usd_per_hour"]);
  const double ratio = 2.0 / ((23 * 0.5 + 2) / 24);
  CHECK(mean["usd_per_million_output_tokens"].get<double>() == Approx(ratio * cost["usd_per_million_output_tokens"].get<double>()));
  CHECK(mean["usd_per_request"].get<double>() == Approx(ratio * cost["usd_per_request"].get<double>()));
  CHECK(mean["power_w"] < cost["power_w"]);
  CHECK(mean["joules_per_output_token"] > cost["joules_per_output_token"]);
  CHECK(mean["api"]["own_over_api"].get<double>() == Approx(mean["usd_per_hour"].get<double>() / mean["api"]["usd_per_hour"].get<double>()));
  const std::string summary = summary_of(space, answer);
  CHECK(contains(summary, "at the load it is sized for (2.00 x the workload's): "));
  CHECK(contains(summary, "at the mean load (0.56 x the workload's), all replicas up: "));
  CHECK(contains(summary, "the mean load needs "));
}

TEST_CASE("without a profile of the load there is one load, and no talk of a mean") {
  const PlanSpace space = space_of(single_question());
  const PlanAnswer answer = answer_of(space);
  const json plan = result_of(space, answer)["plan"];
  const json& cost = plan["best"]["cost"];
  CHECK(cost["at_mean_load"]["usd_per_million_output_tokens"] == cost["usd_per_million_output_tokens"]);
  CHECK_FALSE(plan["headroom"].contains("replicas_at_mean_load"));
  const std::string summary = summary_of(space, answer);
  CHECK_FALSE(contains(summary, "mean load"));
  CHECK_FALSE(contains(summary, " 1 GPUs"));
  CHECK_FALSE(contains(summary, " 0 %"));
}

TEST_CASE("power that is not known wins nothing") {
  const ParetoPoint known{10, 1, -5, 100.0};
  const ParetoPoint unknown{10, 1, -5, std::nullopt};
  CHECK_FALSE(unknown.dominates(known));
  CHECK_FALSE(known.dominates(unknown));
  CHECK(ParetoPoint{9, 1, -5, std::nullopt}.dominates(known));  // cheaper, and power is not compared
  CHECK(ParetoPoint{10, 1, -5, 90.0}.dominates(known));
  CHECK_FALSE(ParetoPoint{9, 1, -5, 110.0}.dominates(known));
  const PlanFigures dark;
  CHECK_FALSE(dark.price.mean_w.has_value());
  CHECK_FALSE(pareto_point(dark, {}).watts.has_value());
  CandidateOutcome outcome;
  outcome.plan = dark;
  CHECK_FALSE(CandidateOutcome::from_text(outcome.to_text()).plan->price.mean_w.has_value());
}

TEST_CASE("a rack that cannot feed one node holds none") {
  json question = small_question();
  question["search"]["limits"] = {{"racks", 1}, {"rack_power", "1 kW"}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  REQUIRE_FALSE(answer.best.has_value());
  CHECK(contains(no_plan_text(space, answer), "beyond limits.rack_power of 1.0 kW"));
}

TEST_CASE("without a plan the candidate that came nearest is told, not the first one") {
  json question = small_question();
  question["search"]["gpus"] = {"l40s", "h100-sxm"};
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  question["search"]["limits"]["gpus"] = 1;
  question["workload"]["arrivals"]["rate"] = "200 /s";
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  REQUIRE_FALSE(answer.best.has_value());
  // of 200 requests/s one L40S serves less than one H100 of four times its bandwidth
  REQUIRE(answer.outcomes[0].rejection == answer.outcomes[1].rejection);
  CHECK(answer.outcomes[1].miss < answer.outcomes[0].miss);
  CHECK(contains(no_plan_text(space, answer), "the one that came furthest, llama-3.1-8b/hgx-h100"));
  const json plan = json::parse(plan_json(space, answer, report_plan(space, answer, {nullptr, 1, [](double) {}}), data()))["plan"];
  CHECK((plan["best"].is_null() && plan["probability_met"].is_null() && plan["extra_gpus_95"].is_null()));
}

TEST_CASE("a short run of a load that is carried does not buy more than a long one") {
  json question = single_question();
  question["workload"]["output_tokens"] = {{"distribution", "fixed"}, {"value", 400}};
  question["objectives"] = {{"tpot_p90", "60 ms"}};
  question["search"]["limits"]["gpus"] = 64;
  const auto gpus = [&](int requests) {
    question["workload"]["requests"] = requests;
    return best_of(answer_of(space_of(question))).size.gpus;
  };
  const int lasting = gpus(4000);
  CHECK(std::abs(gpus(330) - lasting) <= 1);
}

TEST_CASE("an unknown name is refused where it stands") {
  const auto complaint = [](const char* key, json names) {
    json question = small_question();
    question["search"][key] = std::move(names);
    return complaint_of([&] { space_of(question); });
  };
  CHECK(contains(complaint("gpus", {"l40s", "h100-sxn"}), "s.json: /search/gpus/1: unknown GPU 'h100-sxn'"));
  CHECK(contains(complaint("nodes", {"hgx-h10"}), "/search/nodes/0: unknown node"));
  CHECK(contains(complaint("models", {"llama-3.1-8"}), "/search/models/0: unknown model"));
  CHECK(contains(complaint("engines", {"vlm"}), "/search/engines/0: unknown engine"));
  CHECK(contains(complaint("features", {{"disaggregation", {{{"prefill", {{"gpus", {"h100-sxn"}}}}}}}}), "/search/features/disaggregation/0/prefill/gpus/0: unknown GPU"));
}

TEST_CASE("an interval holds the value that it belongs to, also where the load may only be higher") {
  json question = single_question();
  question["uncertainty"] = {{"samples", 8}, {"load_factor", {1.2, 1.5}}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  const ErrorModel errors = load_error_model(data().error_model());
  const json result = result_of(space, answer, &errors);
  for (const char* metric : {"ttft", "tpot", "e2e"}) {
    for (const char* statistic : {"mean", "p50", "p90"}) {
      const json& interval = result["intervals"][std::string(metric) + "." + statistic];
      const double value = result["latency"][std::string(metric) + "_s"][statistic];
      CHECK(interval["low"].get<double>() <= value);
      CHECK(interval["high"].get<double>() >= value);
    }
  }
  REQUIRE(result["plan"].contains("extra_gpus_95"));
}

TEST_CASE("where no number of replicas is sure, the extra GPUs are null and not left out") {
  json question = single_question();
  // a token takes about as long as one may, however many replicas: slower kernels alone break it
  question["workload"]["arrivals"]["rate"] = "1 /s";
  question["objectives"] = {{"tpot_p50", "1 s"}};
  const double alone = best_of(answer_of(space_of(question))).objectives[0];
  question["objectives"] = {{"tpot_p50", std::to_string(alone * 1.02 * 1e3) + " ms"}};
  question["uncertainty"] = {{"samples", 8}};
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  const ErrorModel errors = load_error_model(data().error_model());
  const json plan = result_of(space, answer, &errors)["plan"];
  REQUIRE(plan.contains("extra_gpus_95"));
  CHECK(plan["extra_gpus_95"].is_null());
}
