#include "cost/expert_tables.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "cost/deployment_cost.hpp"
#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

struct Sampled {
  double mean_seconds = 0, p99_seconds = 0, mean_hottest = 0, p99_hottest = 0, mean_distinct = 0;
};

double p99(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() * 99 / 100];
}

Sampled sample(const DeploymentCost& cost, std::int32_t decode, std::int32_t prefill, int steps) {
  PreparedStep prepared;
  const PrefillChunk chunk{prefill, 0, true};
  cost.prepare(decode, {&chunk, prefill > 0 ? 1u : 0u}, prepared);
  RandomStream random(5, "test/routing");
  std::vector<double> seconds;
  std::vector<double> hottest;
  Sampled out;
  for (int i = 0; i < steps; ++i) {
    const StepOutcome step = cost.evaluate(prepared, decode * 1000, random);
    seconds.push_back(step.experts_seconds + step.all_to_all_seconds);
    hottest.push_back(step.hottest_over_mean);
    out.mean_seconds += seconds.back() / steps;
    out.mean_hottest += hottest.back() / steps;
    out.mean_distinct += step.distinct_experts / steps;
  }
  out.p99_seconds = p99(seconds);
  out.p99_hottest = p99(hottest);
  return out;
}

void compare(ModelSpec model, ParallelLayout parallel, RoutingConfig routing, std::int32_t decode, std::int32_t prefill, int steps = 1500) {
  CostBench bench(std::move(model), parallel, routing);
  bench.inputs.engine.expert_comm = ExpertParallelComm::kDeepEp;
  const DeploymentCost tabulated(bench.inputs);
  bench.inputs.routing = RoutingMode::kExact;
  const DeploymentCost exact(bench.inputs);
  const Sampled t = sample(tabulated, decode, prefill, 4 * steps);
  const Sampled e = sample(exact, decode, prefill, steps);
  CAPTURE(decode);
  CAPTURE(prefill);
  CHECK(t.mean_seconds == doctest::Approx(e.mean_seconds).epsilon(0.01));
  CHECK(t.p99_seconds == doctest::Approx(e.p99_seconds).epsilon(0.03));
  CHECK(t.mean_hottest == doctest::Approx(e.mean_hottest).epsilon(0.01));
  CHECK(t.p99_hottest == doctest::Approx(e.p99_hottest).epsilon(0.03));
  CHECK(t.mean_distinct == doctest::Approx(e.mean_distinct).epsilon(0.01));
}

RoutingConfig lognormal(double sigma) {
  RoutingConfig routing;
  routing.popularity = PopularityKind::kLognormal;
  routing.sigma = sigma;
  return routing;
}

}  // namespace

TEST_CASE("tables of steps agree with sampling every layer, decode") {
  for (const std::int32_t batch : {1, 9, 52, 300}) {
    compare(latent_model(), layout(1, 1, 8, 8), lognormal(0.5), batch, 0);
    compare(moe_model(), layout(2, 1, 1, 1), {}, batch, 0);
  }
}

TEST_CASE("tables of steps agree with sampling every layer, prefill") {
  compare(latent_model(), layout(8, 1, 8, 1), lognormal(0.7), 0, 1100);
  compare(moe_model(), layout(2, 1, 2, 1), lognormal(0.13), 0, 77);
}

TEST_CASE("tables of steps agree with sampling every layer, decode and prefill in one step") {
  compare(latent_model(), layout(8, 1, 8, 1), lognormal(0.5), 100, 900);
}

TEST_CASE("a model with one MoE layer keeps its spread") {
  ModelSpec model = latent_model();
  model.layers[1].count = 1;
  compare(model, layout(1, 1, 8, 8), lognormal(0.5), 52, 0, 6000);
}

TEST_CASE("a table's node does not depend on what was visited before") {
  const CostBench bench(latent_model(), layout(8, 1, 8, 1), lognormal(0.5));
  const DeploymentCost forward(bench.inputs);
  const DeploymentCost backward(bench.inputs);
  const auto price = [](const DeploymentCost& cost, std::int32_t batch) { return cost.steady_decode(batch, 777); };
  std::vector<double> up;
  for (std::int32_t batch = 1; batch <= 64; batch += 7) up.push_back(price(forward, batch));
  for (std::int32_t batch = 64; batch >= 1; batch -= 7) CHECK(price(backward, batch) == up[static_cast<std::size_t>((batch - 1) / 7)]);
}

TEST_CASE("a step's draws average to its expected step") {
  const CostBench bench(latent_model(), layout(8, 1, 8, 1), lognormal(0.5));
  const DeploymentCost cost(bench.inputs);
  PreparedStep prepared;
  cost.prepare(20, {}, prepared);
  RandomStream random(3, "test/routing");
  double mean = 0;
  for (int i = 0; i < 20000; ++i) mean += cost.evaluate(prepared, 20000, random).seconds / 20000;
  CHECK(mean == doctest::Approx(cost.expected(prepared, 20000).seconds).epsilon(0.002));
}
