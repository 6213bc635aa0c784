// What a plan says in words, and that it says the same as its numbers: hosted prices, power, minima, batches, ties, keys without effect.
#include <doctest/doctest.h>

#include <algorithm>

#include "study/error_model.hpp"
#include "support/plan_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using doctest::Approx;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const PlanFigures& best_of(const PlanAnswer& answer) {
  REQUIRE(answer.best.has_value());
  return *answer.outcomes[*answer.best].plan;
}

/// One candidate, one GPU a replica.
json single_question() {
  json question = small_question();
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  question["search"]["limits"]["gpus"] = 64;
  return question;
}

json hourly_peak(int hour, double peak, double other) {
  json hours = json::array();
  for (int h = 0; h < 24; ++h) hours.push_back(h == hour ? peak : other);
  return hours;
}

struct Answered {
  explicit Answered(const json& question, const ErrorModel* errors = nullptr)
      : space(space_of(question)), answer(answer_of(space)), report(report_plan(space, answer, {errors})), result(json::parse(plan_json(space, answer, report, data()))),
        summary(plan_summary(space, answer, report)) {
    CHECK(complaint_of([&] { parse_json(result.dump(), "result", std::filesystem::path(MOEPLAN_SOURCE_DIR) / "reports/schema/result.schema.json"); }) == "");
  }
  PlanSpace space;
  PlanAnswer answer;
  PlanReport report;
  json result;
  std::string summary;
};

const ErrorModel& errors() {
  static const ErrorModel model = load_error_model(data().error_model());
  return model;
}

}  // namespace

TEST_CASE("beside a hosted price a plan tells the mean load's answer first, then the sized one's, in the same words in JSON and summary") {
  json question = single_question();
  question["cost"] = {{"rental", "1 USD/h"}, {"api", {{"input", "1 USD/Mtok"}, {"output", "2 USD/Mtok"}}}};
  const json flat = Answered(question).result["cost"]["api"];
  CHECK_FALSE(flat.contains("at_mean_load"));
  CHECK(flat["text"].get<std::string>().starts_with("at 30 requests/s own GPUs cost "));

  question["search"]["load"] = {{"hourly", hourly_peak(14, 2.0, 0.5)}};
  const Answered a(question);
  const json& api = a.result["cost"]["api"];
  const json& mean = api["at_mean_load"];
  const double factor = (23 * 0.5 + 2) / 24;  // 0.5625
  CHECK(mean["load_factor"].get<double>() == Approx(factor));
  CHECK(mean["requests_per_s"].get<double>() == Approx(30 * factor));
  CHECK(mean["own_usd_per_hour"] == api["own_over_api"].get<double>() * api["usd_per_hour"].get<double>());  // rented: the same GPUs at any load
  CHECK(mean["usd_per_hour"].get<double>() == Approx(api["usd_per_hour"].get<double>() * factor / 2));
  CHECK(mean["own_over_api"].get<double>() == Approx(api["own_over_api"].get<double>() * 2 / factor));
  CHECK(mean["break_even_requests_per_s"].get<double>() == Approx(api["break_even_requests_per_s"].get<double>()));  // the load at which both cost that
  CHECK(mean["own_over_api"] == a.result["plan"]["best"]["cost"]["at_mean_load"]["api"]["own_over_api"]);
  const std::string text = api["text"], of_mean = mean["text"];
  CHECK(of_mean.starts_with("at the mean load (0.56 x the workload's), all replicas up: at 16.9 requests/s own GPUs cost "));
  CHECK(text.starts_with(of_mean + "; at the load that the plan is sized for: at 60 requests/s own GPUs cost "));
  CHECK(contains(a.summary, "hosted    " + of_mean + "\n            " + text.substr(of_mean.size() + 2) + "\n"));
}

TEST_CASE("power is given at the plugs and with PUE, and joules are counted from the latter") {
  json question = single_question();
  question["cost"] = {{"rental", "1 USD/h"}, {"power", {{"pue", 1.5}}}};
  const Answered a(question);
  const json& cost = a.result["plan"]["best"]["cost"];
  CHECK(cost["site_power_w"].get<double>() == Approx(1.5 * cost["power_w"].get<double>()));
  const double tokens_per_s = cost["usd_per_hour"].get<double>() / 3600 / cost["usd_per_million_output_tokens"].get<double>() * 1e6;
  CHECK(cost["joules_per_output_token"].get<double>() == Approx(cost["site_power_w"].get<double>() / tokens_per_s));
  CHECK(contains(a.summary, " at the plugs and "));
  CHECK(contains(a.summary, " with PUE 1.5: "));
  question["cost"]["power"]["pue"] = 1;
  CHECK(contains(Answered(question).summary, " at the plugs: "));
}

