// Goodput: requests per second that meet every latency limit, over the measured window (window_tally.hpp).
#pragma once

#include <vector>

#include "metrics/closed_loop_rate.hpp"
#include "metrics/latency_statistic.hpp"
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
      : measured_(measured), limits_(std::move(limits)), tally_(measured), loop_(measured) {}

  void on_arrival(const RequestSpec& spec) override {
    tally_.on_arrival(spec);
    if (measured_.closed) loop_.on_arrival(spec);
  }
  void on_finished(const FinishedRequest& request) override;
  void on_end(SimTime now) override;

  [[nodiscard]] bool meets(const FinishedRequest& request) const;
  /// After on_end: requests/s whose last token falls into the window and that meet all limits; of a closed loop, by closed_loop_rate.hpp.
  [[nodiscard]] double requests_per_s() const { return requests_per_s_; }
  /// Share of all measured requests that finished, in the window or after, that meet all limits; 1 when there are none.
  [[nodiscard]] double share() const { return finished_ == 0 ? 1.0 : static_cast<double>(good_) / static_cast<double>(finished_); }

 private:
  MeasuredRequests measured_;
  std::vector<LatencyLimit> limits_;
  WindowTally tally_;
  ClosedLoopRate loop_;  ///< of a closed loop's good requests
  std::uint64_t finished_ = 0;
  std::uint64_t good_ = 0;
  double requests_per_s_ = 0;
};

}  // namespace moeplan
