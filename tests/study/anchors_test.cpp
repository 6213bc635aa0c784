// Anchors: constants recovered from points that the simulator made itself, contradictions named, scenarios corrected by rows of their deployment.
#include "study/anchors.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "study/anchor_study.hpp"
#include "study/validation.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Llama 3.1 8B on one H100 under vLLM, closed loop of `concurrency` clients.
MeasuredRun run_at(int concurrency, const std::string& id) {
  MeasuredRun run;
  run.id = id;
  run.model = "llama-3.1-8b";
  run.gpu = "h100-sxm";
  run.engine = "vllm";
  run.weights = "bf16";
  run.mode = LoadMode::kClosed;
  run.concurrency = concurrency;
  run.isl = 256;
  run.osl = 32;
  run.length_low = 0.8;
  return run;
}

void set_tpot(MeasuredRun& run, double ms) { run.measured[static_cast<std::size_t>(RunMetric::kTpot)] = ms; }

/// The run as an engine with `truth` would have measured it.
MeasuredRun measured_by(MeasuredRun run, const EngineCorrection& truth) {
  DeploymentConfig config = run_deployment(run, data());
  correct_engine(config.engine, truth);
  set_tpot(run, *simulate_run(run, Deployment(config), 1)[static_cast<std::size_t>(RunMetric::kTpot)]);
  return run;
}

AnchorFit fitted(const std::vector<MeasuredRun>& anchors) {
  StudyLibraries shared;
  return fit_layout(anchors, data(), shared, 1);
}

Scenario scenario_of(int gpus) {
  const json text = {{"model", "llama-3.1-8b"},
                     {"cluster", {{"gpu", "h100-sxm"}, {"gpus", gpus}}},
                     {"deployment", {{"engine", "vllm"}, {"parallel", {{"tensor", gpus}}}, {"precision", {{"weights", "bf16"}}}}},
                     {"workload",
                      {{"arrivals", {{"process", "closed"}, {"concurrency", 2}}},
                       {"prompt_tokens", {{"distribution", "fixed"}, {"value", 64}}},
                       {"output_tokens", {{"distribution", "fixed"}, {"value", 16}}},
                       {"requests", 8}}}};
  return resolve_scenario(parse_json(text.dump(), "s.json", data().schema("scenario")), MOEPLAN_SOURCE_DIR, data());
}

constexpr const char* kHeader =
    "id,suite,model,gpu,gpus,engine,engine_version,tp,ep,pp,dp,weights,kv_cache,mode,concurrency,request_rate_per_s,isl,osl,length_low,"
    "ttft_ms,tpot_ms,itl_ms,output_tok_s,quality,source,notes\n";

std::string csv_row(const std::string& id, int concurrency, double tpot_ms) {
  return id + ",t,llama-3.1-8b,h100-sxm,1,vllm,,1,1,1,1,bf16,,closed," + std::to_string(concurrency) + ",,256,32,0.8,," + std::to_string(tpot_ms) +
         ",,,A,,\n";
}

}  // namespace

TEST_CASE("an id that stands twice in a file of runs is refused with file, line and id") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("r.csv", std::string(kHeader) + csv_row("a", 1, 10) + csv_row("b", 8, 12) + csv_row("a", 8, 11));
  CHECK(complaint_of([&] { read_measured_runs(file); }) == file.string() + ":4: id 'a' is already that of line 2; accepted: one row an id");
  CHECK(read_measured_runs(folder.write("once.csv", std::string(kHeader) + csv_row("a", 1, 10) + csv_row("b", 8, 12))).size() == 2);
}

TEST_CASE("a least-squares fit of a known linear engine is the minimum worked out by hand") {
  // One anchor of 10 ms predicted at 10 ms x multiplier: minimise (ln m / 0.05)^2 for measured 10 -> nothing to correct.
  std::vector<MeasuredRun> anchors = {run_at(1, "a")};
  set_tpot(anchors[0], 10);
  const auto kernels_only = [](const EngineCorrection& c) { return std::vector<double>{10 * c.kernel_multiplier}; };
  AnchorFit fit = fit_anchors(anchors, EngineProfile{}, kernels_only);
  CHECK(fit.correction.kernel_multiplier == doctest::Approx(1));
  CHECK(fit.correction.host_per_step_s == 0);
  // Measured 12 ms: with x = ln m, minimise ((x - ln 1.2) / 0.05)^2 + (x / 0.15)^2 -> x = ln 1.2 x 400 / (400 + 44.4) = 0.9 ln 1.2
  set_tpot(anchors[0], 12);
  fit = fit_anchors(anchors, EngineProfile{}, kernels_only);
  CHECK(std::log(fit.correction.kernel_multiplier) == doctest::Approx(0.9 * std::log(1.2)).epsilon(1e-3));
  CHECK(fit.points[0].before == 10);
  CHECK(fit.points[0].after == doctest::Approx(10 * std::pow(1.2, 0.9)).epsilon(1e-3));
}

