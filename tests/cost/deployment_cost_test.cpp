#include "cost/deployment_cost.hpp"

#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <thread>
#include <vector>

#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("host time adds a part per step, per running sequence and per layer") {
  CostBench bench(dense_model());
  const DeploymentCost bare(bench.inputs);
  bench.inputs.engine.host_per_step = Seconds(1e-3);
  bench.inputs.engine.host_per_sequence = Seconds(10e-6);
  bench.inputs.engine.host_per_layer = Seconds(1e-6);
  const DeploymentCost hosted(bench.inputs);
  const std::array<PrefillChunk, 2> chunks = {PrefillChunk{100, 0, true}, PrefillChunk{50, 20, false}};
  PreparedStep without;
  PreparedStep with;
  bare.prepare(8, chunks, without);
  hosted.prepare(8, chunks, with);
  // 1 ms + 10 sequences x 10 us + 32 layers x 1 us
  CHECK(with.fixed_seconds - without.fixed_seconds == doctest::Approx(1e-3 + 100e-6 + 32e-6));
  CHECK(with.fixed_parts[static_cast<std::size_t>(StepPart::kHost)] == doctest::Approx(1.132e-3));
}

TEST_CASE("a part of the host time per sequence is that of several GPUs") {
  const auto host_of = [](int gpus) {
    CostBench bench(dense_model(), layout(gpus, 1, 1, 1));
    bench.inputs.engine.host_per_sequence = Seconds(10e-6);
    bench.inputs.engine.host_per_sequence_across = Seconds(7e-6);
    PreparedStep step;
    DeploymentCost(bench.inputs).prepare(8, {}, step);
    return step.fixed_parts[static_cast<std::size_t>(StepPart::kHost)];
  };
  CHECK(host_of(1) == doctest::Approx(8 * 3e-6));
  CHECK(host_of(2) == doctest::Approx(8 * 10e-6));
  // A correction by anchors that leaves less than the part takes one GPU to zero and no further.
  CostBench bench(dense_model());
  bench.inputs.engine.host_per_sequence = Seconds(5e-6);
  bench.inputs.engine.host_per_sequence_across = Seconds(7e-6);
  PreparedStep step;
  DeploymentCost(bench.inputs).prepare(8, {}, step);
  CHECK(step.fixed_parts[static_cast<std::size_t>(StepPart::kHost)] == 0);
}

TEST_CASE("host time per prompt is added by the step that ends the prompt") {
  CostBench bench(dense_model(), layout(2, 1, 1, 1));
  const DeploymentCost bare(bench.inputs);
  bench.inputs.engine.host_per_prompt = Seconds(5e-3);
  const DeploymentCost hosted(bench.inputs);
  const auto added = [&](std::vector<PrefillChunk> chunks) {
    PreparedStep without, with;
    bare.prepare(8, chunks, without);
    hosted.prepare(8, chunks, with);
    return with.fixed_seconds - without.fixed_seconds;
  };
  CHECK(added({{100, 0, true}, {50, 20, true}, {30, 0, false}}) == doctest::Approx(0.010));
  CHECK(added({{30, 0, false}}) == 0);
  CHECK(added({}) == 0);
}

