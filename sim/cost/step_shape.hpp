// The shape of one engine step: everything the cost model may know. No requests, no clock.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "calibration/kernel_shapes.hpp"

namespace moeplan {

/// Part of one prompt computed in a step.
struct PrefillChunk {
  std::int32_t tokens = 0;
  std::int32_t prefix = 0;  ///< tokens of that request already in the KV cache
  bool samples = false;     ///< the prompt ends here: one row goes through the LM head
};

/// Tokens of one step of one replica. With attention data parallelism the `rank_` figures are those of its busiest copy.
struct StepShape {
  std::int32_t decode_sequences = 0;        ///< whole replica
  std::int64_t decode_context = 0;          ///< KV tokens of those sequences, whole replica
  std::span<const PrefillChunk> prefill{};  ///< whole replica
};

/// Parts of a step's time, for the report.
enum class StepPart : std::uint8_t {
  kDenseGemm,  ///< QKV, output and MLA projections, dense FFN, shared experts
  kAttention,
  kExperts,
  kRouter,
  kElementwise,
  kLmHead,
  kAllReduce,  ///< tensor parallel
  kAllToAll,   ///< expert parallel dispatch and combine, or all-gather and reduce-scatter of attention data parallelism
  kPipeline,   ///< stage hand-over, and stages that wait for their part of a prompt that cannot be split
  kHost,
  kOffload,  ///< waiting for experts from host memory
};
inline constexpr int kStepParts = 11;
std::string_view to_string(StepPart part);

}  // namespace moeplan
