// Load curves of the default deployment: what must hold whatever the step times are.
#include "study/load_curve.hpp"

#include <doctest/doctest.h>
#include <tbb/global_control.h>

#include <nlohmann/json.hpp>

#include "input/json_document.hpp"
#include "study/deployment.hpp"
#include "study/scenario.hpp"
#include "study/simulation.hpp"
#include "support/shipped_scenarios.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using doctest::Approx;
using nlohmann::json;

namespace {

Scenario resolved(const json& scenario) {
  static const DataRoot data(MOEPLAN_SOURCE_DIR);
  return resolve_scenario(parse_json(scenario.dump(), "s.json", data.schema("scenario")), fs::path(MOEPLAN_SOURCE_DIR) / "scenarios", data);
}

const Deployment& deployment() {
  static const Deployment built(resolved(small_scenario()).deployment);
  return built;
}

LoadCurve curve_of(const json& scenario) { return load_curve(resolved(scenario), deployment()); }

const LoadCurve& curve() {
  static const LoadCurve drawn = curve_of(small_scenario());
  return drawn;
}

}  // namespace

TEST_CASE("below saturation what is offered is served, and beyond it no more than saturation") {
  REQUIRE(curve().points.size() > 10);
  double last = 0;
  for (const LoadPoint& p : curve().points) {
    CAPTURE(p.offered_per_s);
    CHECK(p.offered_per_s > last);
    last = p.offered_per_s;
    if (p.offered_per_s < 0.85 * curve().saturation_requests_per_s) {
      CHECK_FALSE(p.saturated);
      CHECK(p.requests_per_s == Approx(p.offered_per_s).epsilon(0.1));
    }
    CHECK(p.requests_per_s < 1.08 * curve().saturation_requests_per_s);
    CHECK(p.saturated == (p.offered_per_s >= curve().saturation_requests_per_s));
  }
  CHECK(curve().points.back().saturated);
}

TEST_CASE("time per token and busy share rise with the load") {
  const auto& points = curve().points;
  for (std::size_t i = 1; i < points.size() && !points[i].saturated; ++i) {
    CHECK(*points[i].tpot_p50_s > *points[i - 1].tpot_p50_s);
    CHECK(points[i].busy >= Approx(points[i - 1].busy).epsilon(0.02));
  }
  CHECK(points.front().busy < 0.8);
}

TEST_CASE("the capacity is where the objectives stop to hold, and shrinks with them") {
  const LoadCurve tight = curve_of(with(small_scenario(), "/objectives", R"({"tpot_p99": "30 ms"})"));
  const LoadCurve none = curve_of(with(small_scenario(), "/objectives", "{}"));
  const LoadCurve impossible = curve_of(with(small_scenario(), "/objectives", R"({"tpot_p99": "1 ms"})"));
  CHECK(tight.has_objectives);
  CHECK_FALSE(none.has_objectives);
  CHECK(tight.capacity_per_s < curve().capacity_per_s);
  CHECK(curve().capacity_per_s <= none.capacity_per_s);
  CHECK(none.capacity_per_s < none.saturation_requests_per_s);
  CHECK(impossible.capacity_per_s == 0);
  for (const LoadPoint& p : tight.points) CHECK(p.within_objectives == (!p.saturated && *p.tpot_p99_s <= 0.030));
  CHECK(tight.knee_per_s == none.knee_per_s);
}

TEST_CASE("the capacity holds in a run four times as long, and not much more does") {
  const json tight = with(small_scenario(), "/objectives", R"({"tpot_p99": "30 ms"})");
  const LoadCurve drawn = curve_of(tight);
  Scenario scenario = resolved(tight);
  const WorkloadConfig workload = scenario.workload;
  const auto met = [&](double rate) {
    scenario.workload = at_rate(workload, rate, 170'000, 10'000);
    return run_on(scenario, deployment(), {}).objectives[0].met;
  };
  CHECK(met(0.96 * drawn.capacity_per_s));
  CHECK_FALSE(met(1.05 * drawn.capacity_per_s));
}

TEST_CASE("saturation is what an overloaded deployment serves") {
  Scenario scenario = resolved(small_scenario());
  scenario.workload = at_rate(scenario.workload, 3 * curve().saturation_requests_per_s, 40'000, 1'000);
  const Result flooded = run_on(scenario, deployment(), {});
  CHECK(flooded.throughput->saturated);
  CHECK(curve().saturation_requests_per_s == Approx(flooded.throughput->requests_per_s).epsilon(0.03));
  CHECK(curve().saturation_output_tokens_per_s == Approx(flooded.throughput->output_tokens_per_s).epsilon(0.03));
  // 40 requests in a fraction of a second: at work all the same
  scenario.workload.requests = 40;
  scenario.workload.warmup_requests = 0;
  CHECK(run_on(scenario, deployment(), {}).throughput->requests_per_s > 0.1 * curve().saturation_requests_per_s);
}

