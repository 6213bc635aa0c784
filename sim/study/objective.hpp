// Service objectives: "<metric>_<statistic>": a bound on a latency, or a minimum throughput.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moeplan {

class JsonReader;

enum class LatencyMetric : unsigned char { kTtft, kTpot, kItl, kE2e, kQueue };
inline constexpr int kLatencyMetrics = 5;
std::string_view to_string(LatencyMetric metric);

enum class ObjectiveKind : unsigned char { kLatency, kOutputTokensPerSecond, kRequestsPerSecond, kGoodput };

struct Objective {
  std::string key;  ///< as written: "ttft_p99"
  ObjectiveKind kind = ObjectiveKind::kLatency;
  LatencyMetric metric = LatencyMetric::kTtft;
  double percentile = 0;  ///< 0 = mean
  double bound = 0;       ///< seconds (upper bound) or per second (lower bound)
};

/// Reads the `objectives` object. Throws InputError for an unknown metric or statistic, a bound without a unit, a negative bound.
std::vector<Objective> parse_objectives(const JsonReader& reader);

}  // namespace moeplan