TEST_CASE("host time never falls below zero and the multiplier stays within a factor of two") {
  EngineProfile engine;
  engine.host_per_step = Seconds(1e-3);
  engine.host_per_sequence = Seconds(0);
  std::vector<MeasuredRun> anchors = {run_at(1, "a"), run_at(8, "b")};
  for (MeasuredRun& run : anchors) set_tpot(run, 0.1);
  const auto predict = [](const EngineCorrection& c) {
    const double first = 9 * c.kernel_multiplier + 1 + 1e3 * (c.host_per_step_s + c.host_per_sequence_s);
    return std::vector<double>{first, first + 7e3 * c.host_per_sequence_s};
  };
  const AnchorFit fit = fit_anchors(anchors, engine, predict);
  CHECK(fit.correction.host_per_step_s == doctest::Approx(-1e-3));
  CHECK(fit.correction.host_per_sequence_s == doctest::Approx(0));
  CHECK(fit.correction.kernel_multiplier == doctest::Approx(0.5));
  correct_engine(engine, fit.correction);
  CHECK(engine.host_per_step.value() >= 0);
  // 0.1 ms cannot be reached: both anchors are named.
  REQUIRE(fit.contradictions.size() == 2);
  CHECK(fit.contradictions[0].find("'a'") != std::string::npos);
}

TEST_CASE("on one GPU the time per sequence that only several GPUs have cannot be taken away once more") {
  EngineProfile engine;
  engine.host_per_step = Seconds(1e-3);
  engine.host_per_sequence = engine.host_per_sequence_across = Seconds(12e-6);
  // More clients are faster than they can be: the fit would take time per sequence away.
  std::vector<MeasuredRun> anchors = {run_at(1, "one"), run_at(8, "eight")};
  set_tpot(anchors[0], 10.0);
  set_tpot(anchors[1], 9.0);
  const AnchorPredictor predict = [](const EngineCorrection& c) {
    const double first = 9 * c.kernel_multiplier + 1 + 1e3 * (c.host_per_step_s + c.host_per_sequence_s);
    return std::vector<double>{first, first + 7e3 * c.host_per_sequence_s};
  };
  CHECK(fit_anchors(anchors, engine, predict).correction.host_per_sequence_s == doctest::Approx(0));
  for (MeasuredRun& run : anchors) run.gpus = run.tp = 2;
  CHECK(fit_anchors(anchors, engine, predict).correction.host_per_sequence_s < -1e-6);
}

TEST_CASE("anchors made by the simulator give its constants back") {
  const EngineCorrection truth{0.8e-3, 10e-6, 1.10};
  const std::vector<MeasuredRun> anchors = {measured_by(run_at(1, "a"), truth), measured_by(run_at(8, "b"), truth),
                                            measured_by(run_at(64, "c"), truth)};
  const AnchorFit fit = fitted(anchors);
  CHECK(fit.contradictions.empty());
  for (const AnchorPoint& p : fit.points) {
    CAPTURE(p.id);
    CHECK(std::abs(p.before / p.measured - 1) > 0.08);
    CHECK(std::abs(p.after / p.measured - 1) < 0.03);
  }
  // The prior holds each back a little; together they are the truth: predictions between the anchors agree too.
  CHECK(fit.correction.host_per_step_s > 0.3e-3);
  CHECK(fit.correction.kernel_multiplier > 1.02);
  const MeasuredRun between = measured_by(run_at(24, "d"), truth);
  const MeasuredRun corrected = measured_by(run_at(24, "d"), fit.correction);
  CHECK(*corrected.value(RunMetric::kTpot) == doctest::Approx(*between.value(RunMetric::kTpot)).epsilon(0.03));
  // Deterministic.
  CHECK(fitted(anchors).correction.kernel_multiplier == fit.correction.kernel_multiplier);
}

