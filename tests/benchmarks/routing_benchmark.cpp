// Tables of expert steps of DeepSeek-R1 at EP32 (58 MoE layers, 256 experts, 8 per token from 4 of 8 groups, default popularity): the
// preparation of the routers, and every node that decoding with up to 8,192 tokens and prompts of up to 32,768 ask for, each built once.
#include <benchmark/benchmark.h>
#include <tbb/parallel_for.h>

#include "cost/deployment_cost.hpp"
#include "support/cost_fixture.hpp"

namespace {

using namespace moeplan;
using namespace moeplan::test;

ModelSpec r1() {
  ModelSpec model = latent_model();
  model.hidden = 7168;
  model.layers[1].count = 58;
  MoeSpec& moe = model.layers[1].moe;
  moe.experts = 256;
  moe.top_k = 8;
  moe.expert_inter = 2048;
  moe.groups = 8;
  moe.top_groups = 4;
  return model;
}

const RoutingConfig& routing() {
  static const RoutingConfig config = default_routing("deepseek", *r1().moe());
  return config;
}

void routers(benchmark::State& state) {
  const ModelSpec model = r1();
  for (auto _ : state) benchmark::DoNotOptimize(make_load_sampler(*model.moe(), 58, routing(), {.ranks = 32}, 1));
}

void tables(benchmark::State& state) {
  CostBench bench(r1(), layout(1, 1, 32, 32), routing());
  bench.inputs.engine.expert_comm = ExpertParallelComm::kDeepEp;
  std::vector<std::pair<std::int32_t, std::int32_t>> steps;  // decode, prefill tokens of a rank
  for (double tokens = 1; tokens <= 256; tokens *= 1.19) steps.emplace_back(static_cast<std::int32_t>(tokens), 0);
  for (double tokens = 1; tokens <= 1024; tokens *= 1.19) steps.emplace_back(0, static_cast<std::int32_t>(tokens));
  for (auto _ : state) {
    const DeploymentCost cost(bench.inputs);
    tbb::parallel_for(std::size_t{0}, steps.size(), [&](std::size_t i) {
      PreparedStep prepared;
      const PrefillChunk chunk{steps[i].second, 0, true};
      cost.prepare(steps[i].first, {&chunk, steps[i].second > 0 ? 1u : 0u}, prepared);
      benchmark::DoNotOptimize(cost.expected(prepared, steps[i].first * 1000));
    });
  }
}

}  // namespace

BENCHMARK(routers)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(tables)->Unit(benchmark::kMillisecond)->UseRealTime();