TEST_CASE("a minimum is a share of what is asked, a latency of what is allowed") {
  json question = single_question();
  question["objectives"] = {{"ttft_p90", "500 ms"}, {"requests_per_s", 20}};
  const std::string summary = Answered(question).summary;
  // 30 requests a second are offered and served
  CHECK(contains(summary, "30 /s  >= 20 /s     (150 % of what is asked)"));
  CHECK(contains(summary, "% of what is allowed)"));
  CHECK_FALSE(contains(summary, "(67 %"));
}

TEST_CASE("a batch bears no more load: its headroom is of throughput") {
  json question = single_question();
  question["workload"]["arrivals"] = {{"process", "batch"}};
  question["workload"].erase("warmup_requests");
  question["objectives"] = {{"output_tokens_per_s", 2000}};
  const Answered a(question);
  const json& headroom = a.result["plan"]["headroom"];
  CHECK(headroom["load_share"].is_null());
  CHECK(a.result["plan"]["headroom_share"].is_null());
  const double share = best_of(a.answer).objectives[0] / 2000 - 1;
  CHECK(share >= 0);
  CHECK(headroom["throughput_share"].get<double>() == Approx(share));
  CHECK(contains(a.summary, "there is no load to bear more of; it does "));
  CHECK_FALSE(contains(a.summary, "more load than that"));
}

TEST_CASE("keys of the search that change nothing are told") {
  json question = single_question();
  question["search"]["reliability"] = {{"spare_nodes", 1}, {"maintenance_off_peak", true}};
  question["search"]["limits"]["rack_power"] = "40 kW";
  const auto told = [&](const char* part) {
    const json warnings = Answered(question).result["warnings"];
    return std::any_of(warnings.begin(), warnings.end(), [&](const json& w) { return contains(w.get<std::string>(), part); });
  };
  const char* maintenance = "/search/reliability/maintenance_off_peak has no effect: no \"maintenance_nodes\" are stated";
  CHECK(told(maintenance));
  CHECK(told("/search/limits/rack_power has no effect: no \"racks\" are stated"));
  question["search"]["reliability"]["maintenance_nodes"] = 0;
  CHECK(told(maintenance));
  question["search"]["reliability"]["maintenance_nodes"] = 1;
  question["search"]["limits"]["racks"] = 9;
  CHECK_FALSE(told("has no effect"));
}

TEST_CASE("of equally cheap plans the one furthest from its bounds comes first, then the faster, the one that draws less, the first of the space") {
  json question = small_question();
  question["search"]["gpus"] = {"h100-sxm", "l40s"};
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  question["cost"] = {{"rental", "1 USD/h"}};
  const PlanSpace space = space_of(question);
  REQUIRE(space.candidates.size() == 4);  // two layouts on each of two GPUs
  PlanFigures plan = best_of(answer_of(space));
  plan.price = {10, 5000, 4000, 4000};
  PlanAnswer answer;
  answer.outcomes.resize(4);
  const auto set = [&](std::size_t i, double ttft_share, double tokens, double watts) {
    plan.objectives = {0.5 * space.objectives[0].bound, ttft_share * space.objectives[1].bound};
    plan.served.output_tokens = tokens;
    plan.price.mean_w = watts;
    answer.outcomes[i].plan = plan;
  };
  set(0, 0.9, 100, 4000);
  set(1, 0.8, 100, 4000);
  set(2, 0.8, 200, 4000);
  set(3, 0.8, 200, 3000);
  std::vector<std::size_t> order = {0, 1, 2, 3};
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return plan_rank(space, answer, a) < plan_rank(space, answer, b); });
  CHECK(order == std::vector<std::size_t>{3, 2, 1, 0});
  choose_plans(space, answer);
  CHECK(answer.best == 3);
  const std::vector<PlanChoice> choices = plan_choices(space, answer);
  CHECK(choices[0].candidate == 1);  // not the first of the space
  CHECK(choices[1].candidate == 3);
  answer.scenario = space.bases[0].scenario;
  const std::string summary = plan_summary(space, answer, {});
  CHECK(contains(summary, "as cheap, and as near its objectives"));
  set(1, 0.9, 100, 4000);
  CHECK(contains(plan_summary(space, answer, {}), "as cheap, but nearer its objectives: 90 % of what is allowed against 80 %"));
  // 0.6 % further, but the same number as printed.
  set(1, 0.8048, 100, 4000);
  set(3, 0.7999, 200, 3000);
  CHECK(contains(plan_summary(space, answer, {}), "as cheap, and as near its objectives"));
}

