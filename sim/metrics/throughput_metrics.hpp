// Requests and tokens per second that a deployment serves, the load offered to it, and whether it keeps up.
//
// Open arrivals, over the measured window (first measured arrival, last arrival]:
// - A deployment that keeps up serves what arrives: the requests that arrive in the window and are completed, then or later, with their tokens. What
//   ends in the window would be less, by a machine that is still filling up: a fifth in a run of a few minutes.
// - One that does not keep up serves what it can: each request by the share of its time in service that falls between the first measured arrival and the
//   moment at which the last request enters a step (stay_rate.hpp), so that neither filling nor draining counts.
// - A run shorter than one mean latency (overloaded: one mean time in service) shows neither: it is measured as a batch is, to its last token, without
//   what the requests of the warm-up get done.
// Closed loops: clients over latency (stay_rate.hpp). Batches: from 0 to the last token.
#pragma once

#include <optional>

#include "metrics/saturation.hpp"
#include "metrics/stay_rate.hpp"

namespace moeplan {

struct Throughput {
  double window_s = 0;
  double requests_per_s = 0;
  double output_tokens_per_s = 0;
  double total_tokens_per_s = 0;          ///< prompt and output
  std::optional<double> offered_per_s{};  ///< requests/s; only where arrivals do not depend on completions and have a duration
  Saturation saturation = Saturation::kNone;
  /// Output tokens that fall into the window, per second of it, as a client counts who measures a server; of a closed loop output_tokens_per_s.
  double output_tokens_seen_per_s = 0;
  /// Mean end-to-end latencies that the window is long; only where there is an offered load.
  std::optional<double> window_latencies{};
  /// Mean times in service from the first measured arrival to the moment at which the last request enters a step.
  std::optional<double> window_services{};
  /// Too short a window shows a machine filling up more than one at work.
  [[nodiscard]] bool shorter_than(double latencies) const { return window_latencies && *window_latencies < latencies; }

  [[nodiscard]] bool saturated() const { return saturation != Saturation::kNone; }
  /// Of open arrivals: what arrives is served, as far as the run is long enough to tell.
  [[nodiscard]] bool keeps_up() const { return offered_per_s && !saturated() && !shorter_than(1); }
};

class ThroughputMetrics final : public Observer {
 public:
  explicit ThroughputMetrics(const MeasuredRequests& measured) : measured_(measured), tally_(measured), trend_(measured) {}

  void on_arrival(const RequestSpec& spec) override;
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
  [[nodiscard]] WindowCounts measured_to_end() const;
  void take(double requests, double output_tokens, double prompt_tokens, double seconds);
  void take(const WindowCounts& counts, double seconds);

  MeasuredRequests measured_;
  WindowTally tally_;
  LoadTrend trend_;
  StayRate stays_;       ///< in the system (closed loops) or in service
  WindowCounts served_;   ///< of measured requests but the first, whenever they end
  WindowCounts opening_;  ///< of the first
  std::uint64_t arrived_ = 0;
  std::uint64_t finished_measured_ = 0;
  std::uint64_t turned_away_ = 0;  ///< measured requests that met a full queue
  double latency_sum_ = 0, service_sum_ = 0;
  Throughput result_;
};

}  // namespace moeplan
