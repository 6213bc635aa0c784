#include "study/objective.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/json_reader.hpp"

namespace moeplan {

namespace {

ObjectiveKind kind_of(const std::string& key) {
  if (key == "output_tokens_per_s") return ObjectiveKind::kOutputTokensPerSecond;
  if (key == "requests_per_s") return ObjectiveKind::kRequestsPerSecond;
  if (key == "goodput") return ObjectiveKind::kGoodput;
  return ObjectiveKind::kLatency;
}

[[noreturn]] void refuse(const JsonReader& objectives, const std::string& key) {
  const std::vector<std::string> known = {"ttft_mean", "ttft_p50", "ttft_p90",  "ttft_p99",  "tpot_mean", "tpot_p50",       "tpot_p90",
                                          "tpot_p99",  "itl_p99",  "e2e_mean",  "e2e_p50",   "e2e_p99",   "queue_p99",      "goodput",
                                          "requests_per_s", "output_tokens_per_s"};
  objectives.fail("unknown objective '" + key + "'" + did_you_mean(key, known) +
                  "; accepted: ttft, tpot, itl, e2e or queue with _mean or _p50 to _p99.9, and output_tokens_per_s, requests_per_s, goodput");
}

Objective parse_one(const JsonReader& objectives, const std::string& key, const JsonReader& value) {
  Objective objective;
  objective.key = key;
  objective.kind = kind_of(key);
  if (objective.kind != ObjectiveKind::kLatency) {
    objective.bound = value.value().is_number() ? value.value().get<double>() : objectives.rate_per_second(key);
    if (!(objective.bound > 0)) value.fail("a minimum must be positive");
    return objective;
  }
  const auto statistic = latency_statistic(key);
  if (!statistic || (statistic->kind == LatencyStatistic::Kind::kQuantile && (statistic->quantile < 0.5 || statistic->quantile > 0.999 + 1e-12))) {
    refuse(objectives, key);
  }
  objective.statistic = *statistic;
  objective.bound = objectives.duration(key).value();
  if (!(objective.bound > 0)) value.fail("a latency objective must be positive");
  return objective;
}

}  // namespace

std::vector<Objective> parse_objectives(const JsonReader& reader) {
  std::vector<Objective> objectives;
  for (const auto& [key, value] : reader.members()) {
    if (key != "classes") objectives.push_back(parse_one(reader, key, value));
  }
  return objectives;
}

std::vector<Objective> parse_class_objectives(const JsonReader& reader) {
  std::vector<Objective> objectives;
  for (const auto& [key, bound] : reader.members()) {
    objectives.push_back(parse_one(reader, key, bound));
    if (objectives.back().kind != ObjectiveKind::kLatency || objectives.back().statistic.metric == LatencyMetric::kItl) {
      bound.fail("a class has objectives on ttft, tpot, e2e and queue");
    }
  }
  return objectives;
}

std::map<std::string, std::vector<Objective>> parse_class_objectives(const JsonReader& reader, const std::vector<std::string>& names) {
  std::map<std::string, std::vector<Objective>> classes;
  if (!reader.has("classes")) return classes;
  for (const auto& [name, value] : reader.at("classes").members()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) value.fail("no workload class has this name" + did_you_mean(name, names));
    classes[name] = parse_class_objectives(value);
  }
  return classes;
}

}  // namespace moeplan
