#include "metrics/goodput_metrics.hpp"

#include <algorithm>

namespace moeplan {

bool GoodputMetrics::meets(const FinishedRequest& request) const {
  return std::all_of(limits_.begin(), limits_.end(), [&](const LatencyLimit& limit) {
    switch (limit.metric) {
      case LatencyMetric::kTtft: return ttft_of(request) <= limit.seconds;
      case LatencyMetric::kE2e: return e2e_of(request) <= limit.seconds;
      case LatencyMetric::kQueue: return queue_of(request) <= limit.seconds;
      case LatencyMetric::kTpot:
      case LatencyMetric::kItl: return request.spec.output_tokens < 2 || tpot_of(request) <= limit.seconds;
    }
    return false;
  });
}

void GoodputMetrics::on_finished(const FinishedRequest& request) {
  const bool good = meets(request);
  // Late requests are told, too: a window without a fixed end reaches to the last token, good or not.
  tally_.add(request.last_token, {.finished = good ? 1 : 0, .rejected = 0, .output_tokens = 0, .prompt_tokens = 0});
  if (good && measured_.closed) loop_.add(stay_in_system(request));
  if (!measured_.counts(request.spec.id)) return;
  ++finished_;
  if (good) ++good_;
}

void GoodputMetrics::on_end(SimTime /*now*/) {
  tally_.finish();
  loop_.finish();
}

double GoodputMetrics::requests_per_s(double served_per_s) const {
  const double seconds = tally_.seconds();
  if (!(seconds > 0)) return 0;
  if (!tally_.ends_at_last_arrival()) return static_cast<double>(tally_.in_window().finished) / seconds;
  return measured_.closed ? loop_.requests / seconds : share() * served_per_s;
}

}  // namespace moeplan
