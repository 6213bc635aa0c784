// Prefill and decode pools apart, and the KV that goes from one to the other. Prefill replicas come first in the numbering.
#pragma once

#include <array>
#include <cstdint>

#include "metrics/samples.hpp"
#include "metrics/step_metrics.hpp"
#include "serving/observer.hpp"

namespace moeplan {

class PoolMetrics final : public Observer {
 public:
  /// Replicas and KV tokens per replica of the two pools; prompts below `stay_below` tokens are computed where they decode.
  PoolMetrics(std::array<std::int32_t, 2> replicas, std::array<StepMetrics::KvRoom, 2> kv_room, std::int32_t stay_below)
      : prefills_(replicas[0]), stay_below_(stay_below), pools_{StepMetrics(replicas[0], kv_room[0]), StepMetrics(replicas[1], kv_room[1])} {}

  void on_step(const StepRecord& step) override {
    const bool decode = step.replica >= prefills_;
    StepRecord own = step;
    if (decode) own.replica -= prefills_;
    pools_[decode ? 1 : 0].on_step(own);
  }
  void on_kv_transfer(const KvTransferRecord& r) override {
    wait_.add(to_seconds(r.start - r.ready).value());
    send_.add(to_seconds(r.end - r.start).value());
    bytes_ += r.bytes;
    hidden_ += r.hidden;
  }
  void on_finished(const FinishedRequest& r) override {
    ++ended_[r.replica >= prefills_ ? 1 : 0];
    stayed_ += r.spec.prompt_tokens < stay_below_ ? 1 : 0;
  }
  void on_end(SimTime now) override {
    for (StepMetrics& pool : pools_) pool.on_end(now);
  }

  [[nodiscard]] const StepMetrics& prefill() const { return pools_[0]; }
  [[nodiscard]] const StepMetrics& decode() const { return pools_[1]; }
  /// Seconds that finished prompts waited for room, and that their KV was sent after that.
  [[nodiscard]] const Samples& wait() const { return wait_; }
  [[nodiscard]] const Samples& send() const { return send_; }
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] Bytes hidden() const { return hidden_; }
  /// Requests that ended in the prefill pool (one output token), and in the decode pool.
  [[nodiscard]] const std::array<std::uint64_t, 2>& ended() const { return ended_; }

  /// Requests that were computed where they decoded.
  [[nodiscard]] std::uint64_t stayed() const { return stayed_; }

 private:
  std::int32_t prefills_;
  std::int32_t stay_below_;
  std::array<StepMetrics, 2> pools_;
  Samples wait_, send_;
  Bytes bytes_{0}, hidden_{0};
  std::array<std::uint64_t, 2> ended_{};
  std::uint64_t stayed_ = 0;
};

}  // namespace moeplan
