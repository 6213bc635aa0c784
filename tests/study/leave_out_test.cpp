// Groups left out of a fit, intervals of rows, causes of errors: against numbers worked out by hand, and through a validation of runs that the
// simulator measured itself.
#include "study/leave_out.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "routing/count_sampler.hpp"
#include "study/likely_cause.hpp"
#include "study/run_intervals.hpp"
#include "study/validation.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using nlohmann::json;

namespace {

/// A step of `kernels` ms and `sequences` running, measured by an engine `off` seconds of host time per step above the shipped one.
LeaveOutRow row_of(const std::string& group, double kernels, double sequences, double off) {
  LeaveOutRow r;
  r.group = group;
  r.engine = "vllm";
  r.predicted = kernels + 1.0 + 0.012 * sequences;
  r.measured = r.predicted + 1e3 * off;
  r.slope = {1e3, 0, 1e3 * sequences, kernels};
  return r;
}

const std::map<std::string, EngineConstants> kShipped = {{"vllm", {1e-3, 40e-3, 12e-6, 1 / 0.94}}};

/// Llama 3.1 8B under vLLM, measured by an engine with more host time.
std::vector<MeasuredRun> simulated_runs(const std::string& gpu, const EngineCorrection& truth) {
  std::vector<MeasuredRun> runs;
  for (const int concurrency : {1, 4, 16}) {
    MeasuredRun run;
    run.id = gpu + "/" + std::to_string(concurrency);
    run.model = "llama-3.1-8b";
    run.gpu = gpu;
    run.engine = "vllm";
    run.weights = "bf16";
    run.concurrency = concurrency;
    run.isl = 256;
    run.osl = 32;
    run.length_low = 0.8;
    DeploymentConfig config = run_deployment(run, data());
    correct_engine(config.engine, truth);
    run.measured[0] = simulate_run(run, Deployment(config), 1)[0];
    runs.push_back(run);
  }
  return runs;
}

}  // namespace

TEST_CASE("a group is predicted with constants of the others, whatever it measured itself") {
  std::vector<LeaveOutRow> rows;
  for (const double kernels : {2.0, 5.0, 12.0, 30.0}) {
    for (const double sequences : {1.0, 16.0, 64.0}) {
      rows.push_back(row_of("a, g", kernels, sequences, 0.5e-3));
      rows.push_back(row_of("b, g", kernels, sequences, 0.5e-3));
      rows.push_back(row_of("odd, g", kernels, sequences, 3e-3));
    }
  }
  const LeaveOutFit fit = leave_groups_out(rows, kShipped);
  // Without "odd" the others say 0.5 ms more than the shipped 1 ms, and no other constant moves.
  const EngineConstants& without = fit.without.at("odd, g").at("vllm");
  CHECK(without.host_per_step_s == doctest::Approx(1.5e-3).epsilon(0.02));
  CHECK(without.kernel_multiplier == doctest::Approx(1 / 0.94).epsilon(0.01));
  CHECK(without.host_per_sequence_s == doctest::Approx(12e-6).epsilon(0.1));
  // The first row of "odd": 2 ms of kernels, 1 sequence: 3.012 + 0.5 predicted, 6.012 measured.
  CHECK(rows[2].group == "odd, g");
  CHECK(fit.predicted[2] == doctest::Approx(3.512).epsilon(0.01));
  // Outliers hold "a" back less than they would in least squares: between the truth of the majority and the middle.
  CHECK(fit.without.at("a, g").at("vllm").host_per_step_s < 2.9e-3);
  CHECK(leave_groups_out(rows, kShipped).predicted == fit.predicted);
}

