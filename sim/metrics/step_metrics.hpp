// Where the machine's time goes: steps by kind and by part, what the times rest on, how unevenly experts are loaded, how busy replicas are.
//
// Over the whole run, warm-up and drain included. Called once a step, so it only adds.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/log_histogram.hpp"
#include "serving/observer.hpp"

namespace moeplan {

/// Steps of one kind. Parts are shares of the kind's time, so that long steps count more.
struct StepKind {
  std::uint64_t steps = 0;
  double seconds = 0;                             ///< in all
  std::array<double, kStepParts> part_seconds{};  ///< in all, by StepPart

  [[nodiscard]] double mean_seconds() const { return steps == 0 ? 0.0 : seconds / static_cast<double>(steps); }
  [[nodiscard]] double share(StepPart part) const { return seconds > 0 ? part_seconds[static_cast<std::size_t>(part)] / seconds : 0.0; }
};

/// Steps that decode and carry prefill.
struct MixedSteps {
  std::uint64_t steps = 0;
  double seconds = 0;           ///< in all
  double decode_sequences = 0;  ///< summed over steps
  double decode_context = 0;    ///< KV tokens of those sequences, summed over steps
};

class StepMetrics final : public Observer {
 public:
  /// Of one replica's KV cache, for its utilisation: in tokens where each takes the same room and none is shared, else in bytes.
  struct KvRoom {
    std::int64_t tokens = 0;
    Bytes bytes{0};  ///< 0: tokens count
  };
  StepMetrics(std::int32_t replicas, KvRoom kv_room);

  void on_step(const StepRecord& step) override;
  void on_end(SimTime now) override { end_ = now; }

  [[nodiscard]] const StepKind& decode() const { return kinds_[1]; }   ///< steps that only decode
  [[nodiscard]] const StepKind& prefill() const { return kinds_[0]; }  ///< steps that carry prefill, alone or beside decodes
  [[nodiscard]] const MixedSteps& mixed() const { return mixed_; }     ///< those of prefill() that also decode
  [[nodiscard]] std::uint64_t steps() const { return kinds_[0].steps + kinds_[1].steps; }

  /// Share of the simulated kernel time by Origin, host time excluded. Adds up to 1 (all 0 without steps). The exposed all-to-all of a
  /// routing draw goes with the origin of the experts.
  [[nodiscard]] std::array<double, kOrigins> origin_shares() const;

  /// Load of the hottest expert rank over the mean rank, over steps; quantiles within 0.1 %.
  [[nodiscard]] const LogHistogram& hottest_over_mean() const { return hottest_; }
  /// Experts touched per MoE layer, mean over steps.
  [[nodiscard]] double mean_distinct_experts() const { return per_step(distinct_sum_); }

  /// Share of the time of all steps that an even load of the expert ranks would save.
  [[nodiscard]] double imbalance_share() const { return seconds() > 0 ? imbalance_seconds_ / seconds() : 0.0; }
  /// Share of the tokens that lost an expert to its capacity, per MoE layer.
  [[nodiscard]] double degraded_token_share() const { return tokens_ > 0 ? degraded_tokens_ / tokens_ : 0.0; }
  /// How often replicas moved experts to new places, and the seconds that they stood still for it, over all replicas.
  [[nodiscard]] std::uint64_t rebalances() const { return rebalances_; }
  [[nodiscard]] double stall_seconds() const { return stall_seconds_; }

  /// Requests running in a step, mean over steps.
  [[nodiscard]] double mean_running() const { return per_step(running_sum_); }
  /// Sequences decoding in a step that only decodes, mean over those.
  [[nodiscard]] double mean_decode_batch() const;
  /// Share of the run during which `replica` was in a step. 0 before on_end.
  [[nodiscard]] double utilisation(std::int32_t replica) const;
  [[nodiscard]] double mean_utilisation() const;
  /// KV cache in use over capacity: mean weighted with step time, and the largest seen in a step.
  [[nodiscard]] double mean_kv_utilisation() const;
  [[nodiscard]] double peak_kv_utilisation() const;

 private:
  [[nodiscard]] double per_step(double sum) const { return steps() == 0 ? 0.0 : sum / static_cast<double>(steps()); }

  std::array<StepKind, 2> kinds_{};
  MixedSteps mixed_;
  std::array<double, kOrigins> origin_seconds_{};
  LogHistogram hottest_{0.001, 1.0, 1e5};
  [[nodiscard]] double seconds() const { return kinds_[0].seconds + kinds_[1].seconds; }

  double distinct_sum_ = 0;
  double imbalance_seconds_ = 0;
  double tokens_ = 0;
  double degraded_tokens_ = 0;
  std::uint64_t rebalances_ = 0;
  double stall_seconds_ = 0;
  double running_sum_ = 0;
  double decode_batch_sum_ = 0;
  double kv_seconds_ = 0;
  double step_seconds_ = 0;
  std::int64_t kv_peak_ = 0;
  bool kv_in_bytes_;
  std::int64_t kv_capacity_;
  std::vector<SimTime> busy_;
  SimTime end_{0};
};

}  // namespace moeplan