TEST_CASE("advice on 95 % where only stated numbers of GPUs may be bought is the next of them that does, or that none does") {
  json question = single_question();
  question["uncertainty"] = {{"samples", 8}, {"load_factor", {1.2, 1.5}}};  // more than the plan is sized for
  question["objectives"]["tpot_p90"] = "80 ms";
  const Answered free(question, &errors());
  const int planned = best_of(free.answer).size.gpus;
  REQUIRE(free.report.confidence->extra_gpus.value_or(0) > 0);
  const int needed = planned + *free.report.confidence->extra_gpus;

  question["search"]["counts"] = {planned, needed + 3, needed + 5};
  const Answered counted(question, &errors());
  CHECK(best_of(counted.answer).size.gpus == planned);
  CHECK(counted.result["plan"]["extra_gpus_95"] == needed + 3 - planned);
  CHECK(contains(counted.summary, std::to_string(needed + 3 - planned) + " GPUs more ("));

  question["search"]["counts"] = {planned};
  const Answered none(question, &errors());
  CHECK(none.result["plan"]["extra_gpus_95"].is_null());
  CHECK(none.result["plan"]["advice_95"] == "none of the numbers of GPUs that may be bought (search.counts) makes it 95 %");
  CHECK(contains(none.summary, "none of the numbers of GPUs that may be bought (search.counts) makes it 95 %"));
}

TEST_CASE("advice on 95 % names every limit that it would take the plan beyond, racks too") {
  json question = single_question();
  question["search"].erase("limits");
  const auto advice = [&](const char* limit, const json& value, int extra) {
    json limited = question;
    limited["search"]["limits"] = {{"gpus", 64}, {"rack_power", "4 kW"}, {"racks", 99}};  // a node of eight L40S of 350 W each: one to a rack
    limited["search"]["limits"][limit] = value;
    const PlanSpace space = space_of(limited);
    const PlanAnswer answer = answer_of(space);
    const PlanFigures& plan = best_of(answer);
    REQUIRE(plan.size.gpus == 3);
    PlanConfidence sure;
    sure.extra_gpus = extra;
    sure.counts = {plan.size.serving + extra, 0};
    sure.replicas = sure.counts.all();
    return advice_on_95(sure, space, space.groups[0], plan);
  };
  const PlanFigures plan = best_of(answer_of(space_of(question)));
  CHECK(advice("gpus", 5, 2) == "2 GPUs more (5 serving replicas) make it 95 %");
  CHECK(advice("gpus", 4, 2) == "2 GPUs more (5 serving replicas) make it 95 %, beyond limits.gpus");
  CHECK(advice("budget", std::to_string(1.7 * plan.price.usd_per_hour) + " USD/h", 2) == "2 GPUs more (5 serving replicas) make it 95 %");
  CHECK(advice("budget", std::to_string(1.5 * plan.price.usd_per_hour) + " USD/h", 2) == "2 GPUs more (5 serving replicas) make it 95 %, beyond limits.budget");
  CHECK(advice("power", std::to_string(1.7 * *plan.price.load_w) + " W", 2) == "2 GPUs more (5 serving replicas) make it 95 %");
  CHECK(advice("power", std::to_string(1.5 * *plan.price.load_w) + " W", 2) == "2 GPUs more (5 serving replicas) make it 95 %, beyond limits.power");
  // Eight GPUs fill a node, and with it a rack.
  CHECK(advice("racks", 1, 5) == "5 GPUs more (8 serving replicas) make it 95 %");
  CHECK(advice("racks", 1, 6) == "6 GPUs more (9 serving replicas) make it 95 %, beyond limits.racks");
  CHECK(advice("racks", 2, 6) == "6 GPUs more (9 serving replicas) make it 95 %");
}

