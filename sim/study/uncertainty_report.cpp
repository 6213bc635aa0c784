#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "study/uncertainty.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

std::string value_text(const std::string& metric, double value) {
  if (metric.starts_with("throughput")) return fmt::format("{:.4g} /s", value);
  return value >= 1 ? fmt::format("{:.2f} s", value) : fmt::format("{:.3g} ms", value * 1e3);
}

}  // namespace

std::string uncertainty_json(const Uncertainty& u) {
  json out;
  out["samples"] = u.samples;
  out["method"] = "latin_hypercube";
  out["level"] = u.level;
  out["probability_met"] = u.probability_met;
  if (u.probability_error) {
    out["probability_error"] = *u.probability_error;
    out["probability_draws"] = u.tried;
  }
  out["inputs"] = json::array();
  for (const UncertainInput& i : u.inputs) {
    out["inputs"].push_back({{"name", i.name}, {"kind", i.kind}, {"low", i.low}, {"high", i.high}, {"source", i.source}});
  }
  out["sensitivity"] = json::object();
  for (const auto& [metric, effects] : u.sensitivity) {
    json& bars = out["sensitivity"][metric] = json::array();
    for (const InputEffect& e : effects) bars.push_back({{"input", e.input}, {"low_value", e.low_value}, {"high_value", e.high_value}});
  }
  return out.dump();
}

std::string uncertainty_text(const Uncertainty& u) {
  std::string text = fmt::format("uncertainty: {} samples, the middle {:.0f} % of them\n", u.samples, u.level * 100);
  for (const char* metric : {"ttft.p50", "ttft.p99", "tpot.p50", "tpot.p99", "e2e.p99", "throughput.output_tokens_per_s"}) {
    const auto found = u.intervals.find(metric);
    if (found == u.intervals.end()) continue;
    text += fmt::format("  {:<32} {:>10} to {:>10}", metric, value_text(metric, found->second.low), value_text(metric, found->second.high));
    const auto effects = u.sensitivity.find(metric);
    // Sorted by effect: where the first moves nothing, none does, and the interval is that of the arrivals drawn.
    const bool moved = effects != u.sensitivity.end() && !effects->second.empty() && effects->second.front().low_value != effects->second.front().high_value;
    if (moved) text += fmt::format("   most by: {}", effects->second.front().input);
    text += "\n";
  }
  text += fmt::format("  {:.0f} % of the samples meet all objectives\n", u.probability_met * 100);
  return text;
}

}  // namespace moeplan
