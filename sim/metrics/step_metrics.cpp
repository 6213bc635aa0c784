#include "metrics/step_metrics.hpp"

#include <algorithm>
#include <numeric>

#include "base/error.hpp"

namespace moeplan {

StepMetrics::StepMetrics(std::int32_t replicas, KvRoom kv_room)
    : kv_in_bytes_(kv_room.bytes.value() > 0), kv_capacity_(kv_in_bytes_ ? kv_room.bytes.value() : kv_room.tokens), busy_(static_cast<std::size_t>(replicas)) {}

void StepMetrics::on_step(const StepRecord& step) {
  const PreparedStep& prepared = *step.prepared;
  const StepOutcome& outcome = *step.outcome;
  StepKind& kind = kinds_[prepared.pure_decode ? 1 : 0];
  ++kind.steps;
  kind.seconds += outcome.seconds;
  for (std::size_t i = 0; i < kStepParts; ++i) kind.part_seconds[i] += prepared.fixed_parts[i];
  kind.part_seconds[static_cast<std::size_t>(StepPart::kAttention)] += outcome.attention_seconds;
  kind.part_seconds[static_cast<std::size_t>(StepPart::kExperts)] += outcome.experts_seconds;
  kind.part_seconds[static_cast<std::size_t>(StepPart::kAllToAll)] += outcome.all_to_all_seconds + outcome.contention_seconds - outcome.hidden_seconds;
  kind.part_seconds[static_cast<std::size_t>(StepPart::kOffload)] += outcome.offload_seconds;
  kind.part_seconds[static_cast<std::size_t>(StepPart::kHost)] += outcome.launch_wait_seconds;
  for (std::size_t i = 0; i < kOrigins; ++i) origin_seconds_[i] += prepared.fixed_origins[i];
  origin_seconds_[static_cast<std::size_t>(outcome.attention_origin)] += outcome.attention_seconds;
  origin_seconds_[static_cast<std::size_t>(outcome.experts_origin)] += outcome.experts_seconds + outcome.all_to_all_seconds;
  hottest_.add(outcome.hottest_over_mean);
  distinct_sum_ += outcome.distinct_experts;
  imbalance_seconds_ += outcome.imbalance_seconds;
  const double tokens = static_cast<double>(prepared.decode_sequences) + prepared.prefill_tokens;
  tokens_ += tokens;
  degraded_tokens_ += outcome.degraded_tokens * tokens;
  if (step.stall.count() > 0) {
    ++rebalances_;
    stall_seconds_ += to_seconds(step.stall).value();
  }
  running_sum_ += step.running;
  if (prepared.pure_decode) {
    decode_batch_sum_ += prepared.decode_sequences;
  } else if (prepared.decode_sequences > 0) {
    ++mixed_.steps;
    mixed_.seconds += outcome.seconds;
    mixed_.decode_sequences += prepared.decode_sequences;
    mixed_.decode_context += static_cast<double>(step.decode_context);
  }
  const SimTime duration = step.end - step.start;
  const double seconds = to_seconds(duration).value();
  step_seconds_ += seconds;
  const std::int64_t kv_used = kv_in_bytes_ ? step.kv_bytes_used.value() : step.kv_tokens_used;
  kv_seconds_ += static_cast<double>(kv_used) * seconds;
  kv_peak_ = std::max(kv_peak_, kv_used);
  busy_[static_cast<std::size_t>(step.replica)] += duration;
}

std::array<double, kOrigins> StepMetrics::origin_shares() const {
  std::array<double, kOrigins> shares = origin_seconds_;
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share = sum > 0 ? share / sum : 0.0;
  return shares;
}

double StepMetrics::mean_decode_batch() const {
  return kinds_[1].steps == 0 ? 0.0 : decode_batch_sum_ / static_cast<double>(kinds_[1].steps);
}

double StepMetrics::utilisation(std::int32_t replica) const {
  return end_.count() > 0 ? to_seconds(busy_.at(static_cast<std::size_t>(replica))) / to_seconds(end_) : 0.0;
}

double StepMetrics::mean_utilisation() const {
  double sum = 0;
  for (std::size_t i = 0; i < busy_.size(); ++i) sum += utilisation(static_cast<std::int32_t>(i));
  return busy_.empty() ? 0.0 : sum / static_cast<double>(busy_.size());
}

double StepMetrics::mean_kv_utilisation() const {
  return step_seconds_ > 0 && kv_capacity_ > 0 ? kv_seconds_ / step_seconds_ / static_cast<double>(kv_capacity_) : 0.0;
}

double StepMetrics::peak_kv_utilisation() const {
  return kv_capacity_ > 0 ? static_cast<double>(kv_peak_) / static_cast<double>(kv_capacity_) : 0.0;
}

}  // namespace moeplan