TEST_CASE("first tokens fit the path to the client, and no constant falls below zero") {
  std::vector<LeaveOutRow> rows;
  for (const char* group : {"a, g", "b, g", "c, g"}) {
    for (const double prompt : {20.0, 60.0, 200.0}) {
      LeaveOutRow r = row_of(group, prompt, 1, 0);
      r.metric = RunMetric::kTtft;
      r.predicted = prompt + 40;
      r.measured = prompt + 100;
      r.slope = {0, 1e3, 0, prompt};
      rows.push_back(r);
    }
  }
  LeaveOutFit fit = leave_groups_out(rows, kShipped);
  CHECK(fit.all.at("vllm").request_latency_s == doctest::Approx(0.1).epsilon(0.05));
  for (LeaveOutRow& r : rows) r.measured = 0.5 * (r.predicted - 40);
  fit = leave_groups_out(rows, kShipped);
  CHECK(fit.all.at("vllm").request_latency_s >= 0);
}

TEST_CASE("an interval is made of the shares of a step times their errors") {
  RunEvidence e;
  e.part_share[static_cast<std::size_t>(StepPart::kHost)] = 0.2;
  e.part_share[static_cast<std::size_t>(StepPart::kDenseGemm)] = 0.8;
  e.mean_step_s = 10e-3;
  ErrorModel m;
  m.step_dense = 0.1;
  m.weak_kernels = 0.5;
  m.host_per_step_s = 0.4e-3;
  m.request_latency = 0.5;
  // Kernels are 0.8 of the step: products alone, off by 5 %; host 0.4 of 10 ms: 4 %.
  RowSpread s = row_spread(RunMetric::kTpot, 10, false, e, {.gemm = 0.05}, m);
  CHECK(s.known == doctest::Approx(std::hypot(0.8 * 0.05, 0.04)));
  CHECK(s.total(0.1) == doctest::Approx(std::sqrt(0.04 * 0.04 + 0.04 * 0.04 + 0.08 * 0.08)));
  // Half of the kernels extrapolated: 0.5 x 0.5 more, of 0.8.
  e.origin_share[static_cast<std::size_t>(Origin::kExtrapolated)] = 0.5;
  s = row_spread(RunMetric::kTpot, 10, false, e, {}, m);
  CHECK(s.known == doctest::Approx(std::hypot(0.8 * 0.25, 0.04)));
  // A first token that is all path: only the path's width and its own.
  e.request_latency_s = 40e-3;
  s = row_spread(RunMetric::kTtft, 40, false, e, {}, m);
  CHECK(s.known == doctest::Approx(0.5));
  CHECK(s.total(0) == doctest::Approx(0.5));
}

TEST_CASE("a fitted width covers its share: the deviation of a normal sample comes back") {
  std::vector<double> errors;
  for (int i = 0; i < 500; ++i) errors.push_back(0.3 * normal_quantile((i + 0.5) / 500));
  const std::vector<RowSpread> spreads(errors.size(), RowSpread{});
  CHECK(fit_form(spreads, errors, 0.8) == doctest::Approx(0.3).epsilon(0.02));
  // What is known already is not counted twice: sqrt(0.3^2 - 0.2^2) = 0.2236
  CHECK(fit_form(std::vector<RowSpread>(errors.size(), RowSpread{.known = 0.2}), errors, 0.8) == doctest::Approx(0.2236).epsilon(0.03));
  CHECK(fit_form(std::vector<RowSpread>(errors.size(), RowSpread{.known = 0.9}), errors, 0.8) == 0);
}

TEST_CASE("versions compare by their numbers") {
  CHECK(first_version("0.9.2") < first_version("0.19"));
  CHECK(first_version("TensorRT-LLM 1.0.0rc6") == first_version("1.0"));
  CHECK(first_version("V1 engine, 0.11 to 0.19") == first_version("0.11.3"));
  CHECK(first_version("nightly") == -1);
}