TEST_CASE("of windowed layers a sequence costs what they keep") {
  // 160 tokens are 10 blocks: 2 of 100 bytes within the window, 8 of 50 beyond it
  MemoryPlan memory;
  memory.kv_layout.block_tokens = 16;
  memory.kv_layout.block = Bytes(100);
  memory.kv_layout.block_past_window = Bytes(50);
  memory.kv_layout.window_blocks = 2;
  memory.kv_pool = Bytes(6000);
  memory.kv_capacity_tokens = 960;  // in blocks within the window: 6 sequences
  CHECK(sequences_in(memory, 160) == Approx(10));
}

TEST_CASE("a curve is the same on any number of threads") {
  const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
  const LoadCurve again = curve_of(small_scenario());
  CHECK(again.capacity_per_s == curve().capacity_per_s);
  for (std::size_t i = 0; i < again.points.size(); ++i) CHECK(again.points[i].ttft_p99_s == curve().points[i].ttft_p99_s);
}

TEST_CASE("closed loops, batches and traces have a curve as well") {
  json trace = small_scenario();
  trace["workload"] = "azure-conversation";
  for (const json& scenario : {with(small_scenario(), "/workload/arrivals", R"({"process": "closed", "concurrency": 4})"),
                               with(small_scenario(), "/workload/arrivals", R"({"process": "batch"})"), trace}) {
    const LoadCurve drawn = curve_of(scenario);
    CHECK(drawn.points.size() == curve().points.size());
    CHECK(drawn.saturation_requests_per_s > 0);
    CHECK(drawn.points[4].requests_per_s == Approx(drawn.points[4].offered_per_s).epsilon(0.25));
  }
}

TEST_CASE("conversations, bursts and objectives of classes have a curve") {
  json scenario = small_scenario();
  scenario.erase("objectives");
  scenario["workload"] = json::parse(R"({"requests": 200, "classes": [
    {"name": "chat", "prompt_tokens": {"distribution": "fixed", "value": 300}, "output_tokens": {"distribution": "fixed", "value": 40},
     "arrivals": {"process": "poisson", "rate": "2 /s"}, "objectives": {"tpot_p99": "40 ms"},
     "sessions": {"turns": {"distribution": "fixed", "value": 3}, "think_time": "2 s"}},
    {"name": "code", "prompt_tokens": {"distribution": "fixed", "value": 800}, "output_tokens": {"distribution": "fixed", "value": 20},
     "arrivals": {"process": "markov_modulated", "states": [{"rate": "0 /s", "duration": "5 s"}, {"rate": "8 /s", "duration": "5 s"}]}}]})");
  // 2 conversations/s of three turns and 4 requests/s in the mean of silence and bursts
  CHECK(request_rate(resolved(scenario).workload) == Approx(10));
  const LoadCurve drawn = curve_of(scenario);
  CHECK(drawn.has_objectives);
  CHECK(drawn.saturation_requests_per_s > 0);
  CHECK_FALSE(drawn.points[5].saturated);
  CHECK(drawn.points[5].requests_per_s == Approx(drawn.points[5].offered_per_s).epsilon(0.3));  // eight times through the bursts
  CHECK(drawn.points.back().saturated);
  // Whatever is not called saturated serves what is offered, and no point serves much more than saturation.
  for (const LoadPoint& p : drawn.points) {
    CAPTURE(p.offered_per_s);
    if (!p.saturated) CHECK(p.requests_per_s > 0.85 * p.offered_per_s);
    CHECK(p.requests_per_s < 1.15 * drawn.saturation_requests_per_s);
  }
  CHECK(drawn.capacity_per_s > 0);
  const WorkloadConfig flat = without_conversations(resolved(scenario).workload);
  CHECK(flat.classes[0].weight == Approx(0.6));
  CHECK(flat.classes[0].prompt_tokens.value == 640);  // 300, 640 and 980 in the three turns
}

TEST_CASE("the rate of a workload is set by its process, a trace's by its speed") {
  WorkloadConfig trace;
  trace.arrivals.process = ArrivalProcess::kTrace;
  trace.arrivals.hourly_factors = std::vector<double>(24, 2.0);
  // 11 rows over 10 s: a row a second; four requests a second take four times the speed
  trace.arrivals.trace = TraceSummary{.rows = 11, .first = SimTime{0}, .last = SimTime{10'000'000'000}};
  const WorkloadConfig replayed = at_rate(trace, 4, 100, 10);
  CHECK(replayed.arrivals.speedup == Approx(4));
  CHECK(replayed.arrivals.repeat);
  CHECK(replayed.arrivals.hourly_factors.empty());
  CHECK(replayed.requests == 100);
  CHECK(replayed.warmup_requests == 10);
  WorkloadConfig bursty;
  bursty.arrivals.process = ArrivalProcess::kGamma;
  bursty.arrivals.cv = 3;
  CHECK(at_rate(bursty, 4, 100, 10).arrivals.process == ArrivalProcess::kGamma);
  CHECK(at_rate(bursty, 4, 100, 10).arrivals.rate == 4);
}
