// Service objectives: "<metric>_<statistic>": a bound on a latency, or a minimum throughput.
#pragma once

#include <map>
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
  std::string workload_class{};  ///< whose requests count; empty: all
};

/// Reads the `objectives` object. Throws InputError for an unknown metric or statistic, a bound without a unit, a bound that is not positive.
std::vector<Objective> parse_objectives(const JsonReader& reader);

/// Latency objectives of one workload class, by key; not ITL. Throws InputError.
std::vector<Objective> parse_class_objectives(const JsonReader& reader);

/// Latency objectives of single workload classes: "classes": { NAME: {...} } of the same object. Throws InputError also for a class that is
/// none of `names`.
std::map<std::string, std::vector<Objective>> parse_class_objectives(const JsonReader& reader, const std::vector<std::string>& names);

}  // namespace moeplan
