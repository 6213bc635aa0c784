// Requests and tokens per second within the measured window (window_tally.hpp), the load offered in it, and whether the deployment kept up.
//
// A request counts where its last token falls, a prompt where the first token falls, an output token where it falls. Tokens of warm-up
// requests that fall into the window count: they are work that the machine did then. Closed loops: closed_loop_rate.hpp.
#pragma once

#include <optional>

#include "metrics/closed_loop_rate.hpp"
#include "metrics/saturation.hpp"

namespace moeplan {

struct Throughput {
  double window_s = 0;
  double requests_per_s = 0;
  double output_tokens_per_s = 0;
  double total_tokens_per_s = 0;          ///< prompt and output
  std::optional<double> offered_per_s{};  ///< requests/s; only where arrivals do not depend on completions and have a duration
  Saturation saturation = Saturation::kNone;
  /// Mean end-to-end latencies that the window is long; only where there is an offered load.
  std::optional<double> window_latencies{};
  /// Too short a window shows a machine filling up more than one at work.
  [[nodiscard]] bool shorter_than(double latencies) const { return window_latencies && *window_latencies < latencies; }

  [[nodiscard]] bool saturated() const { return saturation != Saturation::kNone; }
};

class ThroughputMetrics final : public Observer {
 public:
  explicit ThroughputMetrics(const MeasuredRequests& measured) : measured_(measured), tally_(measured), trend_(measured), loop_(measured) {}

  void on_arrival(const RequestSpec& spec) override {
    tally_.on_arrival(spec);
    trend_.on_arrival(spec);
    if (measured_.closed) loop_.on_arrival(spec);
    ++arrived_;
  }
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) override;
  void on_lost(const LostRequest& lost, SimTime at) override;
  void on_failed(const RequestSpec& spec, SimTime at) override;
  void on_token_gaps(SimTime at, SimTime gap, std::int64_t tokens) override;
  void on_finished(const FinishedRequest& request) override;
  void on_end(SimTime now) override;

  /// After on_end.
  [[nodiscard]] const Throughput& result() const { return result_; }

 private:
  [[nodiscard]] Saturation saturation() const;

  MeasuredRequests measured_;
  WindowTally tally_;
  LoadTrend trend_;
  ClosedLoopRate loop_;  ///< of a closed loop alone
  std::uint64_t arrived_ = 0;
  std::uint64_t finished_measured_ = 0;
  std::uint64_t turned_away_ = 0;  ///< measured requests that met a full queue
  double latency_sum_ = 0;
  Throughput result_;
};

}  // namespace moeplan
