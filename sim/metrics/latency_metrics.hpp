// TTFT, TPOT, ITL, end-to-end and queue latencies of the requests after warm-up, as LatencyMetric defines them.
//
// Token gaps carry no request, so for ITL "after warm-up" means: tokens that came after the first measured request arrived.
#pragma once

#include <array>
#include <vector>

#include "metrics/latency_statistic.hpp"
#include "metrics/measured_requests.hpp"
#include "metrics/samples.hpp"

namespace moeplan {

class LatencyMetrics final : public Observer {
 public:
  explicit LatencyMetrics(const MeasuredRequests& measured) : measured_(measured) {}

  void on_arrival(const RequestSpec& spec) override;
  void on_finished(const FinishedRequest& request) override;
  void on_token_gaps(SimTime at, SimTime gap, std::int64_t tokens) override;

  [[nodiscard]] const Samples& of(LatencyMetric metric) const { return samples_[static_cast<std::size_t>(metric)]; }
  /// Seconds; 0 without samples.
  [[nodiscard]] double value(const LatencyStatistic& statistic) const;

 private:
  struct Gap {
    SimTime at;
    SimTime gap;
    std::int64_t tokens;
  };
  Samples& samples(LatencyMetric metric) { return samples_[static_cast<std::size_t>(metric)]; }
  void add_gap(const Gap& gap);

  MeasuredRequests measured_;
  std::array<Samples, 5> samples_;
  SimTime start_ = kNever;  ///< arrival of the first measured request, once known
  SimTime last_arrival_{-1};
  /// Gaps after the last arrival seen, while the start is unknown: a step may be reported before an arrival that falls within it.
  std::vector<Gap> pending_;
};

}  // namespace moeplan
