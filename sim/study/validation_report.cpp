#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "study/plan_words.hpp"
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
  std::string text = fmt::format("\nanchors: {} fitted on {}; errors of the anchors themselves in %: median {:.1f} before, {:.1f} after, P90 {:.1f} before, {:.1f} after\n",
                                 counted(static_cast<int>(v.anchor_fits.size()), "layout"), counted(static_cast<int>(before.size()), "row"), b.median_ape * 100, a.median_ape * 100, b.p90_ape * 100, a.p90_ape * 100);
  for (const std::string& note : v.anchor_notes) text += "  " + note + "\n";
  return text;
}

json coverage_json(const Coverage& c) { return {{"count", c.count}, {"share", c.share()}}; }

json coverages_json(const std::map<std::string, Coverage>& coverages) {
  json out = json::object();
  for (const auto& [name, coverage] : coverages) out[name] = coverage_json(coverage);
  return out;
}

json constants_json(const EngineConstants& c) {
  return {{"host_per_step_s", c.host_per_step_s}, {"request_latency_s", c.request_latency_s}, {"host_per_sequence_s", c.host_per_sequence_s},
          {"kernel_multiplier", c.kernel_multiplier}};
}

json errors_json(const ErrorModel& e) {
  return {{"step", {{"dense", e.step_dense}, {"moe", e.step_moe}}}, {"first_token", {{"dense", e.first_token_dense}, {"moe", e.first_token_moe}}},
          {"weak_kernels", e.weak_kernels}, {"host_per_step_s", e.host_per_step_s}, {"request_latency", e.request_latency}};
}

json left_out_json(const LeftOut& left_out) {
  json out;
  out["metrics"] = table_json(left_out.metrics);
  for (const auto& [group, tables] : left_out.groups) {
    for (const auto& [name, table] : tables) out[group][name] = table_json(table);
  }
  out["constants"] = json::array();
  for (const auto& [group, engines] : left_out.fit.without) {
    for (const auto& [engine, constants] : engines) {
      json entry = constants_json(constants);
      entry["without"] = group;
      entry["engine"] = engine;
      out["constants"].push_back(entry);
    }
  }
  for (const auto& [engine, constants] : left_out.fit.all) out["constants_of_all"][engine] = constants_json(constants);
  out["error_model"] = errors_json(left_out.errors);
  return out;
}

json row_json(const Validation& v, const ValidationRow& row) {
  const MeasuredRun& run = v.runs[row.run];
  json out = {{"id", run.id},
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
              {"scored", row.scored}};
  if (!v.predictions[row.run].assumed.empty()) out["assumed"] = v.predictions[row.run].assumed;
  if (row.left_out) out["left_out"] = *row.left_out;
  if (row.interval) {
    out["low"] = row.interval->low;
    out["high"] = row.interval->high;
  }
  return out;
}

/// The reason without its numbers and details, so that alike ones count as one.
std::string kind_of_reason(const std::string& why) {
  std::string kind;
  for (const char c : why.substr(0, why.find(';'))) {
    const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (digit && !kind.empty() && kind.back() == 'N') continue;
    kind += digit ? 'N' : c;
  }
  return kind;
}

/// Ranges of the fitted constants over the groups left out, by engine.
std::string constants_text(const LeftOut& left_out) {
  std::map<std::string, std::array<std::vector<double>, 4>> values;
  for (const auto& [group, engines] : left_out.fit.without) {
    for (const auto& [engine, c] : engines) {
      auto& own = values[engine];
      const std::array<double, 4> units = {c.host_per_step_s * 1e3, c.request_latency_s * 1e3, c.host_per_sequence_s * 1e6, c.kernel_multiplier};
      for (std::size_t i = 0; i < units.size(); ++i) own[i].push_back(units[i]);
    }
  }
  std::string text = "\nconstants fitted without one (model, GPU) each: least to most, (all runs)\n";
  for (auto& [engine, own] : values) {
    const EngineConstants& all = left_out.fit.all.at(engine);
    const auto range = [&](std::size_t i) {
      const auto [low, high] = std::minmax_element(own[i].begin(), own[i].end());
      return fmt::format("{:.2f} to {:.2f}", *low, *high);
    };
    text += fmt::format("  {:<8} host {} ms per step ({:.2f}), {} us per sequence ({:.1f}); kernels x {} ({:.3f}); path {} ms ({:.0f})\n", engine, range(0),
                        all.host_per_step_s * 1e3, range(2), all.host_per_sequence_s * 1e6, range(3), all.kernel_multiplier, range(1),
                        all.request_latency_s * 1e3);
  }
  return text;
}

