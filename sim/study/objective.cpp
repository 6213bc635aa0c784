#include "study/objective.hpp"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/json_reader.hpp"
#include "input/unit_text.hpp"

namespace moeplan {

namespace {

constexpr std::array<LatencyMetric, kLatencyMetrics> kAll = {LatencyMetric::kTtft, LatencyMetric::kTpot, LatencyMetric::kItl,
                                                             LatencyMetric::kE2e, LatencyMetric::kQueue};
constexpr std::string_view kAccepted =
    "accepted: ttft, tpot, itl, e2e or queue with _mean or a percentile from _p50 to _p99.9, and output_tokens_per_s, requests_per_s, goodput";

std::optional<LatencyMetric> metric_named(std::string_view name) {
  for (const LatencyMetric m : kAll) {
    if (to_string(m) == name) return m;
  }
  return std::nullopt;
}

/// Percentile of "mean" (0) or "p50" ... "p99.9"; nothing for other text.
std::optional<double> percentile_named(std::string_view name) {
  if (name == "mean") return 0.0;
  if (name.size() < 2 || name.front() != 'p') return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), value);
  if (error != std::errc{} || end != name.data() + name.size() || value < 50.0 || value > 99.9) return std::nullopt;
  return value;
}

[[noreturn]] void refuse(const JsonReader& reader, const std::string& key) {
  const std::vector<std::string> known = {"ttft_p50", "ttft_p90", "ttft_p99", "ttft_mean", "tpot_p50", "tpot_p90", "tpot_p99", "tpot_mean",
                                          "itl_p99",  "e2e_p50",  "e2e_p99",  "queue_p99", "goodput",  "requests_per_s", "output_tokens_per_s"};
  reader.fail("unknown objective '" + key + "'" + did_you_mean(key, known) + "; " + std::string(kAccepted));
}

Objective parse_one(const JsonReader& objectives, const std::string& key, const JsonReader& value) {
  Objective objective;
  objective.key = key;
  if (key == "output_tokens_per_s" || key == "requests_per_s" || key == "goodput") {
    objective.kind = key == "goodput"          ? ObjectiveKind::kGoodput
                     : key == "requests_per_s" ? ObjectiveKind::kRequestsPerSecond
                                               : ObjectiveKind::kOutputTokensPerSecond;
    if (value.value().is_number()) {
      objective.bound = value.value().get<double>();
    } else {
      objective.bound = objectives.rate_per_second(key);
    }
    if (!(objective.bound > 0)) value.fail("a minimum must be positive");
    return objective;
  }
  const auto underscore = key.find('_');
  if (underscore == std::string::npos) refuse(objectives, key);
  const auto metric = metric_named(std::string_view(key).substr(0, underscore));
  const auto percentile = percentile_named(std::string_view(key).substr(underscore + 1));
  if (!metric || !percentile) refuse(objectives, key);
  objective.metric = *metric;
  objective.percentile = *percentile;
  objective.bound = objectives.duration(key).value();
  if (!(objective.bound > 0)) value.fail("a latency objective must be positive");
  return objective;
}

}  // namespace

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

std::vector<Objective> parse_objectives(const JsonReader& reader) {
  std::vector<Objective> objectives;
  for (const auto& [key, value] : reader.members()) objectives.push_back(parse_one(reader, key, value));
  return objectives;
}

}  // namespace moeplan
