// Dense against sparse models, as physics says.
#include <doctest/doctest.h>

#include "cost/deployment_cost.hpp"
#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

StepOutcome decode_step(const DeploymentCost& cost, std::int32_t batch, std::int64_t context_each, PreparedStep* prepared_out = nullptr) {
  PreparedStep prepared;
  cost.prepare(batch, {}, prepared);
  if (prepared_out != nullptr) *prepared_out = prepared;
  return cost.expected(prepared, batch * context_each);
}

double batch_one(const ModelSpec& model) {
  const CostBench bench(model);
  return DeploymentCost(bench.inputs).steady_decode(1, 100);
}

}  // namespace

TEST_CASE("at batch 1 the time of a sparse model follows its active bytes") {
  // Doubling the experts' width adds 32 layers x 2 experts x 3 x 4096 x 14336 weights x 2 bytes = 22.5 GB: 7.52 ms at 3 TB/s, up to 15 %
  // more at what kernels achieve.
  const double added = 32.0 * 2 * 3 * 4096 * 14336 * 2 / 3e12;
  const double difference = batch_one(moe_model(8, 2, 28672)) - batch_one(moe_model(8, 2, 14336));
  CHECK(difference > added);
  CHECK(difference < 1.25 * added);
}

TEST_CASE("at batch 1 the time of a sparse model does not follow its total bytes") {
  // Eight times the experts, the same two per token: only the router grows.
  const double few = batch_one(moe_model(8));
  const double many = batch_one(moe_model(64));
  CHECK(many > few);
  CHECK(many < 1.03 * few);
}

TEST_CASE("a sparse model with one expert of two halves costs what the dense model costs, plus its router and expert kernels") {
  // 2 of 2 experts of width 7168 are the dense FFN of 14336.
  const double dense = batch_one(dense_model());
  const double sparse = batch_one(moe_model(2, 2, 7168));
  CHECK(sparse > dense);
  CHECK(sparse - dense < 32 * 60e-6);  // one fused kernel's launch and a router, each layer
}

TEST_CASE("distinct experts saturate as the batch grows") {
  const CostBench bench(moe_model(64, 4, 1408));
  const DeploymentCost cost(bench.inputs);
  CHECK(decode_step(cost, 1, 100).distinct_experts == doctest::Approx(4));
  // uniform choice: 64 x (1 - (1 - 4/64)^16) = 41.2
  CHECK(decode_step(cost, 16, 100).distinct_experts == doctest::Approx(41.2).epsilon(0.02));
  CHECK(decode_step(cost, 256, 100).distinct_experts == doctest::Approx(64).epsilon(0.001));
  const double at_1 = decode_step(cost, 1, 100).experts_seconds;
  const double at_16 = decode_step(cost, 16, 100).experts_seconds;
  const double at_64 = decode_step(cost, 64, 100).experts_seconds;
  const double at_128 = decode_step(cost, 128, 100).experts_seconds;
  CHECK(at_16 > 2 * at_1);
  CHECK(at_128 < 1.15 * at_64);  // all experts are read already: twice the tokens cost little
}

TEST_CASE("decode attention is independent of the experts") {
  const CostBench dense(dense_model());
  const CostBench sparse(moe_model(64, 4, 1408));
  const DeploymentCost dense_cost(dense.inputs);
  const DeploymentCost sparse_cost(sparse.inputs);
  for (const std::int32_t batch : {1, 7, 100}) {
    CHECK(decode_step(dense_cost, batch, 3000).attention_seconds == decode_step(sparse_cost, batch, 3000).attention_seconds);
  }
}

TEST_CASE("decode attention follows the KV bytes in the context") {
  const CostBench bench(dense_model());
  const DeploymentCost cost(bench.inputs);
  // 64 sequences, 32 layers x 2 x 8 heads x 128 x 2 bytes = 131,072 bytes a token: 10,000 tokens more each are 27.96 ms at 3 TB/s.
  const double added = 64.0 * 10000 * 131072 / 3e12;
  const double difference = decode_step(cost, 64, 20000).attention_seconds - decode_step(cost, 64, 10000).attention_seconds;
  CHECK(difference > 0.99 * added);
  CHECK(difference < 1.15 * added);
}