std::string coverage_text(const Validation& v) {
  std::string text = fmt::format("\n{:.0f} % intervals hold {:.1f} % of {} measured values:", v.level * 100, v.coverage.share() * 100, v.coverage.count);
  for (const auto* part : {&v.coverage_by_kind, &v.coverage_by_metric, &v.coverage_by_metric_kind}) {
    text += "\n ";
    for (const auto& [name, c] : *part) text += fmt::format(" {} {:.0f} % of {};", name, c.share() * 100, c.count);
    text.pop_back();
  }
  if (v.left_out) {
    const ErrorModel& e = v.left_out->errors;
    text += fmt::format("\n  widths at which all left-out rows are covered: step dense {:.3f}, MoE {:.3f}; first token dense {:.3f}, MoE {:.3f}", e.step_dense,
                        e.step_moe, e.first_token_dense, e.first_token_moe);
  }
  return text + "\n";
}

std::map<std::string, std::vector<std::string>> unscored_by_reason(const Validation& v) {
  std::map<std::string, std::vector<std::string>> reasons;
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    if (const std::string why = unscored_reason(v, i); !why.empty()) reasons[kind_of_reason(why)].push_back(v.runs[i].id);
  }
  return reasons;
}

/// Runs by what was assumed of them.
std::map<std::string, std::vector<std::string>> assumptions(const Validation& v) {
  std::map<std::string, std::vector<std::string>> runs;
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    if (!v.predictions[i].refused && !v.predictions[i].assumed.empty()) runs[v.predictions[i].assumed].push_back(v.runs[i].id);
  }
  return runs;
}

constexpr std::size_t kWorstRows = 20;

}  // namespace

std::string unscored_reason(const Validation& v, std::size_t run) {
  if (v.predictions[run].refused) return {};
  if (v.runs[run].quality == RunQuality::kS) return v.runs[run].notes.empty() ? "suspect: no reason stated" : v.runs[run].notes;
  if (!states_a_measurement(v.runs[run])) return "states no measured TTFT, TPOT, ITL or output throughput";
  return !v.unscored.empty() && v.unscored[run] ? "anchor, or of a layout without a row to spare beside its anchors" : "";
}

std::vector<const ValidationRow*> worst_rows(const Validation& v) {
  std::vector<const ValidationRow*> worst;
  for (const ValidationRow& row : v.rows) {
    if (row.scored) worst.push_back(&row);
  }
  std::sort(worst.begin(), worst.end(), [](const ValidationRow* a, const ValidationRow* b) {
    const double x = std::abs(std::log(a->predicted / a->measured));
    const double y = std::abs(std::log(b->predicted / b->measured));
    return x != y ? x > y : std::tie(a->run, a->metric) < std::tie(b->run, b->metric);
  });
  return worst;
}

std::string cause_of(const Validation& v, const ValidationRow& row) {
  const RunPrediction& p = v.predictions[row.run];
  return likely_cause(v.runs[row.run], row.metric, row.measured, row.predicted, p.evidence, p.setting);
}