TEST_CASE("the load that a plan is sized for is among its assumptions, with what makes it") {
  json question = single_question();
  const auto load_of = [&] {
    const Answered a(question);
    for (const json& assumption : a.result["plan"]["assumptions"]) {
      if (!assumption.get<std::string>().starts_with("load: ")) continue;
      CHECK(contains(a.summary, "  " + assumption.get<std::string>() + "\n"));
      return assumption.get<std::string>();
    }
    return std::string();
  };
  CHECK(load_of() == "");
  question["search"]["load"] = {{"peak_factor", 1.5}};
  CHECK(load_of() == "load: at most 1.50 x the workload's (peak_factor 1.5)");
  // 1.5 x 2 x 1.1 x 1.1
  question["search"]["load"] = {{"peak_factor", 1.5}, {"hourly", hourly_peak(14, 2.0, 0.5)}, {"growth_per_month", 0.1}, {"months", 2}};
  CHECK(load_of() == "load: at most 3.63 x the workload's (2 x the mean in the busiest hour, peak_factor 1.5, +10 % a month for 2 months)");
  question["search"]["load"] = {{"growth_per_month", -0.1}, {"months", 1}};
  CHECK(load_of() == "load: at most 1.00 x the workload's (-10 % a month for 1 month)");
}

TEST_CASE("where less may arrive than a minimum asks for, that is said, and not that more replicas would do") {
  json question = single_question();
  question["objectives"] = {{"ttft_p90", "500 ms"}, {"goodput", 29}};
  question["uncertainty"] = {{"samples", 8}, {"load_factor", {0.5, 1.0}}};  // 15 to 30 requests a second
  const Answered a(question, &errors());
  CHECK(a.report.confidence->uncertainty.beyond_offer > 0.8);
  CHECK(a.result["plan"]["extra_gpus_95"].is_null());
  CHECK(contains(a.summary, " % of the draws less arrives than a throughput objective asks for"));
  CHECK(contains(a.summary, a.result["plan"]["advice_95"].get<std::string>()));
}

TEST_CASE("the probability and the intervals of a plan tell the same") {
  json question = single_question();
  question["uncertainty"] = {{"samples", 40}};
  question["objectives"] = {{"ttft_p90", "500 ms"}, {"requests_per_s", 29}};
  // 29 of the 30 requests a second that arrive are served in the long run, though fewer end in the window of a short run
  const auto check = [&](const char* key, const char* metric, bool upper) {
    const Answered a(question, &errors());
    const json& interval = a.result["intervals"][metric];
    double bound = 0;
    for (const json& o : a.result["objectives"]) {
      if (o["objective"] == key) bound = o["bound"];
    }
    const double p = a.result["plan"]["probability_met"];
    // an 80 % interval leaves 10 % of the samples on either side; 2 of 40 for rounding
    if (upper ? interval["high"].get<double>() <= bound : interval["low"].get<double>() >= bound) CHECK(p >= 0.85);
    if (p >= 0.95) CHECK((upper ? interval["high"].get<double>() <= bound : interval["low"].get<double>() >= bound));
    if (upper ? interval["low"].get<double>() > bound : interval["high"].get<double>() < bound) CHECK(p <= 0.15);
    return p;
  };
  question["search"]["counts"] = {16};  // ample
  CHECK(check("ttft_p90", "ttft.p90", true) >= 0.95);
  CHECK(check("requests_per_s", "objective.requests_per_s", false) >= 0.95);
  question["objectives"].erase("requests_per_s");
  question["search"].erase("counts");
  check("ttft_p90", "ttft.p90", true);
}

TEST_CASE("layouts that a limit, a count, a budget or the power leaves no room for are rejected with that reason") {
  json question = small_question();
  question["search"]["parallel"] = "auto";  // up to tensor 8, pipeline 4
  const auto kinds_of = [&](const json& limits, const json& counts, const std::string& part) {
    question["search"]["limits"] = limits;
    question["search"].erase("counts");
    if (!counts.is_null()) question["search"]["counts"] = counts;
    const Answered answered(question);
    std::size_t told = 0;
    std::size_t wide = 0;
    for (const json& r : answered.result["plan"]["rejected"]) {
      wide += r["candidate"]["gpus_per_replica"] >= 8 ? 1U : 0U;
      told += r["kind"] == "limits" && contains(r["reason"], part) ? 1U : 0U;
    }
    CHECK(wide > 0);
    CHECK(answered.result["plan"]["rejections"]["limits"].get<std::size_t>() == told);
    CHECK(contains(answered.summary, std::to_string(told) + "  limits\n"));
    return told;
  };
  const std::size_t by_gpus = kinds_of({{"gpus", 4}}, nullptr, "beyond the 4 GPUs of limits.gpus");
  CHECK(by_gpus > 0);
  CHECK(kinds_of(json::object(), {2, 4}, "may be bought") == by_gpus);
  CHECK(kinds_of({{"budget", "4 USD/h"}}, nullptr, "beyond limits.budget of 4.00 USD/h") > 0);
  CHECK(kinds_of({{"power", "2 kW"}}, nullptr, "beyond limits.power of 2.0 kW") > 0);
}

