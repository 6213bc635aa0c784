// How fast the event engine is, without GPUs and metrics: affine step times of realistic size (Mixtral-like: about 20 ms a decode step at
// batch 35, 0.03 ms a prompt token), Poisson arrivals, 8 replicas. Counters: CPU time per request and per engine step.
#include <benchmark/benchmark.h>

#include "serving/disaggregation.hpp"
#include "serving/fleet.hpp"
#include "support/fleet_fixture.hpp"
#include "support/serving_fixture.hpp"

namespace {

using namespace moeplan;
using namespace moeplan::testing;

struct CountingObserver final : Observer {
  std::uint64_t steps = 0, finished = 0, tokens = 0;
  double batch = 0;
  void on_step(const StepRecord& r) override {
    ++steps;
    batch += r.prepared->decode_sequences;
  }
  void on_finished(const FinishedRequest&) override { ++finished; }
  void on_token_gaps(SimTime, SimTime, std::int64_t n) override { tokens += static_cast<std::uint64_t>(n); }
};

ClusterConfig eight_replicas() {
  ClusterConfig config;
  config.replicas = 8;
  config.replica.kv_layout.block = Bytes(16 * 131072);
  config.replica.kv_layout.block_past_window = config.replica.kv_layout.block;
  config.replica.kv_capacity = Bytes(40'000'000'000);
  return config;
}

const AffineStepCost kMixtralLike(0.012, 60e-6, 2.5e-7, 30e-6);

// CPU seconds of an iteration over `count`.
benchmark::Counter per(std::uint64_t count) {
  return {static_cast<double>(count), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert};
}

void report(benchmark::State& state, const CountingObserver& seen) {
  state.counters["steps"] = static_cast<double>(seen.steps);
  state.counters["batch"] = seen.batch / static_cast<double>(seen.steps);
  state.counters["per_request"] = per(seen.finished);
  state.counters["per_step"] = per(seen.steps);
}

void poisson(benchmark::State& state, double rate, RequestRouting routing, LengthRange output) {
  CountingObserver seen;
  for (auto _ : state) {
    seen = CountingObserver{};
    PoissonSource source(8 * rate, static_cast<std::uint64_t>(state.range(0)), {512, 512}, output, 1);
    ClusterConfig config = eight_replicas();
    config.routing = routing;
    simulate(config, kMixtralLike, source, seen, 1);
  }
  report(state, seen);
}

/// Half of each prompt is one of 64 shared beginnings.
class PrefixSource final : public RequestSource {
 public:
  PrefixSource(double rate, std::uint64_t total) : inner_(rate, total, {512, 512}, {64, 192}, 1) {}
  std::optional<RequestSpec> next() override {
    auto spec = inner_.next();
    if (spec) {
      spec->prefix_id = static_cast<std::int64_t>(spec->id % 64);
      spec->prefix_tokens = 256;
    }
    return spec;
  }
  void on_finished(std::uint64_t, SimTime) override {}
  [[nodiscard]] bool closed() const override { return false; }
  [[nodiscard]] std::uint64_t total() const override { return inner_.total(); }

 private:
  PoissonSource inner_;
};

/// Four prefill and four decode replicas on a node of eight GPUs, prefix caches on, KV sent over the node's switch.
void cached_and_disaggregated(benchmark::State& state) {
  const Topology topology = nodes_of(1, 8);
  CountingObserver seen;
  for (auto _ : state) {
    seen = CountingObserver{};
    PrefixSource source(96, static_cast<std::uint64_t>(state.range(0)));
    DisaggregatedConfig config;
    config.topology = &topology;
    config.transfer.bytes_per_token = 131072;
    config.transfer.layers = 32;
    int next = 0;
    for (ServingPool* pool : {&config.prefill, &config.decode}) {
      pool->replicas = 4;
      pool->replica = eight_replicas().replica;
      pool->replica.kv_reuse.enabled = true;
      for (int i = 0; i < 4; ++i) pool->first_gpu.push_back(next++);
    }
    config.prefill.routing = RequestRouting::kPrefixAware;
    simulate(config, kMixtralLike, kMixtralLike, source, seen, 1);
  }
  report(state, seen);
}

/// The round-robin cluster as a fleet that scales and fails.
void fleet(benchmark::State& state) {
  const Topology topology = nodes_of(8, 1);
  CountingObserver seen;
  for (auto _ : state) {
    seen = CountingObserver{};
    PoissonSource source(8 * 12.0, static_cast<std::uint64_t>(state.range(0)), {512, 512}, {128, 128}, 1);
    FleetConfig config;
    config.topology = &topology;
    config.bandwidths.disk = 2e9;
    config.failures.failures_per_node_year = 1000;
    FleetService service = small_service(8, 8);
    service.replica = eight_replicas().replica;
    service.routing = RequestRouting::kLeastOutstandingTokens;
    AutoscalingConfig scaling;
    scaling.min_replicas = 4;
    scaling.max_replicas = 8;
    scaling.target = 40;
    scaling.up_above = 44;
    scaling.down_below = 36;
    service.autoscaling = scaling;
    service.cold_start = {Seconds(60), Bytes(100'000'000'000), WeightSource::kDisk};
    service.cost = &kMixtralLike;
    service.source = &source;
    service.observer = &seen;
    simulate(config, std::span<const FleetService>(&service, 1), 1);
  }
  report(state, seen);
}

void closed_loop(benchmark::State& state) {
  CountingObserver seen;
  for (auto _ : state) {
    seen = CountingObserver{};
    ClosedSource source(8 * 32, static_cast<std::uint64_t>(state.range(0)), SimTime(1'000'000), {512, 512}, {64, 192}, 1);
    simulate(eight_replicas(), kMixtralLike, source, seen, 1);
  }
  report(state, seen);
}

}  // namespace

BENCHMARK_CAPTURE(poisson, round_robin, 12.0, RequestRouting::kRoundRobin, LengthRange{128, 128})
    ->Arg(250'000)
    ->Arg(500'000)
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(poisson, least_outstanding, 12.0, RequestRouting::kLeastOutstandingTokens, LengthRange{64, 192})
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond);
// Far above saturation: nearly all requests queue, KV runs out, requests are preempted.
BENCHMARK_CAPTURE(poisson, saturated, 1e5, RequestRouting::kRoundRobin, LengthRange{64, 2048})
    ->Arg(100'000)
    ->Arg(200'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(cached_and_disaggregated)->Arg(500'000)->Unit(benchmark::kMillisecond);
BENCHMARK(fleet)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(closed_loop)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
