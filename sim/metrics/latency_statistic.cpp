#include "metrics/latency_statistic.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/error.hpp"

namespace moeplan {

std::string_view to_string(LatencyMetric metric) {
  switch (metric) {
    case LatencyMetric::kTtft: return "ttft";
    case LatencyMetric::kTpot: return "tpot";
    case LatencyMetric::kItl: return "itl";
    case LatencyMetric::kE2e: return "e2e";
    case LatencyMetric::kQueue: return "queue";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::optional<LatencyStatistic> latency_statistic(std::string_view name) {
  const std::size_t split = name.find('_');
  if (split == std::string_view::npos) return std::nullopt;
  LatencyStatistic result;
  bool known = false;
  for (const LatencyMetric metric : kLatencyMetrics) {
    if (to_string(metric) != name.substr(0, split)) continue;
    result.metric = metric;
    known = true;
  }
  if (!known) return std::nullopt;
  const std::string_view statistic = name.substr(split + 1);
  if (statistic == "mean" || statistic == "max") {
    result.kind = statistic == "mean" ? LatencyStatistic::Kind::kMean : LatencyStatistic::Kind::kMax;
    return result;
  }
  if (statistic.size() < 2 || statistic[0] != 'p' || statistic[1] < '0' || statistic[1] > '9') return std::nullopt;
  double percent = 0;
  const char* const end = statistic.data() + statistic.size();
  const auto [stop, error] = std::from_chars(statistic.data() + 1, end, percent, std::chars_format::fixed);
  if (error != std::errc() || stop != end || !(percent > 0 && percent < 100)) return std::nullopt;
  result.quantile = percent / 100.0;
  return result;
}

std::string to_string(const LatencyStatistic& statistic) {
  const std::string_view metric = to_string(statistic.metric);
  switch (statistic.kind) {
    case LatencyStatistic::Kind::kMean: return fmt::format("{}_mean", metric);
    case LatencyStatistic::Kind::kMax: return fmt::format("{}_max", metric);
    // Twelve digits: 0.999 x 100 is not 99.9 in doubles.
    case LatencyStatistic::Kind::kQuantile: return fmt::format("{}_p{:.12g}", metric, statistic.quantile * 100.0);
  }
  MOEPLAN_CHECK(false);
  return {};
}

}  // namespace moeplan