TEST_CASE("a step with prefill takes no less than the host needs to launch its latent attention layers") {
  CostBench bench(latent_model(), layout(8, 1, 8, 1));
  const DeploymentCost free(bench.inputs);
  bench.inputs.engine.launches_per_latent_layer = Seconds(2e-3);
  const DeploymentCost launched(bench.inputs);
  const double floor = 0.002 * bench.inputs.model.layer_count();  // all of them are latent
  REQUIRE(free.lone_prefill(100, 0) < floor);
  REQUIRE(free.lone_prefill(200'000, 0) > floor);
  CHECK(launched.lone_prefill(100, 0) == doctest::Approx(floor));
  CHECK(launched.lone_prefill(200'000, 0) == free.lone_prefill(200'000, 0));
  CHECK(launched.steady_decode(64, 500) == free.steady_decode(64, 500));
  // What the GPUs wait is told apart.
  const PrefillChunk chunk{100, 0, true};
  PreparedStep prepared;
  launched.prepare(0, {&chunk, 1}, prepared);
  CHECK(launched.expected(prepared, 0).launch_wait_seconds == doctest::Approx(floor - free.lone_prefill(100, 0)));
  CostBench grouped(moe_model(), layout(2, 1, 1, 1));
  const double before = DeploymentCost(grouped.inputs).lone_prefill(100, 0);
  grouped.inputs.engine.launches_per_latent_layer = Seconds(2e-3);
  CHECK(DeploymentCost(grouped.inputs).lone_prefill(100, 0) == before);
}

TEST_CASE("parts and origins of a prepared step add up") {
  CostBench bench(latent_model(), layout(2, 1, 2, 1));
  bench.inputs.engine.host_per_step = Seconds(1e-3);
  const DeploymentCost cost(bench.inputs);
  const PrefillChunk chunk{300, 100, true};
  PreparedStep step;
  cost.prepare(37, {&chunk, 1}, step);
  CHECK(step.decode_sequences == 37);
  CHECK(step.prefill_tokens == 300);
  CHECK(std::accumulate(step.fixed_parts.begin(), step.fixed_parts.end(), 0.0) == doctest::Approx(step.fixed_seconds));
  CHECK(std::accumulate(step.fixed_origins.begin(), step.fixed_origins.end(), 0.0) == doctest::Approx(step.fixed_seconds - 1e-3));
  const StepOutcome out = cost.expected(step, 37000);
  CHECK(out.seconds == doctest::Approx(step.fixed_seconds + out.attention_seconds + out.experts_seconds + out.all_to_all_seconds));
  CHECK(out.experts_origin == Origin::kDatasheet);
}

TEST_CASE("sustained clocks stretch kernels but not communication or host time") {
  CostBench bench(dense_model(), layout(4, 1, 1, 1));
  bench.inputs.engine.host_per_step = Seconds(1e-3);
  const DeploymentCost burst(bench.inputs);
  bench.inputs.engine.kernel_multiplier = 1.25;
  const DeploymentCost sustained(bench.inputs);
  PreparedStep a;
  PreparedStep b;
  burst.prepare(16, {}, a);
  sustained.prepare(16, {}, b);
  for (int i = 0; i < kStepParts; ++i) {
    const auto p = static_cast<StepPart>(i);
    const bool kernel = p != StepPart::kAllReduce && p != StepPart::kHost;
    CHECK(b.fixed_parts[static_cast<std::size_t>(i)] ==
          doctest::Approx(a.fixed_parts[static_cast<std::size_t>(i)] * (kernel ? 1.25 : 1.0)));
  }
}

TEST_CASE("power throttling reaches compute-bound prefill only") {
  CostBench bench(dense_model());
  const DeploymentCost cool(bench.inputs);
  bench.inputs.engine.prefill_kernel_multiplier = 1.25;
  const DeploymentCost hot(bench.inputs);
  CHECK(hot.steady_decode(512, 1000) == cool.steady_decode(512, 1000));
  CHECK(hot.lone_prefill(16, 0) == doctest::Approx(cool.lone_prefill(16, 0)).epsilon(0.01));
  CHECK(hot.lone_prefill(8192, 0) > 1.2 * cool.lone_prefill(8192, 0));
  CHECK(hot.lone_prefill(8192, 0) <= 1.25 * cool.lone_prefill(8192, 0));
}

TEST_CASE("between tabulated shapes the step stays close to the shape itself") {
  const CostBench bench(dense_model());
  const DeploymentCost cost(bench.inputs);
  // 23 sequences (nodes 22, 24) of 2300 tokens (nodes 2048, 2560): the kernels asked directly
  const DeviceKernels kernels(*bench.kernels, bench.inputs.gpu, bench.inputs.engine);
  const AttentionCosts attention(bench.inputs, kernels, 1.0);
  PreparedStep step;
  cost.prepare(23, {}, step);
  CHECK(cost.expected(step, 23 * 2300).attention_seconds == doctest::Approx(attention.decode(23, 2300).seconds).epsilon(0.003));
  const PrefillChunk chunk{1111, 700, false};
  PreparedStep prefill;
  cost.prepare(0, {&chunk, 1}, prefill);
  CHECK(prefill.fixed_parts[static_cast<std::size_t>(StepPart::kAttention)] ==
        doctest::Approx(attention.prefill(1111, 700).seconds).epsilon(0.02));
}

TEST_CASE("a chunked prompt costs at least as much as a whole one") {
  const CostBench bench(dense_model());
  const DeploymentCost cost(bench.inputs);
  double chunked = 0;
  for (int i = 0; i < 4; ++i) chunked += cost.lone_prefill(2048, i * 2048);
  CHECK(chunked > cost.lone_prefill(8192, 0));
  CHECK(chunked < 1.5 * cost.lone_prefill(8192, 0));
}

TEST_CASE("an empty step costs host time only") {
  CostBench bench(moe_model());
  bench.inputs.engine.host_per_step = Seconds(2e-3);
  const DeploymentCost cost(bench.inputs);
  PreparedStep step;
  cost.prepare(0, {}, step);
  CHECK(cost.expected(step, 0).seconds == doctest::Approx(2e-3));
}

TEST_CASE("threads may share one cost and read the same times") {
  const CostBench bench(latent_model(), layout(8, 1, 8, 1));
  const DeploymentCost shared(bench.inputs);
  const DeploymentCost lone(bench.inputs);
  std::array<std::vector<double>, 4> seen;
  std::vector<std::thread> threads;
  for (std::vector<double>& mine : seen) {
    threads.emplace_back([&shared, &mine] {
      for (std::int32_t batch = 1; batch < 40; ++batch) mine.push_back(shared.steady_decode(batch, 50.0 * batch));
    });
  }
  for (std::thread& t : threads) t.join();
  for (std::int32_t batch = 1; batch < 40; ++batch) {
    const double expected = lone.steady_decode(batch, 50.0 * batch);
    for (const std::vector<double>& mine : seen) CHECK(mine[static_cast<std::size_t>(batch - 1)] == expected);
  }
}
