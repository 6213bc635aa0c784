#include "study/leave_out.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// Published before these fits by a study of its own; the width says how far an engine may be from it.
constexpr EngineConstants kStudy{1.4e-3, 40e-3, 12e-6, 1 / 0.94};
constexpr EngineConstants kWidth{0.5e-3, 100e-3, 6e-6, 0.05};
constexpr double kPull = 0.02;        // weight of the pull against the mean loss of the rows
constexpr double kHuber = 0.1;
constexpr double kFirstTokenScale = 0.4;
constexpr int kIterations = 60;
constexpr double kLeastFactor = 0.2;  // a linear prediction never falls below this share of the simulated one

/// Parameters: two shared, then two per engine, in units of their widths.
struct Problem {
  std::vector<std::string> engines;
  const std::map<std::string, EngineConstants>& shipped;

  [[nodiscard]] std::size_t size() const { return 2 + 2 * engines.size(); }
  [[nodiscard]] std::size_t engine_index(const std::string& name) const {
    return static_cast<std::size_t>(std::lower_bound(engines.begin(), engines.end(), name) - engines.begin());
  }
  /// Slopes of a row's prediction in parameter units, as (parameter, slope).
  [[nodiscard]] std::array<std::pair<std::size_t, double>, 4> slopes(const LeaveOutRow& r) const {
    const std::size_t e = 2 + 2 * engine_index(r.engine);
    return {{{e, r.slope[0] * kWidth.host_per_step_s},
             {e + 1, r.slope[1] * kWidth.request_latency_s},
             {0, r.slope[2] * kWidth.host_per_sequence_s},
             {1, r.slope[3] * kWidth.kernel_multiplier}}};
  }
  /// Where the pull draws to: the study's constants less the shipped ones, in widths. Shared parameters: of the mean over engines.
  [[nodiscard]] std::vector<double> target() const {
    std::vector<double> t(size());
    for (std::size_t i = 0; i < engines.size(); ++i) {
      const EngineConstants& s = shipped.at(engines[i]);
      t[2 + 2 * i] = (kStudy.host_per_step_s - s.host_per_step_s) / kWidth.host_per_step_s;
      t[3 + 2 * i] = (kStudy.request_latency_s - s.request_latency_s) / kWidth.request_latency_s;
      t[0] += (kStudy.host_per_sequence_s - s.host_per_sequence_s) / kWidth.host_per_sequence_s / static_cast<double>(engines.size());
      t[1] += std::log(kStudy.kernel_multiplier / s.kernel_multiplier) / kWidth.kernel_multiplier / static_cast<double>(engines.size());
    }
    return t;
  }
  /// No host time or latency below zero.
  [[nodiscard]] std::vector<double> least() const {
    std::vector<double> low(size(), -1e3);
    double per_sequence = 1e3;
    for (std::size_t i = 0; i < engines.size(); ++i) {
      const EngineConstants& s = shipped.at(engines[i]);
      low[2 + 2 * i] = -s.host_per_step_s / kWidth.host_per_step_s;
      low[3 + 2 * i] = -s.request_latency_s / kWidth.request_latency_s;
      per_sequence = std::min(per_sequence, s.host_per_sequence_s / kWidth.host_per_sequence_s);
    }
    low[0] = -per_sequence;
    return low;
  }
};

double predicted_at(const Problem& problem, const LeaveOutRow& r, const std::vector<double>& x) {
  double y = r.predicted;
  for (const auto& [k, slope] : problem.slopes(r)) y += slope * x[k];
  return std::max(y, kLeastFactor * r.predicted);
}

/// Weight of each row used: rows of one (group, engine, metric) share the square root of their number.
std::vector<double> weights_of(const std::vector<LeaveOutRow>& rows, const std::vector<bool>& used) {
  const auto key = [](const LeaveOutRow& r) { return r.group + "|" + r.engine + "|" + std::string(to_string(r.metric)); };
  std::map<std::string, double> count;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (used[i]) count[key(rows[i])] += 1;
  }
  std::vector<double> weights(rows.size());
  double sum = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (used[i]) sum += weights[i] = 1 / std::sqrt(count[key(rows[i])]);
  }
  for (double& w : weights) w /= std::max(sum, 1e-300);
  return weights;
}