std::string validation_json(const Validation& v) {
  json out;
  out["runs"] = v.runs.size();
  out["scored"] = v.scored_runs;
  out["refused"] = json::array();
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    if (v.predictions[i].refused) out["refused"].push_back({{"id", v.runs[i].id}, {"why", *v.predictions[i].refused}});
  }
  out["unscored"] = json::array();
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    if (const std::string why = unscored_reason(v, i); !why.empty()) out["unscored"].push_back({{"id", v.runs[i].id}, {"why", why}});
  }
  out["metrics"] = table_json(v.metrics);
  for (const auto& [group, tables] : v.groups) {
    out[group] = json::object();
    for (const auto& [name, table] : tables) out[group][name] = table_json(table);
  }
  out["anchors"] = json::array();
  for (const AnchorFit& fit : v.anchor_fits) out["anchors"].push_back(json::parse(anchor_fit_json(fit)));
  if (!v.metrics_before.empty()) out["metrics_before"] = table_json(v.metrics_before);
  if (v.level > 0) {
    out["coverage"] = coverage_json(v.coverage);
    out["coverage"]["level"] = v.level;
    out["coverage"]["by_metric"] = coverages_json(v.coverage_by_metric);
    out["coverage"]["by_kind"] = coverages_json(v.coverage_by_kind);
    out["coverage"]["by_metric_kind"] = coverages_json(v.coverage_by_metric_kind);
  }
  if (v.left_out) out["left_out"] = left_out_json(*v.left_out);
  out["rows"] = json::array();
  std::set<const ValidationRow*> explained;
  const std::vector<const ValidationRow*> worst = worst_rows(v);
  explained.insert(worst.begin(), worst.begin() + static_cast<std::ptrdiff_t>(std::min(kWorstRows, worst.size())));
  for (const ValidationRow& row : v.rows) {
    json entry = row_json(v, row);
    const bool outside = row.interval && (row.measured < row.interval->low || row.measured > row.interval->high);
    if (row.scored && (outside || explained.count(&row) > 0)) entry["likely_cause"] = cause_of(v, row);
    out["rows"].push_back(std::move(entry));
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
  if (v.left_out) append_table(text, "all, model and GPU left out", v.left_out->metrics);
  for (const char* group : {"by_suite_kind", "by_suite", "by_kind", "by_mode", "by_engine", "by_gpu", "by_model"}) {
    const auto found = v.groups.find(group);
    if (found == v.groups.end()) continue;
    text += fmt::format("\n{}\n", group);
    for (const auto& [name, table] : found->second) {
      append_table(text, name, table);
      if (!v.left_out) continue;
      append_table(text, name + ", left out", v.left_out->groups.at(group).at(name));
    }
  }
  for (const auto& [why, count] : refusals(v)) text += fmt::format("\nrefused {} x: {}", count, why);
  if (refused > 0) text += "\n";
  for (const auto& [what, ids] : assumptions(v)) text += fmt::format("\nassumed {} x: {} (first: {})", ids.size(), what, ids.front());
  for (const auto& [why, ids] : unscored_by_reason(v)) text += fmt::format("\nnot scored {} x: {} (first: {})", ids.size(), why, ids.front());
  text += "\n";
  if (v.left_out) text += constants_text(*v.left_out);
  if (v.level > 0 && v.coverage.count > 0) text += coverage_text(v);
  const std::vector<const ValidationRow*> worst = worst_rows(v);
  if (!worst.empty()) text += "\nworst rows, and the likely cause\n";
  for (std::size_t i = 0; i < std::min(kWorstRows, worst.size()); ++i) {
    const ValidationRow& row = *worst[i];
    text += fmt::format("  {:>+7.0f} %  {:<12} measured {:>10.4g}  predicted {:>10.4g}  {}\n             {}\n", row.error() * 100, to_string(row.metric),
                        row.measured, row.predicted, v.runs[row.run].id, cause_of(v, row));
  }
  if (!v.anchor_fits.empty()) text += anchors_summary(v);
  return text;
}

}  // namespace moeplan
