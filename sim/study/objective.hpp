// Service objectives: "<metric>_<statistic>": a bound on a latency, or a minimum throughput.
#pragma once

#include <string>
#include <vector>

#include "metrics/latency_statistic.hpp"

namespace moeplan {

class JsonReader;

enum class ObjectiveKind : std::uint8_t { kLatency, kOutputTokensPerSecond, kRequestsPerSecond, kGoodput };

struct Objective {
  std::string key;  ///< as written: "ttft_p99"
  ObjectiveKind kind = ObjectiveKind::kLatency;
  LatencyStatistic statistic;  ///< of kLatency
  double bound = 0;            ///< seconds (upper bound) or per second (lower bound)
};

/// Reads the `objectives` object. Throws InputError for an unknown metric or statistic, a bound without a unit, a bound that is not positive.
std::vector<Objective> parse_objectives(const JsonReader& reader);

}  // namespace moeplan
