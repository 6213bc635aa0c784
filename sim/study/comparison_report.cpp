#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study/comparison.hpp"
#include "study/load_curve_report.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

json row_json(const ComparedRow& r) {
  json out = {{"name", r.name},
              {"model", r.model},
              {"moe", r.moe},
              {"gpu", r.gpu},
              {"engine", r.engine},
              {"gpus", r.gpus},
              {"replicas", r.replicas},
              {"fits", r.fits},
              {"stored", r.stored},
              {"weights_bytes", r.weights_bytes},
              {"weights_bytes_per_gpu", r.weights_bytes_per_gpu},
              {"parameters", {{"total", r.parameters}, {"active", r.active_parameters}}},
              {"flops_per_token", or_null(r.flops_per_token)},
              {"batch1_ttft_s", or_null(r.batch1_ttft_s)},
              {"batch1_tpot_s", or_null(r.batch1_tpot_s)},
              {"offered_per_s", or_null(r.offered_per_s)},
              {"requests_per_s", or_null(r.requests_per_s)},
              {"output_tokens_per_s", or_null(r.output_tokens_per_s)},
              {"ttft_p50_s", or_null(r.ttft_p50_s)},
              {"ttft_p99_s", or_null(r.ttft_p99_s)},
              {"tpot_p50_s", or_null(r.tpot_p50_s)},
              {"tpot_p99_s", or_null(r.tpot_p99_s)},
              {"saturated", r.saturated},
              {"objectives_met", r.objectives_met},
              {"saturation_requests_per_s", or_null(r.saturation_requests_per_s)},
              {"saturation_tokens_per_s", or_null(r.saturation_tokens_per_s)},
              {"capacity_per_s", or_null(r.capacity_per_s)},
              {"usd_per_hour", or_null(r.usd_per_hour)},
              {"usd_per_million_output_tokens", or_null(r.usd_per_million_output_tokens)},
              {"usd_per_million_output_tokens_at_capacity", or_null(r.usd_per_million_at_capacity)},
              {"joules_per_output_token", or_null(r.joules_per_output_token)},
              {"joules_per_output_token_at_capacity", or_null(r.joules_at_capacity)},
              {"price_source", r.price_source}};
  out["needed"] = {{"deployments", or_null(r.deployments_needed)},
                   {"usd_per_hour", or_null(r.usd_per_hour_needed)},
                   {"usd_per_million_output_tokens", or_null(r.usd_per_million_needed)}};
  if (r.quality) {
    out["quality"] = *r.quality;
    out["usd_per_million_output_tokens_per_quality"] = or_null(r.usd_per_million_per_quality);
  }
  return out;
}

json sensitivity_json(const Sensitivity& s) {
  json lines = json::array();
  for (const auto& line : s.by_scenario) {
    json points = json::array();
    for (const auto& value : line) points.push_back(or_null(value));
    lines.push_back(std::move(points));
  }
  return {{"parameter", s.parameter}, {"metric", s.metric}, {"text", s.text}, {"values", s.values}, {"by_scenario", std::move(lines)}};
}

json crossing_json(const Crossing& c) {
  return {{"what", c.what}, {"metric", c.metric}, {"between", {c.a, c.b}}, {"at", c.at}, {"unit", c.unit}, {"better_above", c.better_above},
          {"text", c.text}};
}

json effect_json(const Effect& e) {
  json out = {{"input", e.input}, {"paths", e.paths}, {"change", e.change}};
  if (!e.note.empty()) out["note"] = e.note;
  return out;
}

/// A table with one column per scenario.
class Table {
 public:
  explicit Table(const std::vector<ComparedRow>& rows) : rows_(rows) {
    for (const ComparedRow& r : rows) widths_.push_back(std::clamp<std::size_t>(r.name.size(), 10, 26));
    line("", [&](const ComparedRow& r) { return r.name.substr(0, 26); });
  }
  template <class Value>
  void line(const char* label, Value value) {
    text_ += fmt::format("  {:<34}", label);
    for (std::size_t i = 0; i < rows_.size(); ++i) text_ += fmt::format("  {:>{}}", value(rows_[i]), widths_[i]);
    text_ += "\n";
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  const std::vector<ComparedRow>& rows_;
  std::vector<std::size_t> widths_;
  std::string text_;
};

std::string scaled(const std::optional<double>& value, double scale, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value * scale) : "-";
}

