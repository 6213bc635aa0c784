#include "study/replications.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <utility>

namespace moeplan {

namespace {

/// Two-sided 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5), within 0.3 % for 2 degrees of freedom or more.
double student_t(int degrees) {
  if (degrees == 1) return 12.7062;
  if (degrees == 2) return 4.3027;
  const double z = 1.959964;
  const double n = degrees;
  const double z3 = z * z * z;
  const double z5 = z3 * z * z;
  const double z7 = z5 * z * z;
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n);
}

/// Replaces `value` in the first result by the mean over replications and gives its 95 % interval.
template <class Get>
std::array<double, 2> average(std::vector<Result>& results, Get value) {
  const double n = static_cast<double>(results.size());
  double sum = 0;
  for (Result& r : results) sum += value(r);
  const double mean = sum / n;
  double squares = 0;
  for (Result& r : results) squares += (value(r) - mean) * (value(r) - mean);
  const double half = student_t(static_cast<int>(results.size()) - 1) * std::sqrt(squares / (n - 1) / n);
  value(results.front()) = mean;
  return {std::max(0.0, mean - half), mean + half};
}

}  // namespace

Result combine(std::vector<Result> results) {
  std::map<std::string, std::array<double, 2>> intervals;
  using Member = double LatencySummary::*;
  static constexpr std::array<std::pair<const char*, Member>, 6> kStatistics = {{{"mean", &LatencySummary::mean},
                                                                                 {"p50", &LatencySummary::p50},
                                                                                 {"p90", &LatencySummary::p90},
                                                                                 {"p95", &LatencySummary::p95},
                                                                                 {"p99", &LatencySummary::p99},
                                                                                 {"max", &LatencySummary::max}}};
  for (const LatencyMetric metric : kLatencyMetrics) {
    if ((*results.front().latency)[static_cast<std::size_t>(metric)].count == 0) continue;
    for (const auto& [name, member] : kStatistics) {
      intervals[fmt::format("{}.{}", to_string(metric), name)] =
          average(results, [metric, m = member](Result& r) -> double& { return (*r.latency)[static_cast<std::size_t>(metric)].*m; });
    }
  }
  intervals["throughput.requests_per_s"] = average(results, [](Result& r) -> double& { return r.throughput->requests_per_s; });
  intervals["throughput.output_tokens_per_s"] = average(results, [](Result& r) -> double& { return r.throughput->output_tokens_per_s; });
  average(results, [](Result& r) -> double& { return r.throughput->total_tokens_per_s; });
  average(results, [](Result& r) -> double& { return r.throughput->output_tokens_per_s_per_gpu; });
  if (results.front().throughput->offered_per_s) average(results, [](Result& r) -> double& { return *r.throughput->offered_per_s; });
  Result result = std::move(results.front());
  result.intervals = std::move(intervals);
  result.replications = static_cast<int>(results.size());
  return result;
}

}  // namespace moeplan
