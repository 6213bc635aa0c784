// How one replica of a model is cut over GPUs and in which number formats it is held.
#pragma once

#include <optional>

#include "base/precision.hpp"

namespace moeplan {

/// GPUs per replica = tensor x pipeline x attention_data. `expert` divides tensor x attention_data; what is left of it is tensor width
/// inside the experts.
struct ParallelLayout {
  int tensor = 1;  ///< tensor-parallel width of attention and dense FFN
  int pipeline = 1;
  int expert = 1;          ///< expert-parallel width
  int attention_data = 1;  ///< data-parallel copies of attention within the replica

  [[nodiscard]] int gpus() const { return tensor * pipeline * attention_data; }
  [[nodiscard]] int gpus_per_stage() const { return tensor * attention_data; }
  [[nodiscard]] int expert_tensor() const { return gpus_per_stage() / expert; }
  bool operator==(const ParallelLayout&) const = default;
};

struct DeploymentPrecision {
  Precision weights = Precision::kBf16;  ///< everything but experts
  Precision experts = Precision::kBf16;
  Precision kv_cache = Precision::kBf16;
  Precision embeddings = Precision::kBf16;  ///< embeddings, head and router
  bool operator==(const DeploymentPrecision&) const = default;
};

}  // namespace moeplan
