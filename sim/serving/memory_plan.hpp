// Where one GPU's memory goes, and what KV cache that leaves the replica. Engines differ in what their memory fraction is a fraction of
// (MemoryFormula). Pipeline stages differ in layers: the stage with the least room decides for all.
#pragma once

#include <cstdint>
#include <span>

#include "base/units.hpp"
#include "hardware/engine_profile.hpp"
#include "serving/kv_cache.hpp"

namespace moeplan {

/// Demand of one GPU of a pipeline stage.
struct StageMemory {
  Bytes weights;
  Bytes activations;                       ///< peak of a step, communication buffers included
  double kv_bytes_per_token = 0;           ///< layers that keep the whole context, on this rank
  double windowed_kv_bytes_per_token = 0;  ///< sliding-window and chunked-local layers, while inside the window
  std::int64_t window_tokens = 0;          ///< their window; the largest if they differ. Unused without such layers
  double state_bytes_per_sequence = 0;     ///< constant-state layers
};

struct MemoryLimits {
  Bytes capacity;         ///< of the GPU
  Bytes runtime_reserve;  ///< CUDA context, graphs, workspace
  MemoryFormula formula = MemoryFormula::kFractionOfTotal;
  double fraction = 0.9;  ///< in (0, 1]
  int block_tokens = 16;
  int attention_data = 1;             ///< copies of attention in the replica, whose KV caches add up
  std::int64_t required_tokens = 1;   ///< longest sequence that must fit alone, or the plan does not fit
  std::int64_t reference_tokens = 0;  ///< sequence length at which kv_capacity_tokens is stated; 0: one block. Matters only to models with
                                      ///< windowed or constant-state layers
};

/// weights + kv_cache + activations + runtime + free = capacity, exactly; of the GPU with the least room. When the plan does not fit,
/// kv_cache is 0 and free may be negative.
struct MemoryPlan {
  bool fits = false;
  Bytes missing{0};  ///< memory that this GPU lacks, 0 when it fits
  int stage = 0;     ///< index of the deciding stage
  Bytes capacity, weights, kv_cache, activations, runtime, free;
  KvLayout kv_layout;                   ///< of a sequence on one copy of attention
  Bytes kv_pool{0};                     ///< kv_cache times attention_data: capacity for KvCache
  std::int64_t kv_capacity_tokens = 0;  ///< of the replica, in sequences of reference_tokens
};

/// REQUIRES: stages not empty, 0 < fraction <= 1, block_tokens > 0, attention_data > 0. Bytes per block are rounded up.
MemoryPlan plan_memory(std::span<const StageMemory> stages, const MemoryLimits& limits);

/// The KV-cache layout of a stage.
KvLayout kv_layout(const StageMemory& stage, int block_tokens);

}  // namespace moeplan
