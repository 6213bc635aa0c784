// Goodput: requests per second that meet every latency limit: of what throughput_metrics.hpp counts.
#pragma once

#include <vector>

#include "metrics/latency_statistic.hpp"
#include "metrics/stay_rate.hpp"
#include "metrics/window_tally.hpp"

namespace moeplan {

/// A request meets it when its latency is at most `seconds`. ITL is judged by the mean gap of the request, its TPOT; a request of one
/// output token meets any limit on either.
struct LatencyLimit {
  LatencyMetric metric = LatencyMetric::kTtft;
  double seconds = 0;
};

class GoodputMetrics final : public Observer {
 public:
  GoodputMetrics(const MeasuredRequests& measured, std::vector<LatencyLimit> limits)
      : measured_(measured), limits_(std::move(limits)), tally_(measured) {}

  void on_arrival(const RequestSpec& spec) override {
    tally_.on_arrival(spec);
    if (!measured_.closed) return;
    if (spec.id == measured_.first()) loop_.start_at(spec.arrival);
    loop_.reach(spec.arrival);
  }
  void on_finished(const FinishedRequest& request) override;
  void on_end(SimTime now) override;

  [[nodiscard]] bool meets(const FinishedRequest& request) const;
  /// After on_end: requests/s that meet all limits, where `served_per_s` are served in all: of open arrivals the good share of them.
  [[nodiscard]] double requests_per_s(double served_per_s) const;
  /// Share of all measured requests that finished, in the window or after, that meet all limits; 1 when there are none.
  [[nodiscard]] double share() const { return finished_ == 0 ? 1.0 : static_cast<double>(good_) / static_cast<double>(finished_); }

 private:
  MeasuredRequests measured_;
  std::vector<LatencyLimit> limits_;
  WindowTally tally_;
  StayRate loop_;  ///< of a closed loop's good requests
  std::uint64_t finished_ = 0;
  std::uint64_t good_ = 0;
};

}  // namespace moeplan
