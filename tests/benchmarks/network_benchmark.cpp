// Max-min fair rates of many concurrent flows over a cluster of 64 nodes of 8 GPUs, leaf and spine at 2:1: random pairs, a quarter limited.
// The solve alone: paths are known.
#include <benchmark/benchmark.h>

#include <random>

#include "network/flow_network.hpp"
#include "network/network_fixture.hpp"

namespace {

using namespace moeplan;

void solve(benchmark::State& state) {
  ClusterSpec cluster = test::switched_nodes(64, 8);
  cluster.fabric.oversubscription = 2.0;
  const Topology topology(cluster);
  PathTable paths(topology);
  std::vector<double> capacities;
  for (const Link& link : topology.links()) capacities.push_back(link.capacity.value());
  MaxMinSolver solver(capacities);
  std::mt19937 random(1);
  std::vector<FlowDemand> flows;
  while (static_cast<std::int64_t>(flows.size()) < state.range(0)) {
    const int from = static_cast<int>(random() % 512);
    const int to = static_cast<int>(random() % 512);
    if (from == to) continue;
    FlowDemand flow{paths.between(from, to)};
    if (random() % 4 == 0) flow.limit = 1e8 * (1 + random() % 50);
    flows.push_back(flow);
  }
  for (auto _ : state) benchmark::DoNotOptimize(solver.solve(flows).data());
}

}  // namespace

BENCHMARK(solve)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);