/// Iteratively reweighted Gauss-Newton steps, each solved by coordinate descent within the bounds.
std::vector<double> fit(const Problem& problem, const std::vector<LeaveOutRow>& rows, const std::vector<bool>& used) {
  const std::vector<double> weights = weights_of(rows, used), target = problem.target(), low = problem.least();
  const std::size_t n = problem.size();
  std::vector<double> x(n, 0.0);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::vector<double> hessian(n * n, 0.0), gradient(n, 0.0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!used[i]) continue;
      const double y = predicted_at(problem, rows[i], x);
      const double scale = rows[i].metric == RunMetric::kTtft ? kFirstTokenScale : 1.0;
      const double error = scale * std::log(y / rows[i].measured);
      const double weight = weights[i] * (std::abs(error) <= kHuber ? 1.0 : kHuber / std::abs(error)) / (kHuber * kHuber);
      const auto slopes = problem.slopes(rows[i]);
      for (const auto& [a, sa] : slopes) {
        gradient[a] += weight * error * scale * sa / y;
        for (const auto& [b, sb] : slopes) hessian[a * n + b] += weight * scale * scale * sa * sb / (y * y);
      }
    }
    for (std::size_t k = 0; k < n; ++k) {
      gradient[k] += kPull * (x[k] - target[k]);
      hessian[k * n + k] += kPull;
    }
    std::vector<double> next = x;
    for (int sweep = 0; sweep < 200; ++sweep) {
      for (std::size_t k = 0; k < n; ++k) {
        double slope = gradient[k];
        for (std::size_t j = 0; j < n; ++j) slope += hessian[k * n + j] * (next[j] - x[j]);
        next[k] = std::max(low[k], next[k] - slope / hessian[k * n + k]);
      }
    }
    double moved = 0;
    for (std::size_t k = 0; k < n; ++k) moved = std::max(moved, std::abs(next[k] - x[k]));
    x = next;
    if (moved < 1e-7) break;
  }
  return x;
}

std::map<std::string, EngineConstants> constants_at(const Problem& problem, const std::vector<double>& x) {
  std::map<std::string, EngineConstants> constants;
  for (std::size_t i = 0; i < problem.engines.size(); ++i) {
    EngineConstants c = problem.shipped.at(problem.engines[i]);
    c.host_per_step_s += x[2 + 2 * i] * kWidth.host_per_step_s;
    c.request_latency_s += x[3 + 2 * i] * kWidth.request_latency_s;
    c.host_per_sequence_s += x[0] * kWidth.host_per_sequence_s;
    c.kernel_multiplier *= std::exp(x[1] * kWidth.kernel_multiplier);
    constants[problem.engines[i]] = c;
  }
  return constants;
}

}  // namespace

LeaveOutFit leave_groups_out(const std::vector<LeaveOutRow>& rows, const std::map<std::string, EngineConstants>& shipped) {
  Problem problem{{}, shipped};
  std::vector<std::string> groups;
  for (const LeaveOutRow& r : rows) {
    MOEPLAN_CHECK(shipped.count(r.engine) > 0);
    groups.push_back(r.group);
    problem.engines.push_back(r.engine);
  }
  const auto distinct = [](std::vector<std::string>& names) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
  };
  distinct(groups);
  distinct(problem.engines);

  LeaveOutFit out;
  out.predicted.resize(rows.size());
  std::vector<std::vector<double>> found(groups.size());
  tbb::parallel_for(std::size_t{0}, groups.size(), [&](std::size_t g) {
    std::vector<bool> used(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) used[i] = rows[i].group != groups[g];
    found[g] = fit(problem, rows, used);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!used[i]) out.predicted[i] = predicted_at(problem, rows[i], found[g]);
    }
  });
  for (std::size_t g = 0; g < groups.size(); ++g) out.without[groups[g]] = constants_at(problem, found[g]);
  out.all = constants_at(problem, fit(problem, rows, std::vector<bool>(rows.size(), true)));
  return out;
}

}  // namespace moeplan
