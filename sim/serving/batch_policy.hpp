// Which tokens share a step: the one thing in which the schedulers of vLLM, TensorRT-LLM and SGLang differ that a capacity planner sees.
//
// Mixed: all decodes ride, prompts take what is left of the token budget. Separate: a step is prefill while there is prompt to compute,
// else decode. Static: separate, and nobody is admitted until all of a batch have ended. Without chunking only whole prompts run: at least one per prefill and copy of attention, more while the budget lasts
// (so a prompt longer than the budget still runs, as an engine configured for such prompts would let it). With chunking a copy computes no more
// than its share of the budget of one prompt, and every copy may have one computed in part.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hardware/engine_profile.hpp"

namespace moeplan {

class BatchPolicy {
 public:
  /// REQUIRES: max_batch_requests > 0, max_batch_tokens > 0, 0 <= admission_output_reserve <= 1. At most max_batch_tokens requests run at
  /// once, since each needs a token per step.
  explicit BatchPolicy(const SchedulerConfig& config);

  [[nodiscard]] bool mixed() const { return mode_ == PrefillMode::kMixed; }
  [[nodiscard]] bool fixed_batch() const { return mode_ == PrefillMode::kStatic; }
  [[nodiscard]] bool by_priority() const { return order_ == QueueOrder::kPriority; }
  [[nodiscard]] bool preempts_for_priority() const { return preempts_for_priority_ && by_priority(); }
  [[nodiscard]] bool longest_prefix_first() const { return order_ == QueueOrder::kLongestPrefix; }
  /// Whether a request of `prompt` tokens is rejected that finds `requests` with `tokens` prompt tokens waiting.
  [[nodiscard]] bool queue_full(std::int64_t requests, std::int64_t tokens, std::int64_t prompt) const {
    return (max_queued_requests_ > 0 && requests >= max_queued_requests_) || (max_queued_tokens_ > 0 && tokens + prompt > max_queued_tokens_);
  }
  /// Whether even an empty queue is too short for a prompt.
  [[nodiscard]] bool never_queues(std::int64_t prompt) const { return max_queued_tokens_ > 0 && prompt > max_queued_tokens_; }
  [[nodiscard]] std::int32_t max_requests() const { return max_requests_; }
  /// Share of all output not yet written whose KV must be free when a request is admitted.
  [[nodiscard]] double reserve() const { return reserve_; }
  /// Longest prompt plus output accepted; 0: any.
  [[nodiscard]] std::int64_t max_context() const { return max_context_; }

  /// Copies of attention that wait until each has a prompt, and the decode steps after which they do no longer.
  [[nodiscard]] std::int32_t prefill_group() const { return prefill_group_; }
  [[nodiscard]] std::int32_t prefill_wait() const { return prefill_wait_; }
  /// Whether a step is decided as the one before it starts.
  [[nodiscard]] bool schedules_ahead() const { return schedules_ahead_; }
  /// Prompt tokens that may run beside `decodes` decoding sequences.
  [[nodiscard]] std::int32_t prefill_budget(std::int32_t decodes) const {
    if (!mixed()) return max_tokens_;
    return max_tokens_ > decodes ? max_tokens_ - decodes : 0;
  }
  /// Copies of attention that compute prompts side by side.
  [[nodiscard]] std::size_t copies() const { return copies_; }
  /// Prompt tokens that one of them may have in a step beside its first prompt.
  [[nodiscard]] std::int32_t copy_budget() const { return max_chunk_; }
  /// Tokens of a prompt with `left` tokens to compute when `budget` remain in a step that has `prompts` already; 0: not in this step.
  [[nodiscard]] std::int32_t chunk(std::int32_t left, std::int32_t budget, std::size_t prompts) const {
    if (chunked_) return std::min({left, budget, max_chunk_});
    return left <= budget || prompts < copies_ ? left : 0;
  }

 private:
  PrefillMode mode_;
  std::int32_t prefill_group_;
  std::int32_t prefill_wait_;
  QueueOrder order_;
  bool preempts_for_priority_;
  std::int64_t max_queued_requests_;
  std::int64_t max_queued_tokens_;
  bool chunked_;
  std::int32_t max_tokens_;
  std::size_t copies_;
  std::int32_t max_chunk_;
  std::int32_t max_requests_;
  std::int64_t max_context_;
  double reserve_;
  bool schedules_ahead_;
};

}  // namespace moeplan
