// How one replica of a model is cut over GPUs and in which number formats it is held.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

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

/// Which experts stay on the GPU when not all do.
enum class ExpertCachePolicy : std::uint8_t {
  kLru,        ///< the least recently used one makes room
  kLfu,        ///< the least often used one makes room
  kPinnedHot,  ///< the most popular ones stay for ever
};
std::string_view to_string(ExpertCachePolicy policy);

/// Routed experts kept in host memory and streamed to the GPU when a step needs them.
struct OffloadConfig {
  double resident_share = 1;  ///< of a rank's experts of each layer that the GPU holds
  ExpertCachePolicy cache = ExpertCachePolicy::kLru;
  double prefetch_hit_rate = 0;  ///< of the missing experts guessed one layer ahead; 0: no prefetch. Wrong guesses are streamed in vain
  bool cpu_execution = false;    ///< missing experts may run on the CPU where that is faster than streaming them
  double link = 0;               ///< bytes/s from host memory to the GPU
  double cpu_bandwidth = 0;      ///< bytes/s at which the CPU reads weights, per GPU
  bool operator==(const OffloadConfig&) const = default;

  /// Experts of one layer that the GPU holds, of `local` that belong to it; two at least are in transit beside them.
  [[nodiscard]] int resident(int local) const;
};
/// Experts that the staging buffers hold: one in use while the next arrives.
inline constexpr int kStagedExperts = 2;

}  // namespace moeplan
