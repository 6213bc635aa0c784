// The schedulers of the serving engines by name, as settings of one mechanism (BatchPolicy, Replica): what shares a step, who is taken next,
// how much KV must be free, who goes when it runs out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "hardware/engine_profile.hpp"

namespace moeplan {

enum class SchedulingPolicy : std::uint8_t {
  kVllm,             ///< vLLM v1: every decode rides first, prompts fill the rest of the token budget in chunks
  kVllmPriority,     ///< the same with its priority queue: lower priorities wait, and are preempted first
  kSglang,           ///< prompts first, in steps of their own, longest cached prefix first; decodes when no prompt can run
  kTrtNoEvict,       ///< TensorRT-LLM GUARANTEED_NO_EVICT: in-flight batching, all KV a request may need is reserved at admission
  kTrtMaxUtilization,  ///< TensorRT-LLM MAX_UTILIZATION: in-flight batching, admits on the prompt and pauses requests when KV runs out
  kStatic,           ///< a batch runs from its first prompt to its last token before the next is formed
};
inline constexpr std::array<SchedulingPolicy, 6> kSchedulingPolicies = {SchedulingPolicy::kVllm,       SchedulingPolicy::kVllmPriority,
                                                                        SchedulingPolicy::kSglang,     SchedulingPolicy::kTrtNoEvict,
                                                                        SchedulingPolicy::kTrtMaxUtilization, SchedulingPolicy::kStatic};
std::string_view to_string(SchedulingPolicy policy);
std::optional<SchedulingPolicy> scheduling_policy(std::string_view name);

/// `config` with everything that makes up `policy`; sizes and limits stay.
SchedulerConfig with_policy(SchedulerConfig config, SchedulingPolicy policy);

}  // namespace moeplan