std::string table_text(const Comparison& c) {
  Table table(c.rows);
  const auto add = [&table](const char* label, std::optional<double> ComparedRow::*member, double scale, const char* format) {
    table.line(label, [=](const ComparedRow& r) { return scaled(r.*member, scale, format); });
  };
  table.line("model", [](const ComparedRow& r) { return r.model; });
  table.line("GPUs", [](const ComparedRow& r) { return fmt::format("{} x {}", r.gpus, r.gpu); });
  table.line("VRAM for weights, GB", [](const ComparedRow& r) { return fmt::format("{:.0f}", r.weights_bytes / 1e9); });
  table.line("parameters, billion", [](const ComparedRow& r) { return fmt::format("{:.1f}", r.parameters / 1e9); });
  table.line("active per token, billion", [](const ComparedRow& r) { return fmt::format("{:.1f}", r.active_parameters / 1e9); });
  add("GFLOP per token", &ComparedRow::flops_per_token, 1e-9, "{:.0f}");
  add("alone: TTFT, ms", &ComparedRow::batch1_ttft_s, 1e3, "{:.0f}");
  add("alone: TPOT, ms", &ComparedRow::batch1_tpot_s, 1e3, "{:.1f}");
  add("at load: requests/s offered", &ComparedRow::offered_per_s, 1, "{:.3g}");
  table.line("at load: state", [](const ComparedRow& r) {
    if (r.stored) return r.saturated ? "stored, SATURATED" : r.missed.empty() ? "stored" : "stored, MISSES";
    return !r.fits ? "no fit" : r.saturated ? "SATURATED" : r.objectives_met ? "ok" : "MISSES";
  });
  add("at load: TTFT p50, ms", &ComparedRow::ttft_p50_s, 1e3, "{:.0f}");
  add("at load: TTFT p99, ms", &ComparedRow::ttft_p99_s, 1e3, "{:.0f}");
  add("at load: TPOT p50, ms", &ComparedRow::tpot_p50_s, 1e3, "{:.1f}");
  add("at load: TPOT p99, ms", &ComparedRow::tpot_p99_s, 1e3, "{:.1f}");
  add("at load: output tokens/s", &ComparedRow::output_tokens_per_s, 1, "{:.0f}");
  add("at load: USD per M output tokens", &ComparedRow::usd_per_million_output_tokens, 1, "{:.2f}");
  add("at load: J per output token", &ComparedRow::joules_per_output_token, 1, "{:.2f}");
  add("saturated: requests/s", &ComparedRow::saturation_requests_per_s, 1, "{:.3g}");
  add("saturated: output tokens/s", &ComparedRow::saturation_tokens_per_s, 1, "{:.0f}");
  add("capacity in objectives, requests/s", &ComparedRow::capacity_per_s, 1, "{:.3g}");
  add("  USD per M output tokens there", &ComparedRow::usd_per_million_at_capacity, 1, "{:.2f}");
  add("  J per output token there", &ComparedRow::joules_at_capacity, 1, "{:.2f}");
  add("USD/h of one deployment", &ComparedRow::usd_per_hour, 1, "{:.2f}");
  table.line("deployments for the load",
             [](const ComparedRow& r) { return r.deployments_needed ? std::to_string(*r.deployments_needed) : "-"; });
  add("  USD/h", &ComparedRow::usd_per_hour_needed, 1, "{:.2f}");
  add("  USD per M output tokens", &ComparedRow::usd_per_million_needed, 1, "{:.2f}");
  if (std::any_of(c.rows.begin(), c.rows.end(), [](const ComparedRow& r) { return r.quality.has_value(); })) {
    add("quality, as stated", &ComparedRow::quality, 1, "{:.4g}");
    add("  USD per M output tokens and point", &ComparedRow::usd_per_million_per_quality, 1, "{:.3g}");
  }
  return table.text();
}

