#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "study/validation.hpp"

namespace moeplan {

using nlohmann::json;

ErrorStatistics error_statistics(std::vector<double> errors) {
  ErrorStatistics s;
  s.count = errors.size();
  if (errors.empty()) return s;
  const auto rank = [&](const std::vector<double>& sorted, double q) {
    const auto r = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size())));
    return sorted[std::max<std::size_t>(r, 1) - 1];
  };
  const auto median = [&](const std::vector<double>& sorted) {
    const std::size_t n = sorted.size();
    return n % 2 == 1 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
  };
  std::sort(errors.begin(), errors.end());
  s.bias = median(errors);
  for (double& e : errors) e = std::abs(e);
  std::sort(errors.begin(), errors.end());
  s.median_ape = median(errors);
  s.p90_ape = rank(errors, 0.9);
  const auto within = [&](double bound) {
    return static_cast<double>(std::upper_bound(errors.begin(), errors.end(), bound) - errors.begin()) / static_cast<double>(errors.size());
  };
  s.within_10pct = within(0.10);
  s.within_25pct = within(0.25);
  return s;
}

namespace {

json table_json(const ErrorTable& table) {
  json out = json::object();
  for (const auto& [metric, s] : table) {
    out[metric] = {{"count", s.count},       {"median_ape", s.median_ape},     {"p90_ape", s.p90_ape},
                   {"bias", s.bias},         {"within_10pct", s.within_10pct}, {"within_25pct", s.within_25pct}};
  }
  return out;
}

void append_table(std::string& text, const std::string& name, const ErrorTable& table) {
  for (const auto& [metric, s] : table) {
    text += fmt::format("  {:<34} {:<12} {:>5}  {:>6.1f}  {:>6.1f}  {:>+6.1f}  {:>5.0f}  {:>5.0f}\n", name, metric, s.count, s.median_ape * 100,
                        s.p90_ape * 100, s.bias * 100, s.within_10pct * 100, s.within_25pct * 100);
  }
}

/// The reason of a refusal without what is particular to one row, to count alike ones together.
std::map<std::string, std::size_t> refusals(const Validation& v) {
  std::map<std::string, std::size_t> counts;
  for (const RunPrediction& p : v.predictions) {
    if (p.refused) ++counts[*p.refused];
  }
  return counts;
}

/// How many layouts were fitted on what, how far the anchors were off before and after, and which contradict each other.
std::string anchors_summary(const Validation& v) {
  std::vector<double> before;
  std::vector<double> after;
  for (const AnchorFit& fit : v.anchor_fits) {
    for (const AnchorPoint& p : fit.points) {
      before.push_back(p.before / p.measured - 1);
      after.push_back(p.after / p.measured - 1);
    }
  }
  const ErrorStatistics b = error_statistics(before);
  const ErrorStatistics a = error_statistics(after);
  std::string text = fmt::format("\nanchors: {} layouts fitted on {} rows; errors of the anchors themselves in %: median {:.1f} before, {:.1f} after, P90 {:.1f} before, {:.1f} after\n",
                                 v.anchor_fits.size(), before.size(), b.median_ape * 100, a.median_ape * 100, b.p90_ape * 100, a.p90_ape * 100);
  for (const std::string& note : v.anchor_notes) text += "  " + note + "\n";
  return text;
}

}  // namespace

std::string validation_json(const Validation& v) {
  json out;
  out["runs"] = v.runs.size();
  out["scored"] = v.scored_runs;
  out["refused"] = json::array();
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    if (v.predictions[i].refused) out["refused"].push_back({{"id", v.runs[i].id}, {"why", *v.predictions[i].refused}});
  }
  out["metrics"] = table_json(v.metrics);
  for (const auto& [group, tables] : v.groups) {
    out[group] = json::object();
    for (const auto& [name, table] : tables) out[group][name] = table_json(table);
  }
  out["anchors"] = json::array();
  for (const AnchorFit& fit : v.anchor_fits) out["anchors"].push_back(json::parse(anchor_fit_json(fit)));
  if (!v.metrics_before.empty()) out["metrics_before"] = table_json(v.metrics_before);
  out["rows"] = json::array();
  for (const ValidationRow& row : v.rows) {
    const MeasuredRun& run = v.runs[row.run];
    out["rows"].push_back({{"id", run.id},
                           {"suite", run.suite},
                           {"model", run.model},
                           {"gpu", run.gpu},
                           {"gpus", run.gpus},
                           {"engine", run.engine},
                           {"mode", to_string(run.mode)},
                           {"kind", v.predictions[row.run].moe ? "moe" : "dense"},
                           {"metric", to_string(row.metric)},
                           {"measured", row.measured},
                           {"predicted", row.predicted},
                           {"error", row.error()},
                           {"scored", row.scored}});
  }
  return out.dump(1) + "\n";
}

std::string validation_summary(const Validation& v) {
  std::size_t refused = 0;
  for (const RunPrediction& p : v.predictions) refused += p.refused ? 1U : 0U;
  std::string text = fmt::format("{} measured runs: {} scored, {} refused, {} predicted but not scored\n\n", v.runs.size(), v.scored_runs, refused,
                                 v.runs.size() - v.scored_runs - refused);
  text += fmt::format("  {:<34} {:<12} {:>5}  {:>6}  {:>6}  {:>6}  {:>5}  {:>5}\n", "errors in %", "metric", "rows", "median", "P90", "bias", "<=10",
                      "<=25");
  append_table(text, "all", v.metrics);
  append_table(text, "all, without anchors", v.metrics_before);
  for (const char* group : {"by_suite_kind", "by_suite", "by_kind", "by_mode", "by_engine", "by_gpu", "by_model"}) {
    const auto found = v.groups.find(group);
    if (found == v.groups.end()) continue;
    text += fmt::format("\n{}\n", group);
    for (const auto& [name, table] : found->second) append_table(text, name, table);
  }
  for (const auto& [why, count] : refusals(v)) text += fmt::format("\nrefused {} x: {}", count, why);
  if (refused > 0) text += "\n";
  std::vector<const ValidationRow*> worst;
  for (const ValidationRow& row : v.rows) {
    if (row.scored) worst.push_back(&row);
  }
  std::sort(worst.begin(), worst.end(), [](const ValidationRow* a, const ValidationRow* b) {
    const double x = std::abs(std::log(a->predicted / a->measured));
    const double y = std::abs(std::log(b->predicted / b->measured));
    return x != y ? x > y : std::tie(a->run, a->metric) < std::tie(b->run, b->metric);
  });
  if (!worst.empty()) text += "\nworst rows\n";
  for (std::size_t i = 0; i < std::min<std::size_t>(20, worst.size()); ++i) {
    const ValidationRow& row = *worst[i];
    text += fmt::format("  {:>+7.0f} %  {:<12} measured {:>10.4g}  predicted {:>10.4g}  {}\n", row.error() * 100, to_string(row.metric),
                        row.measured, row.predicted, v.runs[row.run].id);
  }
  if (!v.anchor_fits.empty()) text += anchors_summary(v);
  return text;
}

}  // namespace moeplan
