#include "study/steady_load.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

namespace {

constexpr std::uint64_t kDrawn = 10'000;
constexpr std::uint64_t kMostRows = 100'000;  ///< of a trace

/// Requests a second where that is the same at any time of a run; 0 elsewhere.
double constant_rate(const WorkloadConfig& workload) {
  const ArrivalConfig& a = workload.arrivals;
  if (mixes(workload) || !a.hourly_factors.empty() || a.process == ArrivalProcess::kTrace) return 0;
  return mean_rate(a);
}

bool has_recorded_lengths(const WorkloadConfig& workload) {
  return std::any_of(workload.classes.begin(), workload.classes.end(),
                     [](const WorkloadClass& c) { return c.prompt_tokens.kind == LengthKind::kTrace || c.output_tokens.kind == LengthKind::kTrace; });
}

/// Rows of a recorded trace are dealt so that each comes equally often.
MeanLengths mean_lengths_of_classes(const WorkloadConfig& workload) {
  MeanLengths mean;
  for (const ClassMeans& c : class_means(workload)) {
    mean.prompt_tokens += c.request_share * c.prompt_tokens;
    mean.output_tokens += c.request_share * c.output_tokens;
  }
  return mean;
}

}  // namespace

MeanLengths long_run_lengths(const WorkloadConfig& workload, std::uint64_t seed) {
  const ArrivalProcess process = workload.arrivals.process;
  if (mixes(workload) || process == ArrivalProcess::kClosed || process == ArrivalProcess::kBatch) return {};
  if (process != ArrivalProcess::kTrace && has_recorded_lengths(workload)) return mean_lengths_of_classes(workload);
  WorkloadConfig drawn = workload;
  // The machine is sized for the rows that it meets.
  drawn.requests = process == ArrivalProcess::kTrace ? std::min(drawn.requests, kMostRows) : kDrawn;
  drawn.warmup_requests = 0;
  return mean_of_all(drawn, seed);
}

std::optional<double> offered_rate(const WorkloadConfig& workload, const ThroughputSummary& measured) {
  if (!measured.offered_per_s) return std::nullopt;
  const double constant = constant_rate(workload);
  return constant > 0 ? constant : *measured.offered_per_s;
}

ServedRates served_rates(const WorkloadConfig& workload, const MeanLengths& lengths, const ThroughputSummary& measured, bool all_served) {
  const ServedRates seen{measured.requests_per_s, measured.total_tokens_per_s - measured.output_tokens_per_s, measured.output_tokens_per_s};
  if (!measured.offered_per_s || measured.saturated || measured.too_short || !all_served || !(seen.requests > 0)) return seen;
  const double rate = *offered_rate(workload, measured);
  if (mixes(workload)) return {rate, seen.input_tokens / seen.requests * rate, seen.output_tokens / seen.requests * rate};
  return {rate, rate * lengths.prompt_tokens, rate * lengths.output_tokens};
}

double throughput_value(ObjectiveKind kind, const ServedRates& served, const ThroughputSummary& measured, double goodput) {
  switch (kind) {
    case ObjectiveKind::kOutputTokensPerSecond: return served.output_tokens;
    case ObjectiveKind::kRequestsPerSecond: return served.requests;
    case ObjectiveKind::kGoodput: return measured.requests_per_s > 0 ? goodput * served.requests / measured.requests_per_s : goodput;
    case ObjectiveKind::kLatency: break;
  }
  MOEPLAN_CHECK(false);
  return 0;
}

}  // namespace moeplan