TEST_CASE("the cause named is the piece of evidence that can explain the error") {
  MeasuredRun run;
  run.engine_version = "0.15.0";
  run.concurrency = 4;
  RunSetting setting{.engine_versions = "0.11 to 0.19", .experts_format = "mxfp4", .moe = true};
  RunEvidence e;
  const auto cause = [&](RunMetric metric, double measured, double predicted) { return likely_cause(run, metric, measured, predicted, e, setting); };
  const auto says = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  CHECK(says(cause(RunMetric::kTpot, 10, 12), "no single part stands out"));
  e.part_share[static_cast<std::size_t>(StepPart::kExperts)] = 0.6;
  setting.experts_measured = false;
  CHECK(says(cause(RunMetric::kTpot, 10, 12), "no mxfp4 expert kernel was measured on this GPU; others stand in for 60 %"));
  e.kv_peak = 1.0;
  setting.experts_measured = true;
  CHECK(says(cause(RunMetric::kTpot, 10, 12), "KV cache is full"));
  run.engine_version = "0.6.1";
  CHECK(says(cause(RunMetric::kTpot, 10, 12), "older"));
  setting.mtp_head = true;
  CHECK(says(cause(RunMetric::kTpot, 10, 16), "speculative decoding"));
  CHECK_FALSE(says(cause(RunMetric::kTpot, 16, 10), "speculative"));
  CHECK(says(cause(RunMetric::kOutputTokensPerSecond, 1600, 1000), "speculative decoding"));
  CHECK(says(cause(RunMetric::kTtft, 90, 50), "how many wait for room"));
  e.kv_peak = 0.2;
  e.mean_running = 4;
  e.request_latency_s = 40e-3;
  CHECK(says(cause(RunMetric::kTtft, 90, 50), "path between client and engine is 80 %"));
  run.concurrency = 64;
  CHECK(says(cause(RunMetric::kTtft, 50, 90), "only 4 of 64 clients run at once"));
}

TEST_CASE("validation with groups left out predicts each GPU's runs from the other's, with intervals and coverage") {
  // Two GPUs under one engine with 0.8 ms more host time per step than its profile says.
  std::vector<MeasuredRun> runs = simulated_runs("h100-sxm", {0.8e-3, 0, 1});
  for (const MeasuredRun& run : simulated_runs("a100-sxm-80", {0.8e-3, 0, 1})) runs.push_back(run);
  MeasuredRun suspect = runs[0];
  suspect.id = "suspect";
  suspect.quality = RunQuality::kS;
  suspect.notes = "suspect: scales as no machine does";
  runs.push_back(suspect);
  ValidationOptions options;
  options.leave_out = true;
  options.errors = ErrorModel{};
  const Validation v = validate_runs(runs, data(), options);
  REQUIRE(v.left_out);
  CHECK(v.left_out->metrics.at("tpot").count == 6);
  CHECK(v.metrics.at("tpot").median_ape > 0.07);
  // Three rows of one cell move the constants part of the way: their error may be the kernels'.
  CHECK(v.left_out->metrics.at("tpot").median_ape < 0.05);
  CHECK(v.left_out->fit.without.count("llama-3.1-8b, h100-sxm") == 1);
  CHECK(v.coverage.count == 6);
  CHECK(v.coverage.share() == 1);
  for (const ValidationRow& row : v.rows) {
    REQUIRE(row.interval);
    CHECK(row.interval->low < row.left_out.value_or(row.predicted));
    CHECK(row.left_out.has_value() == row.scored);
  }
  const json text = json::parse(validation_json(v));
  CHECK(text.at("left_out").at("by_gpu").at("h100-sxm").at("tpot").at("count") == 3);
  CHECK(text.at("coverage").at("by_kind").at("dense").at("count") == 6);
  CHECK(text.at("unscored").at(0).at("why") == "suspect: scales as no machine does");
  CHECK(text.at("rows").at(0).at("likely_cause").is_string());
  CHECK(validation_summary(v).find("scales as no machine does (first: suspect)") != std::string::npos);
  const std::string scatter = validation_scatter(v);
  CHECK(scatter.find("tpot: predicted (upwards) over measured, 6 rows") != std::string::npos);
  CHECK(scatter.find('o') != std::string::npos);
}
