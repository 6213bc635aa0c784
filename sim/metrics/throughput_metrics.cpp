#include "metrics/throughput_metrics.hpp"

#include <algorithm>

namespace moeplan {

void ThroughputMetrics::on_arrival(const RequestSpec& spec) {
  tally_.on_arrival(spec);
  trend_.on_arrival(spec);
  if (spec.id == measured_.first()) stays_.start_at(spec.arrival);
  if (measured_.closed || spec.id < measured_.first()) stays_.reach(spec.arrival);
  ++arrived_;
}

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
  if (measured_.closed) {
    stays_.add(stay_in_system(request));
  } else if (!measured_.batch) {
    if (stays_.started()) stays_.reach(request.scheduled);
    stays_.add(stay_in_service(request));
  }
  if (!measured_.counts(request.spec.id)) return;
  ++finished_measured_;
  latency_sum_ += e2e_of(request);
  service_sum_ += e2e_of(request) - queue_of(request);
  trend_.add(request);
  // The first opens the window: the later ones arrive within.
  WindowCounts& of = request.spec.id == measured_.first() ? opening_ : served_;
  of += {.finished = 1, .rejected = 0, .output_tokens = request.spec.output_tokens, .prompt_tokens = request.spec.prompt_tokens};
}

void ThroughputMetrics::take(double requests, double output_tokens, double prompt_tokens, double seconds) {
  result_.requests_per_s = requests / seconds;
  result_.output_tokens_per_s = output_tokens / seconds;
  result_.total_tokens_per_s = (output_tokens + prompt_tokens) / seconds;
}

void ThroughputMetrics::take(const WindowCounts& counts, double seconds) {
  // Tokens lost in the window may have been made before it.
  take(static_cast<double>(counts.finished), static_cast<double>(std::max<std::int64_t>(0, counts.output_tokens)), static_cast<double>(counts.prompt_tokens), seconds);
}

void ThroughputMetrics::on_end(SimTime /*now*/) {
  tally_.finish();
  stays_.finish();
  const double seconds = tally_.seconds();
  result_.window_s = seconds;
  if (!(seconds > 0)) return;
  const bool windowed = tally_.ends_at_last_arrival();
  take(windowed || measured_.first() == 0 ? tally_.in_window() : measured_to_end(), seconds);
  if (measured_.closed && windowed) take(stays_.requests, stays_.output_tokens, stays_.prompt_tokens, seconds);
  result_.output_tokens_seen_per_s = result_.output_tokens_per_s;
  if (measured_.closed || !windowed) return;
  result_.offered_per_s = static_cast<double>(arrived_ - measured_.first() - 1) / seconds;
  result_.saturation = saturation();
  const auto finished = static_cast<double>(finished_measured_);
  if (finished_measured_ > 0 && latency_sum_ > 0) result_.window_latencies = seconds * finished / latency_sum_;
  if (finished_measured_ > 0 && service_sum_ > 0) result_.window_services = stays_.seconds() * finished / service_sum_;
  if (result_.keeps_up()) {
    take(served_, seconds);
  } else if (result_.saturated() && result_.window_services.value_or(0) >= 1) {
    take(stays_.requests, stays_.output_tokens, stays_.prompt_tokens, stays_.seconds());
  } else {
    take(measured_.first() == 0 ? tally_.to_last_token() : measured_to_end(), tally_.seconds_to_last_token());
  }
}

WindowCounts ThroughputMetrics::measured_to_end() const {
  WindowCounts sum = opening_;
  sum += served_;
  return sum;
}

Saturation ThroughputMetrics::saturation() const {
  if (static_cast<double>(turned_away_) > 0.01 * static_cast<double>(measured_.total - measured_.first())) return Saturation::kQueueFull;
  return growth_in(tally_, trend_, measured_, *result_.offered_per_s);
}

}  // namespace moeplan
