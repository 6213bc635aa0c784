// What is not known, drawn: strata, widths, stated ranges, the probability that objectives are met.
#include "study/uncertainty.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "study/uncertain_inputs.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using nlohmann::json;

namespace {

/// Llama 3.1 8B on one H100, 40 requests at 2 per second.
json small() {
  return {{"model", "llama-3.1-8b"},
          {"cluster", {{"gpu", "h100-sxm"}, {"gpus", 1}}},
          {"deployment", {{"engine", "vllm"}}},
          {"workload",
           {{"arrivals", {{"process", "poisson"}, {"rate", "2 /s"}}},
            {"prompt_tokens", {{"distribution", "fixed"}, {"value", 256}}},
            {"output_tokens", {{"distribution", "fixed"}, {"value", 16}}},
            {"requests", 40}}}};
}

/// Nothing is uncertain but what the scenario states and the arrivals.
ErrorModel exact() {
  ErrorModel e;
  e.step_dense = e.step_moe = e.first_token_dense = e.first_token_moe = e.weak_kernels = e.host_per_step_s = e.request_latency = 0;
  return e;
}

Uncertainty assessed(const json& text, const ErrorModel& errors, int samples = 16, int jobs = 0, bool sensitivity = false) {
  const Scenario scenario = resolved(text);
  UncertaintyOptions options;
  options.samples = samples;
  options.jobs = jobs;
  options.sensitivity = sensitivity;
  return assess(scenario, errors, options);
}

double relative_width(const Uncertainty& u, const std::string& metric) {
  const Interval& i = u.intervals.at(metric);
  return i.high / i.low - 1;
}

}  // namespace

