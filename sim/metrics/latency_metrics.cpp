#include "metrics/latency_metrics.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

void LatencyMetrics::on_arrival(const RequestSpec& spec) {
  if (start_ != kNever) return;
  last_arrival_ = spec.arrival;
  if (spec.id != measured_.first()) {
    std::erase_if(pending_, [&](const Gap& g) { return g.at <= last_arrival_; });
    return;
  }
  start_ = spec.arrival;
  for (const Gap& g : pending_) add_gap(g);
  pending_ = {};
}

void LatencyMetrics::add_gap(const Gap& g) {
  if (g.at > start_) samples(LatencyMetric::kItl).add(to_seconds(g.gap).value(), static_cast<std::uint64_t>(g.tokens));
}

void LatencyMetrics::on_token_gaps(SimTime at, SimTime gap, std::int64_t tokens) {
  if (tokens <= 0) return;
  if (start_ != kNever) {
    add_gap({at, gap, tokens});
  } else if (at > last_arrival_) {
    pending_.push_back({at, gap, tokens});
  }
}

void LatencyMetrics::on_finished(const FinishedRequest& request) {
  if (!measured_.counts(request.spec.id)) return;
  samples(LatencyMetric::kTtft).add(ttft_of(request));
  samples(LatencyMetric::kE2e).add(e2e_of(request));
  samples(LatencyMetric::kQueue).add(queue_of(request));
  if (request.spec.output_tokens >= 2) samples(LatencyMetric::kTpot).add(tpot_of(request));
}

double LatencyMetrics::value(const LatencyStatistic& statistic) const {
  return value_of(of(statistic.metric), statistic);
}

}  // namespace moeplan
