#include "serving/scheduling_policy.hpp"

#include "base/error.hpp"

namespace moeplan {
namespace {

/// SGLang's schedule conservativeness: it expects this share of the longest outputs to be written (initial new_token_ratio 0.7 decaying to
/// 0.1 with the load; the catalogue's value, fitted on its serving runs).
constexpr double kSglangReserve = 0.6;

SchedulerConfig in_flight(SchedulerConfig c, double reserve) {
  c.prefill_mode = PrefillMode::kMixed;
  c.chunked_prefill = true;
  c.admission_output_reserve = reserve;
  c.queue_order = QueueOrder::kArrival;
  c.preempt_for_priority = false;
  return c;
}

SchedulerConfig vllm_priority(SchedulerConfig c) {
  c = in_flight(c, 0.0);
  c.queue_order = QueueOrder::kPriority;
  c.preempt_for_priority = true;
  return c;
}

SchedulerConfig sglang(SchedulerConfig c) {
  c = in_flight(c, kSglangReserve);
  c.prefill_mode = PrefillMode::kSeparate;
  c.queue_order = QueueOrder::kLongestPrefix;
  return c;
}

SchedulerConfig fixed_batches(SchedulerConfig c) {
  c = in_flight(c, 1.0);
  c.prefill_mode = PrefillMode::kStatic;
  c.chunked_prefill = false;
  return c;
}

}  // namespace

SchedulerConfig with_policy(SchedulerConfig config, SchedulingPolicy policy) {
  switch (policy) {
    case SchedulingPolicy::kVllm: return in_flight(config, 0.0);
    case SchedulingPolicy::kVllmPriority: return vllm_priority(config);
    case SchedulingPolicy::kSglang: return sglang(config);
    case SchedulingPolicy::kTrtNoEvict: return in_flight(config, 1.0);
    case SchedulingPolicy::kTrtMaxUtilization: return in_flight(config, 0.0);
    case SchedulingPolicy::kStatic: return fixed_batches(config);
  }
  MOEPLAN_CHECK(false);
  return config;
}

std::string_view to_string(SchedulingPolicy policy) {
  switch (policy) {
    case SchedulingPolicy::kVllm: return "vllm";
    case SchedulingPolicy::kVllmPriority: return "vllm_priority";
    case SchedulingPolicy::kSglang: return "sglang";
    case SchedulingPolicy::kTrtNoEvict: return "tensorrt_llm_no_evict";
    case SchedulingPolicy::kTrtMaxUtilization: return "tensorrt_llm_max_utilization";
    case SchedulingPolicy::kStatic: return "static";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::optional<SchedulingPolicy> scheduling_policy(std::string_view name) {
  for (const SchedulingPolicy policy : kSchedulingPolicies) {
    if (to_string(policy) == name) return policy;
  }
  return std::nullopt;
}

}  // namespace moeplan