TEST_CASE("anchors tell the host's time for prompts from kernel time by their output lengths") {
  // A deployment that spends 6 ms more on each new prompt: of 16 clients with 32 output tokens each, every second step meets one; with 512 few do.
  const EngineCorrection truth{0, 0, 1, 6e-3};
  const auto lasting = [&](int concurrency, int osl, const char* id) {
    MeasuredRun run = run_at(concurrency, id);
    run.osl = osl;
    return run;
  };
  const std::vector<MeasuredRun> anchors = {measured_by(lasting(2, 512, "a"), truth), measured_by(lasting(16, 32, "b"), truth),
                                            measured_by(lasting(16, 512, "c"), truth)};
  const AnchorFit fit = fitted(anchors);
  CHECK(fit.correction.host_per_prompt_s > 3e-3);
  CHECK(fit.correction.host_per_prompt_s < 9e-3);
  CHECK(std::abs(std::log(fit.correction.kernel_multiplier)) < 0.05);
  CHECK(json::parse(anchor_fit_json(fit)).at("host_per_prompt_s") == fit.correction.host_per_prompt_s);
  CHECK(correction_text(fit.correction).find("ms per prompt") != std::string::npos);
}

TEST_CASE("two values at one operating point contradict each other by name") {
  std::vector<MeasuredRun> anchors = {run_at(4, "quick"), run_at(4, "slow"), run_at(32, "other")};
  for (const auto& [i, ms] : {std::pair{0, 10.0}, std::pair{1, 13.0}, std::pair{2, 12.0}}) set_tpot(anchors[static_cast<std::size_t>(i)], ms);
  const auto predict = [](const EngineCorrection& c) {
    return std::vector<double>{11 * c.kernel_multiplier, 11 * c.kernel_multiplier, 12 * c.kernel_multiplier};
  };
  const AnchorFit fit = fit_anchors(anchors, EngineProfile{}, predict);
  REQUIRE(fit.contradictions.size() == 1);
  CHECK(fit.contradictions[0].find("'quick' and 'slow'") != std::string::npos);
  set_tpot(anchors[1], 12.4);  // 24 % apart is within what measurements scatter
  CHECK(fit_anchors(anchors, EngineProfile{}, predict).contradictions.empty());
}

TEST_CASE("anchors of a layout are its lowest and highest concurrency in turn, never suspect rows") {
  std::vector<MeasuredRun> runs;
  for (const int concurrency : {8, 64, 1, 16, 2}) {
    runs.push_back(run_at(concurrency, "c" + std::to_string(concurrency)));
    set_tpot(runs.back(), 10);
  }
  runs[2].quality = RunQuality::kS;  // concurrency 1
  const std::vector<std::size_t> all = {0, 1, 2, 3, 4};
  CHECK(choose_anchors(runs, all, 2) == std::vector<std::size_t>{4, 1});
  CHECK(choose_anchors(runs, all, 3) == std::vector<std::size_t>{4, 1, 0});
  CHECK(choose_anchors(runs, all, 9).size() == 4);
  // The plan scores the rest; a layout with nothing to spare is not scored at all.
  const AnchorPlan two = plan_anchors(runs, std::size_t{2});
  CHECK(two.unscored == std::vector<bool>{false, true, false, false, true});
  CHECK(two.anchors.size() == 1);
  const AnchorPlan four = plan_anchors(runs, std::size_t{4});
  CHECK(four.unscored == std::vector<bool>{true, true, false, true, true});
  CHECK(four.anchors.empty());
}

TEST_CASE("validation with anchors scores only other rows, and scores them better") {
  const EngineCorrection truth{1e-3, 20e-6, 1.15};
  std::vector<MeasuredRun> runs;
  for (const int concurrency : {1, 4, 16, 48}) runs.push_back(measured_by(run_at(concurrency, "c" + std::to_string(concurrency)), truth));
  ValidationOptions options;
  options.anchors = 2;
  const Validation v = validate_runs(runs, data(), options);
  CHECK(v.scored_runs == 2);
  CHECK(v.metrics.at("tpot").count == 2);
  CHECK(v.metrics_before.at("tpot").count == 2);
  CHECK(v.metrics_before.at("tpot").median_ape > 0.1);
  CHECK(v.metrics.at("tpot").median_ape < 0.03);
  REQUIRE(v.anchor_fits.size() == 1);
  CHECK(v.anchor_fits[0].points.size() == 2);
  CHECK(json::parse(validation_json(v)).at("anchors").at(0).at("rows").size() == 2);
}