TEST_CASE("a Latin hypercube meets every stratum of every input once, and draws inputs by name") {
  const InputDistribution rate{InputKind::kRate, "rate", "workload", "", true, 0, 0.0, 10.0};
  const InputDistribution load{InputKind::kLoad, "load", "workload", "", true, 0, 0.0, 10.0};
  const auto design = latin_hypercube({rate, load}, 10, 1);
  for (const std::size_t input : {0U, 1U}) {
    std::vector<int> strata;
    for (const auto& sample : design) strata.push_back(static_cast<int>(sample[input]));
    std::sort(strata.begin(), strata.end());
    CHECK(strata == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }
  const auto alone = latin_hypercube({load}, 10, 1);
  for (std::size_t i = 0; i < 10; ++i) CHECK(alone[i][0] == design[i][1]);
}

TEST_CASE("a normal factor lies between exp(-1.28 sd) and exp(1.28 sd) in its middle 80 %, a shift has mean 0") {
  const InputDistribution factor{InputKind::kStep, "f", "calibration", "", false, 0.1, 1, 1};
  CHECK(factor.at(0.9) == doctest::Approx(std::exp(0.12816)).epsilon(1e-3));
  CHECK(factor.at(0.5) == doctest::Approx(1));
  const InputDistribution shift{InputKind::kHost, "h", "calibration", "", false, 1e-3, 1, 1};
  CHECK(shift.at(0.5) == doctest::Approx(0));
  CHECK(shift.at(0.1) == doctest::Approx(-1.2816e-3).epsilon(1e-3));
}

TEST_CASE("wider errors give wider intervals, and what is uncertain is listed with its source") {
  ErrorModel narrow = exact(), wide = exact();
  narrow.step_dense = 0.05;
  wide.step_dense = 0.3;
  narrow.source = wide.source = "a fit";
  const Uncertainty a = assessed(small(), narrow), b = assessed(small(), wide);
  CHECK(relative_width(b, "tpot.mean") > 2 * relative_width(a, "tpot.mean"));
  // 80 % of a normal of 0.3 and more: exp(2 x 1.28 x 0.3) = 2.2 times, but for the host time and the roofline, which no factor moves.
  CHECK(relative_width(b, "tpot.mean") > 0.4);
  CHECK(relative_width(b, "tpot.mean") < 1.6);
  const auto step = std::find_if(b.inputs.begin(), b.inputs.end(), [](const UncertainInput& i) { return i.name == "all kernels, time factor"; });
  REQUIRE(step != b.inputs.end());
  CHECK(step->source == "a fit");
  CHECK(step->high == doctest::Approx(std::exp(1.2816 * 0.3)).epsilon(0.01));
  CHECK(b.inputs.back().kind == "seed");
}

TEST_CASE("the same scenario gives the same samples on one thread and on two") {
  const Uncertainty one = assessed(small(), ErrorModel{}, 16, 1), two = assessed(small(), ErrorModel{}, 16, 2);
  CHECK(one.metrics == two.metrics);
  CHECK(one.met == two.met);
}

TEST_CASE("the probability is the share of samples that meet all objectives at once") {
  json text = small();
  CHECK(assessed(text, ErrorModel{}).probability_met == 1);
  text["objectives"] = {{"tpot_p99", "10 s"}, {"ttft_p99", "100 s"}};
  CHECK(assessed(text, ErrorModel{}).probability_met == 1);
  text["objectives"]["tpot_p99"] = "1 us";
  CHECK(assessed(text, ErrorModel{}).probability_met == 0);
  // At the median of the samples about half of them meet it.
  text["objectives"] = json::object();
  Uncertainty u = assessed(text, ErrorModel{});
  std::vector<double> tpot = u.metrics.at("tpot.mean");
  std::sort(tpot.begin(), tpot.end());
  text["objectives"] = {{"tpot_mean", std::to_string(tpot[7] * 1e3 + 1e-4) + " ms"}};
  u = assessed(text, ErrorModel{});
  CHECK(u.probability_met == doctest::Approx(0.5).epsilon(0.01));
  CHECK(std::count(u.met.begin(), u.met.end(), true) == 8);
}

TEST_CASE("a sharpened probability is that of many samples, from few, on any number of threads") {
  json text = small();
  const Uncertainty free = assessed(text, ErrorModel{}, 64);
  const auto middle = [&](const char* metric) {
    std::vector<double> values = free.metrics.at(metric);
    std::sort(values.begin(), values.end());
    return std::to_string(values[44] * 1e3) + " ms";
  };
  text["objectives"] = {{"tpot_p99", middle("tpot.p99")}, {"ttft_p99", middle("ttft.p99")}};  // 70 % meet each
  const double many = assessed(text, ErrorModel{}, 400).probability_met;  // itself good to 2.5 points
  CHECK(many > 0.2);
  CHECK(many < 0.9);
  const Scenario scenario = resolved(text);
  UncertaintyOptions options;
  options.samples = 16;
  options.sharpen = true;
  options.jobs = 1;
  const Uncertainty one = assess(scenario, ErrorModel{}, options);
  // 16 plain ones: sqrt(0.5 x 0.5 / 16) = 12 points.
  REQUIRE(one.probability_error.has_value());
  CHECK(*one.probability_error < 0.06);
  CHECK(std::abs(one.probability_met - many) < 0.08);
  CHECK(one.tried > 16);
  CHECK(one.tried <= 40);
  CHECK(one.metrics == assessed(text, ErrorModel{}, 16).metrics);  // intervals rest on the same samples
  options.jobs = 2;
  const Uncertainty two = assess(scenario, ErrorModel{}, options);
  CHECK(two.probability_met == one.probability_met);
  CHECK(two.tried == one.tried);
  // What decides is whether it is sure enough: far from that few draws tell.
  options.jobs = 0;
  CHECK(probability_of_meeting(scenario, ErrorModel{}, options, one.scores, 0.95) < 0.95);
  CHECK(probability_of_meeting(scenario, ErrorModel{}, options, one.scores, 0.05) > 0.05);
}

TEST_CASE("the error of first tokens moves them and what contains them, nothing else") {
  ErrorModel first = exact();
  first.first_token_dense = 0.3;
  const Uncertainty with = assessed(small(), first), without = assessed(small(), exact());
  CHECK(with.metrics.at("tpot.mean") == without.metrics.at("tpot.mean"));
  CHECK(with.metrics.at("throughput.requests_per_s") == without.metrics.at("throughput.requests_per_s"));
  for (std::size_t i = 0; i < 16; ++i) {
    const double factor = with.metrics.at("ttft.p50")[i] / without.metrics.at("ttft.p50")[i];
    CHECK(with.metrics.at("ttft.p99")[i] == doctest::Approx(factor * without.metrics.at("ttft.p99")[i]));
    CHECK(with.metrics.at("e2e.mean")[i] - without.metrics.at("e2e.mean")[i] == doctest::Approx((factor - 1) * without.metrics.at("ttft.mean")[i]));
  }
  json text = small();
  text["objectives"] = {{"ttft_p99", std::to_string(1e3 * without.intervals.at("ttft.p99").high) + " ms"}};
  CHECK(assessed(text, first).probability_met < 0.9);
}

TEST_CASE("stated ranges of load, lengths and routing are drawn, and each alone moves what it must") {
  json text = small();
  text["uncertainty"] = {{"samples", 12}, {"level", 0.6}, {"rate", {"1 /s", "3 /s"}}, {"output_tokens_factor", {0.5, 2.0}}, {"prompt_tokens_factor", {1.0, 1.0}}};
  const Uncertainty u = assessed(text, exact(), 0, 0, true);
  CHECK(u.samples == 12);
  CHECK(u.level == 0.6);
  const auto named = [&](const std::string& name) { return std::any_of(u.inputs.begin(), u.inputs.end(), [&](const UncertainInput& i) { return i.name == name; }); };
  CHECK(named("request rate, per second"));
  CHECK(named("output lengths, factor"));
  CHECK_FALSE(named("prompt lengths, factor"));  // a range of one value is no uncertainty
  CHECK(relative_width(u, "throughput.requests_per_s") > 0.2);
  const std::vector<InputEffect>& effects = u.sensitivity.at("e2e.p99");
  CHECK(effects.front().input == "output lengths, factor");
  CHECK(effects.front().high_value > effects.front().low_value);
  CHECK(json::parse(uncertainty_json(u)).at("sensitivity").at("e2e.p99").size() == effects.size());
}

TEST_CASE("a range of the rate is that of all classes together where they arrive by themselves") {
  json text = small();
  const json lengths = {{"prompt_tokens", {{"distribution", "fixed"}, {"value", 64}}}, {"output_tokens", {{"distribution", "fixed"}, {"value", 8}}}};
  json a = lengths, b = lengths;
  a.update({{"name", "a"}, {"arrivals", {{"process", "poisson"}, {"rate", "1 /s"}}}});
  b.update({{"name", "b"}, {"arrivals", {{"process", "poisson"}, {"rate", "3 /s"}}}});
  text["workload"] = {{"classes", {a, b}}, {"requests", 40}};
  text["uncertainty"] = {{"rate", {"2 /s", "8 /s"}}};
  const Scenario scenario = resolved(text);
  const auto inputs = uncertain_inputs(scenario, exact(), {});
  REQUIRE(inputs.size() == 1);
  // 8 a second of which a quarter is a's, as of the 4 a second stated
  const WorkloadConfig drawn = draw_scenario(scenario, inputs, {8}).scenario.workload;
  CHECK(drawn.classes[0].arrivals->rate == doctest::Approx(2));
  CHECK(drawn.classes[1].arrivals->rate == doctest::Approx(6));
  for (json& c : text["workload"]["classes"]) c["arrivals"] = {{"process", "batch"}};
  CHECK(complaint_of([&] { assessed(text, exact(), 8); }).find("no class has arrivals with a rate") != std::string::npos);
}

TEST_CASE("a range that the workload cannot take is refused in one line with what it can") {
  json text = small();
  text["uncertainty"] = {{"rate", {"3 /s", "1 /s"}}};
  CHECK(complaint_of([&] { resolved(text); }).find("the least (3) exceeds the most (1)") != std::string::npos);
  text["uncertainty"] = {{"rate", {"1 /s", "3 /s"}}, {"load_factor", {1, 2}}};
  CHECK(complaint_of([&] { resolved(text); }).find("not both") != std::string::npos);
  text["uncertainty"] = {{"rate", {"1 /s", "3 /s"}}};
  text["workload"]["arrivals"] = {{"process", "closed"}, {"concurrency", 4}};
  const std::string refusal = complaint_of([&] { assessed(text, exact(), 8); });
  CHECK(refusal.find("/uncertainty/rate") != std::string::npos);
  CHECK(refusal.find("load_factor") != std::string::npos);
  text["uncertainty"] = {{"load_factor", {0.5, 2.0}}};
  CHECK(assessed(text, exact(), 8).metrics.at("ttft.mean").size() == 8);
}

TEST_CASE("a deployment that does not fit meets nothing") {
  json text = small();
  text["model"] = "llama-3.1-405b";
  const Uncertainty u = assessed(text, ErrorModel{}, 8);
  CHECK(u.probability_met == 0);
  CHECK(u.metrics.empty());
}

TEST_CASE("a result with uncertainty is the result without it, and intervals beside it") {
  const Scenario scenario = resolved(small());
  const Result plain = run_scenario(scenario, {});
  const Result result = run_with_uncertainty(scenario, ErrorModel{}, {}, 8);
  CHECK((*result.latency)[0].p99 == (*plain.latency)[0].p99);
  CHECK(plain.intervals.empty());
  CHECK(result.intervals_level == 0.8);
  const std::string written = result_json(scenario, result, data());
  parse_json(written, "r.json", std::filesystem::path(MOEPLAN_SOURCE_DIR) / "reports/schema/result.schema.json");
  const json text = json::parse(written);
  CHECK(text.at("intervals").at("tpot.p99").at("level") == 0.8);
  CHECK(text.at("uncertainty").at("samples") == 8);
  CHECK(result_summary(scenario, result).find("uncertainty: 8 samples") != std::string::npos);
}

TEST_CASE("the shipped error model is read, a broken one is refused by name") {
  const ErrorModel shipped = load_error_model(data().error_model());
  CHECK(shipped.step_moe > 0);
  CHECK(shipped.source.find("--leave-out") != std::string::npos);
}

TEST_CASE("the text names the largest effect on a metric, and none where nothing moves it") {
  Uncertainty u;
  u.samples = 8;
  u.level = 0.8;
  u.intervals["tpot.p99"] = {0.02, 0.04};
  u.intervals["throughput.output_tokens_per_s"] = {900, 1000};
  u.sensitivity["tpot.p99"] = {{"experts", 0.02, 0.04}, {"attention", 0.03, 0.03}};
  u.sensitivity["throughput.output_tokens_per_s"] = {{"experts", 950, 950}, {"attention", 950, 950}};
  const std::string text = uncertainty_text(u);
  CHECK(text.find("most by: experts") != std::string::npos);
  CHECK(text.find("most by") == text.rfind("most by"));
}
