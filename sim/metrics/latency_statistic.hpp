// The names of latency figures, as objectives and intervals spell them: "ttft_p99", "tpot_mean", "e2e_p99.9".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace moeplan {

/// TTFT: first token - arrival. TPOT: (last - first) / (output tokens - 1), for two output tokens or more. ITL: gaps between tokens,
/// pooled. E2E: last token - arrival. Queue: arrival to first scheduled. All in seconds.
enum class LatencyMetric : std::uint8_t { kTtft, kTpot, kItl, kE2e, kQueue };
inline constexpr std::array<LatencyMetric, 5> kLatencyMetrics = {LatencyMetric::kTtft, LatencyMetric::kTpot, LatencyMetric::kItl,
                                                                 LatencyMetric::kE2e, LatencyMetric::kQueue};
/// "ttft", "tpot", "itl", "e2e", "queue".
std::string_view to_string(LatencyMetric metric);

struct LatencyStatistic {
  enum class Kind : std::uint8_t { kMean, kQuantile, kMax };
  LatencyMetric metric = LatencyMetric::kTtft;
  Kind kind = Kind::kQuantile;
  double quantile = 0.99;  ///< of kQuantile
};

/// Parses "<metric>_<statistic>" with mean, max or pN, 0 < N < 100 with decimals allowed; nothing when it is none.
std::optional<LatencyStatistic> latency_statistic(std::string_view name);

/// Inverse of latency_statistic.
std::string to_string(const LatencyStatistic& statistic);

}  // namespace moeplan