TEST_CASE("the summary has the Pareto front, and the intervals of the objectives") {
  json question = small_question();
  question["search"]["gpus"] = {"l40s", "h100-sxm", "a100-sxm-80"};
  question["search"]["pareto_up_to"] = 3;
  question["uncertainty"] = {{"samples", 8}};
  const Answered answered(question, &errors());
  REQUIRE(answered.answer.pareto.size() >= 2);
  const std::string& text = answered.summary;
  const std::size_t front = text.find("Pareto front: what paying more buys, up to 3 x its cost\n");
  REQUIRE(front != std::string::npos);
  std::size_t row = text.find('\n', text.find('\n', front) + 1) + 1;
  double cost = 0;
  for (const json& plan : answered.result["plan"]["pareto"]) {
    const std::string line = text.substr(row, text.find('\n', row) - row);
    CAPTURE(line);
    const double usd = std::stod(line);
    CHECK(usd == Approx(plan["cost"]["usd_per_hour"].get<double>()).epsilon(0.01));
    CHECK(usd >= cost);
    CHECK(contains(line, plan["gpu"].get<std::string>()));
    CHECK(contains(line, " % of "));
    cost = usd;
    row += line.size() + 1;
  }
  CHECK(text.substr(row, 1) == "\n");
  const json& interval = answered.result["intervals"]["tpot.p90"];
  const Objective& tpot = answered.space.objectives[answered.space.objectives[0].key == "tpot_p90" ? 0 : 1];
  CHECK(contains(text, "; 80 % between " + objective_value_text(tpot, interval["low"]) + " and " + objective_value_text(tpot, interval["high"]) + ")"));
  question["search"]["gpus"] = {"l40s"};
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["search"]["schedulers"] = {{{"max_batch_requests", 64}}};
  CHECK(contains(Answered(question).summary, "Pareto front: the plan alone; none up to 3 x its cost is better in latency, throughput or power\n"));
}

TEST_CASE("an objective out of reach is told before layouts that the limits have no room for, which nobody has looked at") {
  json question = small_question();
  question["objectives"] = {{"e2e_p50", "10 ms"}};
  question["search"]["parallel"] = {{{"tensor", 1}}, {{"tensor", 8}}};
  question["search"]["limits"] = {{"gpus", 4}};
  const std::string text = Answered(question).summary;
  CHECK(contains(text, "2  limits\n"));
  CHECK(contains(text, "the one that came furthest, llama-3.1-8b/"));
  CHECK(contains(text, "/t1-p1-e1-d1/"));
  CHECK(contains(text, ": e2e_p50"));
}

TEST_CASE("values of objectives are written without powers of ten") {
  Objective o;
  o.kind = ObjectiveKind::kOutputTokensPerSecond;
  CHECK(objective_value_text(o, 11832.4) == "11832 /s");
  CHECK(objective_value_text(o, 102.04) == "102 /s");
  CHECK(objective_value_text(o, 2500) == "2500 /s");
  o.kind = ObjectiveKind::kLatency;
  CHECK(objective_value_text(o, 0.0357) == "35.7 ms");
  CHECK(objective_value_text(o, 2) == "2 s");
}

TEST_CASE("GPUs that are paid for and hold no replica are told") {
  json question = single_question();
  question["cost"] = {{"owned", {{"capex", "200000 USD"}, {"years", 4}}}};
  const Answered bought(question);
  const PlanSize& size = best_of(bought.answer).size;
  REQUIRE(size.gpus > size.serving);
  CHECK(contains(bought.summary, "  idle      " + std::to_string(size.gpus - size.serving) + " GPU"));
  CHECK_FALSE(contains(Answered(single_question()).summary, "  idle "));
}