TEST_CASE("a run in fp8 is the publisher's block-scaled checkpoint, or one scale per tensor where the engine has no block-scaled kernels") {
  MeasuredRun run = run_at(1, "fp8");
  run.model = "qwen3-32b";
  run.weights = "fp8";
  run.engine = "trtllm";
  run.gpus = run.tp = 2;
  run.gpu = "h100-sxm";
  CHECK(run_deployment(run, data()).precision.weights == Precision::kFp8Block);
  run.gpu = "l40s";
  CHECK(run_deployment(run, data()).precision.weights == Precision::kFp8);
  run.gpu = "a100-sxm-80";  // neither
  CHECK_THROWS_AS(run_deployment(run, data()), InputError);
}

TEST_CASE("a run that states no measurement is predicted and not scored, with its reason") {
  const Validation v = validate_runs({run_at(1, "silent")}, data(), {});
  CHECK(v.scored_runs == 0);
  CHECK_FALSE(v.predictions[0].refused);
  CHECK(unscored_reason(v, 0) == "states no measured TTFT, TPOT, ITL or output throughput");
  CHECK(validation_summary(v).find("intervals hold") == std::string::npos);
}

TEST_CASE("each anchor is told as measured, before and after; what rounds to nothing has no sign") {
  AnchorFit fit;
  fit.correction.host_per_prompt_s = -1e-7;
  for (int i = 0; i < 9; ++i) fit.points.push_back({"row" + std::to_string(i), RunMetric::kTpot, 20, 15, 21});
  CHECK(correction_text(fit.correction).find("+0.0 ms per prompt") != std::string::npos);
  const std::string text = anchor_points_text(fit);
  CHECK(text.find("  tpot         measured       20,       15 before (-25.0 %),       21 after (+5.0 %)  row0\n") == 0);
  CHECK(text.find("row7") != std::string::npos);
  CHECK(text.find("row8") == std::string::npos);
  CHECK(text.find("and 1 more") != std::string::npos);
}

TEST_CASE("a published run longer than the model's context is predicted, one that no KV cache holds is refused alone") {
  std::vector<MeasuredRun> runs;
  for (const int prompt : {256, 140'000, 2'000'000}) {  // the context is 131,072 tokens, the KV cache holds about 400,000
    runs.push_back(run_at(1, "p" + std::to_string(prompt)));
    runs.back().isl = prompt;
    set_tpot(runs.back(), 10);
  }
  const Validation v = validate_runs(runs, data(), {});
  CHECK(v.scored_runs == 2);
  CHECK_FALSE(v.predictions[0].refused);
  CHECK_FALSE(v.predictions[1].refused);
  REQUIRE(v.predictions[2].refused);
  CHECK(v.predictions[2].refused->find("no request of 2000000 prompt and 32 output tokens fits") == 0);
}

TEST_CASE("a scenario takes the rows of its own deployment and refuses others by what differs") {
  const TemporaryFolder folder;
  const EngineCorrection truth{1e-3, 20e-6, 1.1};
  std::string rows = kHeader;
  for (const int concurrency : {1, 32}) {
    const MeasuredRun run = measured_by(run_at(concurrency, "x"), truth);
    rows += csv_row("c" + std::to_string(concurrency), concurrency, *run.value(RunMetric::kTpot));
  }
  const fs::path file = folder.write("runs.csv", rows);
  Scenario scenario = scenario_of(1);
  const double host = scenario.deployment.engine.host_per_step.value();
  const AnchorFit fit = anchor_scenario(scenario, file, data());
  CHECK(fit.points.size() == 2);
  CHECK(scenario.deployment.engine.host_per_step.value() == doctest::Approx(host + fit.correction.host_per_step_s));
  CHECK(scenario.files.back() == file);

  Scenario wider = scenario_of(2);
  const std::string refusal = complaint_of([&] { anchor_scenario(wider, file, data()); });
  CHECK(refusal.find("layout 'tp 1 ep 1 pp 1 dp 1', the scenario has 'tp 2 ep 1 pp 1 dp 1'") != std::string::npos);

  const fs::path twice = folder.write("twice.csv", std::string(kHeader) + csv_row("a", 4, 10) + csv_row("b", 4, 14));
  const std::string contradiction = complaint_of([&] { anchor_scenario(scenario, twice, data()); });
  CHECK(contradiction.find("'a' and 'b' contradict each other") != std::string::npos);
}