std::string sensitivity_text(const Comparison& c) {
  std::string text;
  for (const Sensitivity& s : c.sensitivity) {
    const bool seconds = s.metric == "tpot_s";
    text += fmt::format("\n{} against {} ({})\n", seconds ? "TPOT in ms" : "USD per million output tokens",
                        s.parameter == "routing_skew" ? "routing skew" : s.parameter, s.text);
    text += fmt::format("  {:<26}", "");
    for (const double value : s.values) text += fmt::format(" {:>8g}", value);
    text += "\n";
    for (std::size_t i = 0; i < s.by_scenario.size(); ++i) {
      text += fmt::format("  {:<26}", c.rows[i].name.substr(0, 26));
      for (const auto& value : s.by_scenario[i])
        text += fmt::format(" {:>8}", scaled(value, seconds ? 1e3 : 1, seconds ? "{:.1f}" : "{:.3g}"));
      text += "\n";
    }
  }
  return text;
}

std::string crossings_text(const Comparison& c) {
  std::string text = c.crossings.empty() ? "" : "\nwhere lines cross\n";
  for (const Crossing& crossing : c.crossings) text += "  " + crossing.text + "\n";
  return text;
}

std::string differences_text(const Comparison& c) {
  if (c.differences.empty()) return "\nno input differs\n";
  std::string text = "\ninputs that differ\n";
  for (const Difference& d : c.differences) {
    text += "  " + d.path + ":";
    for (std::size_t i = 0; i < d.values.size(); ++i) text += (i == 0 ? " " : " | ") + d.values[i];
    text += "\n";
  }
  return text;
}

std::string effects_text(const Comparison& c) {
  if (c.effects.empty()) return {};
  std::string text = fmt::format("\nwhat each change does alone, against {}\n", c.rows[0].name);
  for (const Effect& e : c.effects) {
    text += fmt::format("  {:<26}", e.input);
    for (const auto& [metric, change] : e.change) text += fmt::format("  {} {:+.1f} %", metric, change * 100);
    if (!e.note.empty()) text += "  " + e.note;
    text += "\n";
    for (const std::string& path : e.paths) text += "      " + path + "\n";
  }
  return text;
}

}  // namespace

std::string comparison_json(const Comparison& c, const DataRoot& data) {
  json out = json::parse(result_json(c.first_scenario, c.first, data));
  json& comparison = out["comparison"];
  for (const char* key : {"scenarios", "load_curves", "sensitivity", "crossings", "differences", "effects"})
    comparison[key] = json::array();
  for (const ComparedRow& row : c.rows) comparison["scenarios"].push_back(row_json(row));
  for (const auto& curve : c.load_curves) comparison["load_curves"].push_back(curve ? load_points_json(*curve) : json::array());
  for (const Sensitivity& s : c.sensitivity) comparison["sensitivity"].push_back(sensitivity_json(s));
  for (const Crossing& crossing : c.crossings) comparison["crossings"].push_back(crossing_json(crossing));
  for (const Difference& d : c.differences) comparison["differences"].push_back({{"path", d.path}, {"values", d.values}});
  for (const Effect& e : c.effects) comparison["effects"].push_back(effect_json(e));
  comparison["same_workload"] = c.same_workload;
  comparison["load_per_s"] = or_null(c.load_per_s);
  comparison["verdict"] = {{"text", c.verdict}, {"flips", c.flips}};
  comparison["notes"] = c.notes;
  return out.dump(1) + "\n";
}

std::string comparison_summary(const Comparison& c) {
  std::string text = "comparison\n" + table_text(c) + sensitivity_text(c) + crossings_text(c) + differences_text(c) + effects_text(c);
  text += "\nverdict\n  " + c.verdict + "\n";
  if (!c.flips.empty()) text += "it changes\n";
  for (const std::string& flip : c.flips) text += "  - " + flip + "\n";
  for (const std::string& note : c.notes) text += "\nnote: " + note;
  return c.notes.empty() ? text : text + "\n";
}

}  // namespace moeplan
