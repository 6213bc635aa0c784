#include "cost/expert_tables.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cost/deployment_cost.hpp"
#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

struct Sampled {
  double mean_seconds = 0, p99_seconds = 0, mean_hottest = 0, p99_hottest = 0, mean_distinct = 0, mean_imbalance = 0, mean_degraded = 0;
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
    out.mean_imbalance += step.imbalance_seconds / steps;
    out.mean_degraded += step.degraded_tokens / steps;
  }
  out.p99_seconds = p99(seconds);
  out.p99_hottest = p99(hottest);
  return out;
}

void compare(ModelSpec model, ParallelLayout parallel, RoutingConfig routing, std::int32_t decode, std::int32_t prefill, int steps = 1500,
             PlacementConfig placement = {}, const RoutingState& state = {}) {
  CostBench bench(std::move(model), parallel, routing);
  placement.ranks = parallel.expert;
  bench.sampler = make_load_sampler(*bench.inputs.model.moe(), bench.inputs.model.moe_layer_count(), routing, placement, 7, SamplingMode::kCounts, state);
  bench.inputs.sampler = bench.sampler.get();
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
  CHECK(std::abs(t.mean_imbalance - e.mean_imbalance) < 0.01 * e.mean_seconds);
  CHECK(std::abs(t.mean_degraded - e.mean_degraded) < 0.01);
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

namespace {

/// Choices of 500 tokens: neighbours share some of their experts, each its neighbour's next ones.
std::shared_ptr<const RecordedTokens> some_tokens() {
  auto tokens = std::make_shared<RecordedTokens>();
  tokens->top_k = 6;
  for (int layer = 0; layer < 3; ++layer) {
    auto& all = tokens->layers.emplace_back();
    for (int t = 0; t < 500; ++t) {
      for (int i = 0; i < 6; ++i) all.push_back(static_cast<std::uint16_t>((t * t / 40 + layer + i * (i + 3)) % 64));
    }
  }
  return tokens;
}

/// Every popularity kind, as skewed as such routers get, and a router with noise and dead experts.
std::vector<RoutingConfig> every_kind() {
  std::vector<RoutingConfig> kinds(8);
  kinds[0].popularity = PopularityKind::kUniform;
  kinds[1] = lognormal(0.7);
  kinds[2].popularity = PopularityKind::kZipf;
  kinds[2].exponent = 0.6;
  kinds[3].popularity = PopularityKind::kDirichlet;
  kinds[3].alpha = 1.5;
  kinds[4].popularity = PopularityKind::kPowerLaw;
  kinds[4].exponent = 1.2;
  kinds[5].popularity = PopularityKind::kRecorded;
  kinds[5].recorded = load_recorded(std::string(MOEPLAN_SOURCE_DIR) + "/scenarios/routing/deepseek-v2-lite-law.csv");
  kinds[6] = lognormal(0.7);
  kinds[6].collapsed = 0.25;
  kinds[6].noise = 0.1;
  kinds[7] = kinds[5];
  kinds[7].recorded.tokens = some_tokens();
  for (RoutingConfig& kind : kinds) kind.locality = measured_locality();
  return kinds;
}

/// `latent_model` with another choice of experts.
ModelSpec choosing(int top_k, int groups, int top_groups) {
  ModelSpec model = latent_model();
  MoeSpec& moe = model.layers[1].moe;
  moe.top_k = top_k;
  moe.groups = groups;
  moe.top_groups = top_groups;
  return model;
}

}  // namespace

TEST_CASE("tables of steps agree with sampling every layer, whatever the popularity") {
  for (const RoutingConfig& kind : every_kind()) {
    CAPTURE(static_cast<int>(kind.popularity));
    CAPTURE(kind.collapsed);
    compare(latent_model(), layout(1, 1, 8, 8), kind, 52, 0, 800);
    compare(latent_model(), layout(8, 1, 8, 1), kind, 0, 300, 800);
  }
}

TEST_CASE("tables of steps agree with sampling every layer, node-limited and top-1 routing") {
  RoutingConfig routing = lognormal(0.7);
  routing.locality = measured_locality();
  for (const ModelSpec& model : {choosing(6, 8, 3), choosing(1, 0, 0)}) {
    CAPTURE(model.moe()->top_k);
    compare(model, layout(1, 1, 8, 8), routing, 52, 0, 800);
    compare(model, layout(8, 1, 8, 1), routing, 0, 300, 800);
  }
}

TEST_CASE("tables of steps agree with sampling every layer, in a later epoch of drift and under a stale hierarchical placement") {
  RoutingConfig routing = lognormal(0.7);
  routing.drift = {SimTime{3'600'000'000'000}, 0.6};
  PlacementConfig placement{.kind = PlacementKind::kHierarchical, .redundant_experts = 8};
  placement.nodes = 2;
  placement.rebalance = {routing.drift.period, routing.drift.period};
  const RoutingState later{3, {{2, 1.0}}};
  compare(choosing(6, 8, 3), layout(1, 1, 8, 8), routing, 120, 0, 800, placement, later);
}

TEST_CASE("tables of steps agree with sampling every layer, redundant experts and a capacity") {
  PlacementConfig placement{.ranks = 8, .kind = PlacementKind::kBalanced, .redundant_experts = 8};
  compare(latent_model(), layout(1, 1, 8, 8), lognormal(0.8), 120, 0, 1000, placement);
  RoutingConfig capped = lognormal(0.8);
  capped.capacity_factor = 1.5;
  compare(latent_model(), layout(1, 1, 8, 8), capped, 120, 0, 1000);
  capped.overflow = Overflow::kReroute;
  compare(latent_model(), layout(1, 1, 8, 8), capped, 120, 0, 1000);
}

TEST_CASE("tables of steps agree with sampling every layer, traffic of several domains") {
  RoutingConfig routing = lognormal(0.5);
  RoutingDomain code{"code", 0.3, 0.6, lognormal(0.9)};
  RoutingDomain chat{"chat", 0.7, 0.4, lognormal(0.5)};
  routing.domains = {code, chat};
  compare(latent_model(), layout(1, 1, 8, 8), routing, 52, 0, 800);
  compare(latent_model(), layout(8, 1, 8, 1), routing, 0, 300, 1500);
}

TEST_CASE("an even load loses no time to imbalance, a skewed one does") {
  const auto imbalance = [](double sigma, ParallelLayout parallel) {
    const CostBench bench(latent_model(), parallel, lognormal(sigma));
    const DeploymentCost cost(bench.inputs);
    PreparedStep prepared;
    cost.prepare(2048, {}, prepared);
    const StepOutcome step = cost.expected(prepared, 2048);
    return step.imbalance_seconds / step.experts_seconds;
  };
  CHECK(imbalance(0.8, layout(8, 1, 1, 1)) == doctest::Approx(0.0).epsilon(1e-12).scale(1.0));  // one expert rank
  CHECK(imbalance(0.0, layout(8, 1, 8, 1)) < 0.05);
  CHECK(imbalance(0.8, layout(8, 1, 8, 1)) > 0.08);
}

TEST_CASE("each routing epoch has its tables, and moving experts stops the replica for as long as the bytes take") {
  RoutingConfig routing = lognormal(0.8);
  routing.drift = {SimTime{3'600'000'000'000}, 0.0};
  PlacementConfig placement{.ranks = 8, .kind = PlacementKind::kBalanced};
  placement.rebalance = {routing.drift.period, routing.drift.period};
  CostBench bench(latent_model(), layout(8, 1, 8, 1), routing);
  const RoutingEpochs epochs(*bench.inputs.model.moe(), bench.inputs.model.moe_layer_count(), routing, placement, 7);
  bench.inputs.epochs = &epochs;
  bench.inputs.draws = &epochs.draws(0);
  bench.inputs.sampler = &epochs.draws(0).sampler();
  const DeploymentCost cost(bench.inputs);
  const RoutingEpoch first = cost.epoch_at(SimTime{0});
  const RoutingEpoch second = cost.epoch_at(routing.drift.period);
  CHECK(first.stall_seconds == 0);
  CHECK(first.end == routing.drift.period);
  CHECK(second.begin == routing.drift.period);
  // bytes that the busiest rank receives over its link, at least; the measured or assumed efficiency adds to it
  const double bytes = epochs.at(routing.drift.period).experts_received * 3.0 * 2048 * 1408 * 2;
  CHECK(second.stall_seconds > bytes / bench.inputs.node.scale_up_bandwidth.value());
  CHECK(second.stall_seconds < 4 * bytes / bench.inputs.node.scale_up_bandwidth.value());
  PreparedStep prepared;
  cost.prepare(500, {}, prepared);
  RandomStream a(1, "test");
  const double early = cost.evaluate(prepared, 500, a).experts_seconds;
  prepared.epoch = second.index;
  RandomStream b(1, "test");
  CHECK(cost.evaluate(prepared, 500, b).experts_seconds != early);
  CHECK(cost.epoch_at(SimTime{5}).index == first.index);
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
