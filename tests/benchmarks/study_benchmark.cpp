// The speed that a user feels: the million-request scenario with the real step cost of Mixtral and all metrics, what one step's cost takes,
// and building a deployment whose routers must be prepared first.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "study/deployment.hpp"
#include "study/simulation.hpp"

namespace {

using namespace moeplan;

Scenario scenario(const char* name) {
  const std::filesystem::path root(MOEPLAN_SOURCE_DIR);
  return load_scenario(root / "scenarios" / name, DataRoot(root));
}

const Deployment& mixtral() {
  static const Deployment deployment(scenario("million-requests.json").deployment);
  return deployment;
}

void prepare_decode(benchmark::State& state) {
  PreparedStep step;
  std::int32_t batch = 0;
  for (auto _ : state) {
    batch = batch % 64 + 1;
    mixtral().cost().prepare(batch, {}, step);
    benchmark::DoNotOptimize(step);
  }
}

void prepare_mixed(benchmark::State& state) {
  const std::array<PrefillChunk, 1> chunk{{{512, 0, true}}};
  PreparedStep step;
  std::int32_t batch = 0;
  for (auto _ : state) {
    batch = batch % 64 + 1;
    mixtral().cost().prepare(batch, chunk, step);
    benchmark::DoNotOptimize(step);
  }
}

void evaluate_decode(benchmark::State& state) {
  PreparedStep step;
  mixtral().cost().prepare(35, {}, step);
  RandomStream routing(1, "benchmark");
  std::int64_t context = 35 * 512;
  for (auto _ : state) {
    benchmark::DoNotOptimize(mixtral().cost().evaluate(step, context, routing));
    context += 35;
    if (context > 35 * 4096) context = 35 * 512;
  }
}

void million_requests(benchmark::State& state) {
  const Scenario million = scenario("million-requests.json");
  for (auto _ : state) benchmark::DoNotOptimize(run_scenario(million, {}));
}

void build_deepseek_r1(benchmark::State& state) {
  const Scenario r1 = scenario("deepseek-r1-8xh200.json");
  for (auto _ : state) {
    const Deployment deployment(r1.deployment);
    benchmark::DoNotOptimize(deployment.cost().steady_decode(32, 1000));
  }
}

/// Every node of the expert tables that a simulation may visit: 1 to 512 sequences decoding, 1 to 8192 tokens of prompts.
void expert_tables_deepseek_r1_ep32(benchmark::State& state) {
  Scenario r1 = scenario("deepseek-r1-8xh200.json");
  r1.deployment.layout = {.tensor = 1, .pipeline = 1, .expert = 32, .attention_data = 32};
  r1.deployment.cluster.nodes = 4;
  r1.deployment.cluster.gpus = 32;
  for (auto _ : state) {
    const Deployment deployment(r1.deployment);
    for (std::int32_t batch = 1; batch <= 512; batch += std::max(1, batch / 8)) {
      benchmark::DoNotOptimize(deployment.cost().steady_decode(batch, 1000));
    }
    for (std::int32_t tokens = 1; tokens <= 8192; tokens += std::max(1, tokens / 8)) {
      benchmark::DoNotOptimize(deployment.cost().lone_prefill(tokens, 0));
    }
  }
}

}  // namespace

BENCHMARK(prepare_decode);
BENCHMARK(prepare_mixed);
BENCHMARK(evaluate_decode);
BENCHMARK(million_requests)->Unit(benchmark::kMillisecond);
BENCHMARK(build_deepseek_r1)->Unit(benchmark::kMillisecond);
BENCHMARK(expert_tables_deepseek_r1_ep32)->Unit(benchmark::kMillisecond);
