#include "metrics/throughput_metrics.hpp"

#include <algorithm>

namespace moeplan {

void ThroughputMetrics::on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) {
  tally_.add(at, {.finished = 0, .rejected = 1, .output_tokens = 0, .prompt_tokens = 0});
  if (reason == RejectReason::kQueueFull && measured_.counts(spec.id)) ++turned_away_;
}

// Tokens that a lost request had made were counted as they came, but for the first.
void ThroughputMetrics::on_lost(const LostRequest& lost, SimTime at) {
  if (lost.output_tokens > 1) tally_.add(at, {.finished = 0, .rejected = 0, .output_tokens = 1 - lost.output_tokens, .prompt_tokens = 0});
}

void ThroughputMetrics::on_failed(const RequestSpec& /*spec*/, SimTime at) {
  tally_.add(at, {.finished = 0, .rejected = 1, .output_tokens = 0, .prompt_tokens = 0});
}

void ThroughputMetrics::on_token_gaps(SimTime at, SimTime /*gap*/, std::int64_t tokens) {
  tally_.add(at, {.finished = 0, .rejected = 0, .output_tokens = tokens, .prompt_tokens = 0});
}

void ThroughputMetrics::on_finished(const FinishedRequest& request) {
  // The first token has no gap before it, so it is not among the token gaps.
  tally_.add(request.first_token, {.finished = 0, .rejected = 0, .output_tokens = 1, .prompt_tokens = request.spec.prompt_tokens});
  tally_.add(request.last_token, {.finished = 1, .rejected = 0, .output_tokens = 0, .prompt_tokens = 0});
  if (measured_.closed) loop_.on_finished(request);
  if (!measured_.counts(request.spec.id)) return;
  ++finished_measured_;
  latency_sum_ += e2e_of(request);
  trend_.add(request);
}

void ThroughputMetrics::on_end(SimTime /*now*/) {
  tally_.finish();
  WindowCounts sum = tally_.in_window();
  // Tokens lost in the window may have been made before it.
  sum.output_tokens = std::max<std::int64_t>(0, sum.output_tokens);
  const double seconds = tally_.seconds();
  result_.window_s = seconds;
  if (!(seconds > 0)) return;
  result_.requests_per_s = static_cast<double>(sum.finished) / seconds;
  result_.output_tokens_per_s = static_cast<double>(sum.output_tokens) / seconds;
  result_.total_tokens_per_s = static_cast<double>(sum.output_tokens + sum.prompt_tokens) / seconds;
  if (measured_.closed && tally_.ends_at_last_arrival()) {
    loop_.finish();
    result_.requests_per_s = loop_.requests / seconds;
    result_.output_tokens_per_s = loop_.output_tokens / seconds;
    result_.total_tokens_per_s = (loop_.output_tokens + loop_.prompt_tokens) / seconds;
  }
  if (measured_.closed || !tally_.ends_at_last_arrival()) return;
  // The first measured request opens the window: it is the later ones that arrive within.
  const auto later = static_cast<double>(arrived_ - measured_.first() - 1);
  result_.offered_per_s = later / seconds;
  result_.saturation = saturation();
  if (finished_measured_ > 0 && latency_sum_ > 0) result_.window_latencies = seconds * static_cast<double>(finished_measured_) / latency_sum_;
}

Saturation ThroughputMetrics::saturation() const {
  if (static_cast<double>(turned_away_) > 0.01 * static_cast<double>(measured_.total - measured_.first())) return Saturation::kQueueFull;
  return growth_in(tally_, trend_, measured_, *result_.offered_per_s);
}

}  // namespace moeplan
