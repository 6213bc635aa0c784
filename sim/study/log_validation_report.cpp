#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study/log_validation.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

using Member = double LogStatistics::*;
constexpr std::array<std::pair<const char*, Member>, 3> kStatistics = {
    {{"mean", &LogStatistics::mean}, {"p50", &LogStatistics::p50}, {"p90", &LogStatistics::p90}}};

double error(double measured, double predicted) { return measured > 0 ? predicted / measured - 1 : 0; }

json compared(double measured, double predicted) {
  return {{"measured", measured}, {"predicted", predicted}, {"error", error(measured, predicted)}};
}

std::string row(const std::string& name, const char* unit, double measured, double predicted) {
  return fmt::format("  {:<16} {:>10.4g} {:>10.4g} {:<3} {:>+7.1f} %\n", name, measured, predicted, unit, error(measured, predicted) * 100);
}

}  // namespace

std::string log_validation_json(const LogValidation& v) {
  json out;
  out["log"] = v.log;
  out["scenario"] = v.scenario;
  out["requests"] = {{"logged", v.measured.requests}, {"replayed", v.predicted.requests}, {"rejected", v.rejected}, {"preempted", v.preempted}};
  out["kv_capacity_tokens"] = v.kv_capacity_tokens;
  out["kv_blocks"] = v.kv_capacity_tokens / v.kv_block_tokens;
  for (const LogMetric metric : kLogMetrics) {
    const auto i = static_cast<std::size_t>(metric);
    json& latency = out[std::string(to_string(metric)) + "_s"];
    for (const auto& [name, member] : kStatistics) latency[name] = compared(v.measured.latency[i].*member, v.predicted.latency[i].*member);
  }
  out["makespan_s"] = compared(v.measured.makespan_s, v.predicted.makespan_s);
  out["timeline"] = json::array();
  for (std::size_t i = 0; i < std::min(v.measured.timeline.size(), v.predicted.timeline.size()); ++i) {
    const LogInstant& m = v.measured.timeline[i];
    const LogInstant& p = v.predicted.timeline[i];
    const auto show = [](const LogInstant& at) {
      return json{{"running", at.running}, {"waiting", at.waiting}, {"finished_tokens", at.finished_tokens}};
    };
    out["timeline"].push_back({{"at_s", m.at_s}, {"measured", show(m)}, {"predicted", show(p)}});
  }
  return out.dump(1) + "\n";
}

std::string log_validation_summary(const LogValidation& v) {
  std::string text = fmt::format("{} requests of {} replayed on {}: {} finished, {} rejected, {} preemptions\n", v.measured.requests, v.log, v.scenario,
                                 v.predicted.requests, v.rejected, v.preempted);
  text += fmt::format("KV capacity {} tokens, {} blocks\n\n", v.kv_capacity_tokens, v.kv_capacity_tokens / v.kv_block_tokens);
  text += fmt::format("  {:<16} {:>10} {:>10} {:<3} {:>9}\n", "", "measured", "predicted", "", "error");
  for (const LogMetric metric : kLogMetrics) {
    const auto i = static_cast<std::size_t>(metric);
    const bool tpot = metric == LogMetric::kTpot;
    for (const auto& [name, member] : kStatistics) {
      const double scale = tpot ? 1e3 : 1;
      text += row(fmt::format("{} {}", to_string(metric), name), tpot ? "ms" : "s", v.measured.latency[i].*member * scale,
                  v.predicted.latency[i].*member * scale);
    }
  }
  text += row("makespan", "s", v.measured.makespan_s, v.predicted.makespan_s);
  text += fmt::format("\n  {:>10} {:>18} {:>18} {:>26}\n", "time", "running", "waiting", "tokens of finished ones");
  for (std::size_t i = 0; i < std::min(v.measured.timeline.size(), v.predicted.timeline.size()); ++i) {
    const LogInstant& m = v.measured.timeline[i];
    const LogInstant& p = v.predicted.timeline[i];
    text += fmt::format("  {:>8.1f} s {:>8} {:>9} {:>8} {:>9} {:>12} {:>13}\n", m.at_s, m.running, p.running, m.waiting, p.waiting, m.finished_tokens,
                        p.finished_tokens);
  }
  return text + "  (measured and predicted side by side)\n";
}

}  // namespace moeplan
