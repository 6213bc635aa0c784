#include "serving/memory_plan.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {
namespace {

Bytes rounded_up(double bytes) { return Bytes(static_cast<std::int64_t>(std::ceil(bytes))); }
Bytes rounded_down(double bytes) { return Bytes(static_cast<std::int64_t>(std::floor(bytes))); }

// Memory that KV may take beside the weights, by the engine's formula; negative when even they do not fit.
Bytes kv_room(const StageMemory& stage, const MemoryLimits& limits) {
  const Bytes taken = stage.weights + stage.activations + limits.runtime_reserve;
  if (limits.formula == MemoryFormula::kFractionOfTotal) return rounded_down(limits.fraction * limits.capacity.as_double()) - taken;
  const Bytes left = limits.capacity - taken;
  return left.value() < 0 ? left : rounded_down(limits.fraction * left.as_double());
}

// The smallest GPU on which `kv` bytes of KV would be left, less this one.
Bytes missing_for(Bytes kv, const StageMemory& stage, const MemoryLimits& limits) {
  const Bytes taken = stage.weights + stage.activations + limits.runtime_reserve;
  const Bytes needed = limits.formula == MemoryFormula::kFractionOfTotal ? rounded_up((taken + kv).as_double() / limits.fraction)
                                                                         : taken + rounded_up(kv.as_double() / limits.fraction);
  return std::max(Bytes(1), needed - limits.capacity);
}

std::int64_t tokens_of(Bytes pool, const KvLayout& layout, std::int64_t reference) {
  const std::int64_t blocks = std::max<std::int64_t>(1, reference / layout.block_tokens);
  const std::int64_t tokens = blocks * layout.block_tokens;
  const Bytes cost = std::max(Bytes(1), layout.cost(tokens));
  const std::int64_t sequences = pool.value() / cost.value();
  const Bytes rest = pool - cost * sequences;
  return sequences * tokens + std::min(tokens, layout.tokens_in(rest));
}

MemoryPlan plan_stage(const StageMemory& stage, const MemoryLimits& limits) {
  MemoryPlan plan;
  plan.capacity = limits.capacity;
  plan.weights = stage.weights;
  plan.activations = stage.activations;
  plan.runtime = limits.runtime_reserve;
  plan.kv_layout = kv_layout(stage, limits.block_tokens);
  const Bytes least = plan.kv_layout.cost(limits.required_tokens);
  const Bytes room = kv_room(stage, limits);
  plan.fits = room >= least;
  if (plan.fits) {
    plan.kv_cache = room;
    // Where every block is alike the pool is a whole number of them.
    const KvLayout& layout = plan.kv_layout;
    const bool plain = layout.window_blocks == KvLayout::kNoWindow && layout.sequence_state.value() == 0 && layout.block.value() > 0;
    if (plain) plan.kv_cache = layout.block * (room.value() / layout.block.value());
  } else {
    plan.missing = missing_for(least, stage, limits);
  }
  plan.kv_pool = plan.kv_cache * limits.attention_data;
  plan.kv_capacity_tokens = plan.fits ? limits.attention_data * tokens_of(plan.kv_cache, plan.kv_layout, limits.reference_tokens) : 0;
  plan.free = plan.capacity - plan.weights - plan.kv_cache - plan.activations - plan.runtime;
  return plan;
}

}  // namespace

KvLayout kv_layout(const StageMemory& stage, int block_tokens) {
  KvLayout layout;
  layout.block_tokens = block_tokens;
  layout.block_past_window = rounded_up(block_tokens * stage.kv_bytes_per_token);
  layout.block = layout.block_past_window;
  if (stage.windowed_kv_bytes_per_token > 0) {
    MOEPLAN_CHECK(stage.window_tokens > 0);
    layout.block += rounded_up(block_tokens * stage.windowed_kv_bytes_per_token);
    // The window rarely starts at a block's edge: one block more than its length.
    layout.window_blocks = (stage.window_tokens + block_tokens - 1) / block_tokens + 1;
  }
  layout.sequence_state = rounded_up(stage.state_bytes_per_sequence);
  return layout;
}

MemoryPlan plan_memory(std::span<const StageMemory> stages, const MemoryLimits& limits) {
  MOEPLAN_CHECK(!stages.empty());
  MOEPLAN_CHECK(limits.fraction > 0.0 && limits.fraction <= 1.0);
  MOEPLAN_CHECK(limits.block_tokens > 0 && limits.attention_data > 0 && limits.required_tokens > 0);
  MemoryPlan tightest;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    MemoryPlan plan = plan_stage(stages[i], limits);
    plan.stage = static_cast<int>(i);
    const bool tighter =
        plan.missing != tightest.missing ? plan.missing > tightest.missing : plan.kv_capacity_tokens < tightest.kv_capacity_tokens;
    if (i == 0 || tighter) tightest = plan;
  }
  return tightest;
}

}  // namespace moeplan
