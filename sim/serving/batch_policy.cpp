#include "serving/batch_policy.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

BatchPolicy::BatchPolicy(const SchedulerConfig& config)
    : mode_(config.prefill_mode),
      prefill_group_(config.prefill_wait_steps > 0 ? config.prefill_group : 1),
      prefill_wait_(config.prefill_wait_steps),
      order_(config.queue_order),
      preempts_for_priority_(config.preempt_for_priority),
      max_queued_requests_(config.max_queued_requests),
      max_queued_tokens_(config.max_queued_tokens),
      chunked_(config.chunked_prefill),
      max_tokens_(config.max_batch_tokens),
      copies_(static_cast<std::size_t>(std::max(1, config.prefill_group))),
      max_chunk_(std::max(1, config.max_batch_tokens / std::max(1, config.prefill_group))),
      max_requests_(std::min(config.max_batch_requests, config.max_batch_tokens)),
      max_context_(config.max_context),
      reserve_(config.admission_output_reserve),
      schedules_ahead_(config.schedules_ahead) {
  MOEPLAN_CHECK(config.max_batch_requests > 0);
  MOEPLAN_CHECK(config.max_batch_tokens > 0);
  MOEPLAN_CHECK(config.max_context >= 0);
  MOEPLAN_CHECK(reserve_ >= 0.0 && reserve_ <= 1.0);
}

}  // namespace moeplan
