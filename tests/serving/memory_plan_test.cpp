#include "serving/memory_plan.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace moeplan;
using namespace moeplan::literals;

namespace {

MemoryLimits limits(MemoryFormula formula) {
  MemoryLimits out;
  out.capacity = 80_GB;
  out.runtime_reserve = 2_GB;
  out.formula = formula;
  out.fraction = 0.9;
  out.block_tokens = 16;
  return out;
}

StageMemory stage(std::int64_t weights_gb) {
  StageMemory out;
  out.weights = Bytes(weights_gb * 1'000'000'000);
  out.activations = 3_GB;
  out.kv_bytes_per_token = 1e5;
  return out;
}

Bytes sum(const MemoryPlan& p) { return p.weights + p.kv_cache + p.activations + p.runtime + p.free; }

}  // namespace

TEST_CASE("a fraction of the total leaves KV what weights, activations and runtime leave of it") {
  // 0.9 x 80 - 45 - 3 - 2 = 22 GB; blocks of 16 x 100 kB = 1.6 MB: 13,750 of them, 220,000 tokens; 8 GB stay free.
  const std::array stages{stage(45)};
  const MemoryPlan plan = plan_memory(stages, limits(MemoryFormula::kFractionOfTotal));
  CHECK(plan.fits);
  CHECK(plan.missing == Bytes(0));
  CHECK(plan.kv_cache == 22_GB);
  CHECK(plan.kv_capacity_tokens == 220'000);
  CHECK(plan.free == 8_GB);
  CHECK(sum(plan) == 80_GB);
}

TEST_CASE("a fraction of the free memory applies after the weights") {
  // 0.9 x (80 - 45 - 3 - 2) = 27 GB: 16,875 blocks, 270,000 tokens.
  const std::array stages{stage(45)};
  const MemoryPlan plan = plan_memory(stages, limits(MemoryFormula::kFractionOfFree));
  CHECK(plan.kv_cache == 27_GB);
  CHECK(plan.kv_capacity_tokens == 270'000);
  CHECK(plan.free == 3_GB);
}

TEST_CASE("the KV cache is whole blocks and the parts still add up to the byte") {
  StageMemory odd = stage(45);
  odd.kv_bytes_per_token = 12345.678;
  odd.weights += Bytes(7);
  const std::array stages{odd};
  const MemoryPlan plan = plan_memory(stages, limits(MemoryFormula::kFractionOfTotal));
  CHECK(plan.kv_layout.block == Bytes(197'531));  // 16 x 12345.678 = 197530.848
  CHECK(plan.kv_cache.value() % 197'531 == 0);
  CHECK(plan.kv_capacity_tokens == plan.kv_cache.value() / 197'531 * 16);
  CHECK(sum(plan) == 80_GB);
}

TEST_CASE("what does not fit says how much is missing") {
  // 80 + 3 + 2 GB and one block of 1.6 MB: on 0.9 of a GPU that is (85e9 + 1.6e6) / 0.9 = 94,446,222,222.2; 14,446,222,223 more than 80e9.
  const std::array stages{stage(80)};
  const MemoryPlan total = plan_memory(stages, limits(MemoryFormula::kFractionOfTotal));
  CHECK(!total.fits);
  CHECK(total.missing == Bytes(14'446'222'223));
  CHECK(total.kv_cache == Bytes(0));
  CHECK(total.kv_capacity_tokens == 0);
  CHECK(sum(total) == 80_GB);
  // 85e9 + 1.6e6 / 0.9 = 85e9 + 1,777,777.8.
  const MemoryPlan free = plan_memory(stages, limits(MemoryFormula::kFractionOfFree));
  CHECK(free.missing == Bytes(5'001'777'778));
  // A GPU with just that much more fits.
  MemoryLimits larger = limits(MemoryFormula::kFractionOfTotal);
  larger.capacity += total.missing;
  CHECK(plan_memory(stages, larger).fits);
  larger.capacity -= Bytes(2);
  CHECK(!plan_memory(stages, larger).fits);
}

TEST_CASE("a required sequence that the KV cache cannot hold does not fit") {
  const std::array stages{stage(45)};
  MemoryLimits needed = limits(MemoryFormula::kFractionOfTotal);
  needed.required_tokens = 220'000;
  CHECK(plan_memory(stages, needed).fits);
  needed.required_tokens = 220'001;
  const MemoryPlan plan = plan_memory(stages, needed);
  CHECK(!plan.fits);
  CHECK(plan.missing == Bytes(1'777'778));  // one block / 0.9
}

TEST_CASE("copies of attention add their KV caches, the fullest pipeline stage decides") {
  // Stage 1: 0.9 x 80 - 55 - 5 = 12 GB and twice the KV per token: 60,000 tokens; stage 0: 220,000.
  std::array stages{stage(45), stage(55)};
  stages[1].kv_bytes_per_token = 2e5;
  MemoryLimits two = limits(MemoryFormula::kFractionOfTotal);
  two.attention_data = 2;
  const MemoryPlan plan = plan_memory(stages, two);
  CHECK(plan.stage == 1);
  CHECK(plan.kv_cache == 12_GB);
  CHECK(plan.kv_pool == 24_GB);
  CHECK(plan.kv_capacity_tokens == 120'000);
}

TEST_CASE("windowed layers stop growing and states are counted per sequence") {
  // 16-token blocks: 0.8 MB for ever + 0.8 MB inside 128 tokens (8 blocks and one for the edge), 10 MB of state. A sequence of 1600 tokens
  // costs 10 + 100 x 0.8 + 9 x 0.8 = 97.2 MB; 22 GB / 97.2 MB = 226 sequences and 32.8 MB: 22.8 MB of blocks: 9 at 1.6, 10 at 0.8: 19
  // blocks.
  StageMemory hybrid = stage(45);
  hybrid.kv_bytes_per_token = 5e4;
  hybrid.windowed_kv_bytes_per_token = 5e4;
  hybrid.window_tokens = 128;
  hybrid.state_bytes_per_sequence = 1e7;
  const std::array stages{hybrid};
  MemoryLimits at = limits(MemoryFormula::kFractionOfTotal);
  at.reference_tokens = 1600;
  const MemoryPlan plan = plan_memory(stages, at);
  CHECK(plan.kv_layout.window_blocks == 9);
  CHECK(plan.kv_layout.cost(1600) == Bytes(97'200'000));
  CHECK(plan.kv_capacity_tokens == 226 * 1600 + 19 * 16);
  CHECK(sum(plan) == 80_GB);
}

TEST_CASE("a model of constant states alone holds sequences of any length") {
  StageMemory mamba = stage(45);
  mamba.kv_bytes_per_token = 0;
  mamba.state_bytes_per_sequence = 1e9;
  const std::array stages{mamba};
  MemoryLimits at = limits(MemoryFormula::kFractionOfTotal);
  at.reference_tokens = 1000;  // rounded down to 62 blocks = 992
  const MemoryPlan plan = plan_memory(stages, at);
  CHECK(plan.fits);
  CHECK(plan.kv_capacity_tokens == 22 * 992);
}
