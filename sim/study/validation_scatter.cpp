#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "study/validation.hpp"

namespace moeplan {

namespace {

constexpr int kColumns = 60;
constexpr int kLines = 18;

/// Whole decades that hold all values.
struct Axis {
  double low = 1e300, high = 0;
  void hold(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void round() {
    low = std::pow(10, std::floor(std::log10(low)));
    high = std::pow(10, std::ceil(std::log10(high)));
    if (high <= low) high = 10 * low;
  }
  [[nodiscard]] int place(double value, int cells) const {
    return std::clamp(static_cast<int>(std::log(value / low) / std::log(high / low) * cells), 0, cells - 1);
  }
};

std::string plot(const Validation& v, RunMetric metric) {
  Axis axis;
  std::size_t count = 0;
  for (const ValidationRow& row : v.rows) {
    if (!row.scored || row.metric != metric) continue;
    axis.hold(row.measured);
    axis.hold(row.predicted);
    ++count;
  }
  if (count == 0) return {};
  axis.round();
  std::vector<std::string> lines(kLines, std::string(kColumns, ' '));
  for (int x = 0; x < kColumns; ++x) lines[static_cast<std::size_t>(x * kLines / kColumns)][static_cast<std::size_t>(x)] = '.';
  for (const ValidationRow& row : v.rows) {
    if (!row.scored || row.metric != metric) continue;
    char& cell = lines[static_cast<std::size_t>(axis.place(row.predicted, kLines))][static_cast<std::size_t>(axis.place(row.measured, kColumns))];
    const char mark = v.predictions[row.run].moe ? 'x' : 'o';
    cell = cell == ' ' || cell == '.' || cell == mark ? mark : '#';
  }
  const char* unit = metric == RunMetric::kOutputTokensPerSecond ? "tokens/s" : "ms";
  std::string text = fmt::format("\n{}: predicted (upwards) over measured, {} rows, {:g} to {:g} {}\n", to_string(metric), count, axis.low, axis.high, unit);
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) text += "  |" + line->substr(0, line->find_last_not_of(' ') + 1) + "\n";
  return text + "  +" + std::string(kColumns, '-') + "\n";
}

}  // namespace

std::string validation_scatter(const Validation& v) {
  std::string text = "\no dense, x experts, # both; . predicted = measured\n";
  for (const RunMetric metric : kRunMetrics) text += plot(v, metric);
  return text;
}

}  // namespace moeplan