TEST_CASE("a window bounds what a layer reads") {
  ModelSpec model = dense_model();
  model.layers.front().attention.kind = AttentionKind::kSlidingWindow;
  model.layers.front().attention.window = 1024;
  const CostBench windowed(model);
  const CostBench full(dense_model());
  const DeploymentCost windowed_cost(windowed.inputs);
  const DeploymentCost full_cost(full.inputs);
  CHECK(decode_step(windowed_cost, 16, 1000).attention_seconds == decode_step(full_cost, 16, 1000).attention_seconds);
  CHECK(decode_step(windowed_cost, 16, 50000).attention_seconds == doctest::Approx(decode_step(full_cost, 16, 1024).attention_seconds));
  // prefill of 8192 tokens attends to 8192 x 1024 - 1024^2 / 2 pairs instead of 8192^2 / 2: under a quarter
  PreparedStep short_sight;
  PreparedStep long_sight;
  const PrefillChunk chunk{8192, 0, true};
  windowed_cost.prepare(0, {&chunk, 1}, short_sight);
  full_cost.prepare(0, {&chunk, 1}, long_sight);
  const auto attention = static_cast<std::size_t>(StepPart::kAttention);
  CHECK(short_sight.fixed_parts[attention] < 0.35 * long_sight.fixed_parts[attention]);
  CHECK(short_sight.fixed_parts[attention] > 0.1 * long_sight.fixed_parts[attention]);
}

TEST_CASE("constant-state layers do not feel the context") {
  ModelSpec model = dense_model();
  AttentionSpec& a = model.layers.front().attention;
  a = {};
  a.kind = AttentionKind::kGatedDeltaNet;
  a.state_key_heads = 16;
  a.state_value_heads = 32;
  a.state_key_dim = a.state_value_dim = 128;
  a.conv_kernel = 4;
  const CostBench bench(model);
  const DeploymentCost cost(bench.inputs);
  CHECK(decode_step(cost, 8, 100).seconds == decode_step(cost, 8, 100000).seconds);
  // 32 heads x 128 x 128 x 4 bytes = 2 MiB a layer and sequence, read and written at 0.6 x 3 TB/s: 2.33 us, 32 layers
  const double eight = decode_step(cost, 8, 100).seconds;
  const double sixteen = decode_step(cost, 16, 100).seconds;
  CHECK(sixteen - eight > 8 * 32 * 2.33e-6);
}

TEST_CASE("no step gets slower when bandwidth or peak grow") {
  for (const ModelSpec& model : {dense_model(), moe_model(), latent_model()}) {
    const CostBench base(model, layout(2, 1, 1, 1));
    GpuSpec faster = round_gpu();
    faster.memory_bandwidth = BytesPerSecond(4e12);
    const CostBench wide(model, layout(2, 1, 1, 1), {}, faster);
    faster = round_gpu();
    faster.dense.bf16 = FlopsPerSecond(2e15);
    const CostBench strong(model, layout(2, 1, 1, 1), {}, faster);
    const DeploymentCost base_cost(base.inputs);
    const DeploymentCost wide_cost(wide.inputs);
    const DeploymentCost strong_cost(strong.inputs);
    for (const std::int32_t batch : {1, 8, 64, 512}) {
      const double seconds = base_cost.steady_decode(batch, 2000);
      CHECK(wide_cost.steady_decode(batch, 2000) < seconds);
      CHECK(strong_cost.steady_decode(batch, 2000) <= seconds * (1 + 1e-12));
      CHECK(base_cost.steady_decode(batch + 1, 2000) >= seconds * 0.999);
      CHECK(base_cost.steady_decode(batch, 2100) > seconds);
    }
    CHECK(strong_cost.lone_prefill(8192, 0) < base_cost.lone_prefill(8192, 0));
  }
}
