#include "study/leave_out.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// Published before these fits by a study of its own; the width is the standard deviation of an engine's constants around it.
constexpr EngineConstants kStudy{1.4e-3, 40e-3, 12e-6, 1 / 0.94};
constexpr EngineConstants kWidth{0.5e-3, 100e-3, 6e-6, 0.05};
// Deviations of logarithmic errors: of a row from its cell's common error, beyond which it counts linearly, and of that common error, which is the
// kernels' and no engine constant's. First tokens have little of it: what a cell's first tokens share is the path.
constexpr double kRowDeviation = 0.1;
constexpr double kCellDeviation = 0.12;
constexpr double kFirstTokenCellDeviation = 0.03;
constexpr int kReweighted = 5;
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

/// Rows of one (group, engine, metric), whose errors have a part in common.
std::vector<std::vector<std::size_t>> cells_of(const std::vector<LeaveOutRow>& rows, const std::vector<bool>& used) {
  std::map<std::string, std::vector<std::size_t>> cells;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (used[i]) cells[rows[i].group + "|" + rows[i].engine + "|" + std::string(to_string(rows[i].metric))].push_back(i);
  }
  std::vector<std::vector<std::size_t>> out;
  for (auto& [key, cell] : cells) out.push_back(std::move(cell));
  return out;
}

/// Inverse variances of a cell's rows around its common error, which is drawn to zero by `precision`; both found in turn.
std::vector<double> row_weights(const std::vector<double>& errors, double precision) {
  std::vector<double> weights(errors.size(), 1 / (kRowDeviation * kRowDeviation));
  for (int round = 0; round < kReweighted; ++round) {
    double sum = precision, weighted = 0;
    for (std::size_t i = 0; i < errors.size(); ++i) {
      sum += weights[i];
      weighted += weights[i] * errors[i];
    }
    for (std::size_t i = 0; i < errors.size(); ++i) {
      const double off = std::abs(errors[i] - weighted / sum);
      weights[i] = (off <= kRowDeviation ? 1.0 : kRowDeviation / off) / (kRowDeviation * kRowDeviation);
    }
  }
  return weights;
}

struct Normal {
  std::vector<double> hessian, gradient;
};

/// Adds one cell's generalised least squares: rows weigh by themselves, less what their common error explains.
void add_cell(const Problem& problem, const std::vector<LeaveOutRow>& rows, const std::vector<std::size_t>& cell, const std::vector<double>& x, Normal& out) {
  const bool first_tokens = rows[cell.front()].metric == RunMetric::kTtft;
  const double scale = first_tokens ? kFirstTokenScale : 1.0;
  const double deviation = first_tokens ? kFirstTokenCellDeviation : kCellDeviation;
  const double precision = 1 / (deviation * deviation);
  std::vector<double> errors, predicted;
  for (const std::size_t i : cell) {
    predicted.push_back(predicted_at(problem, rows[i], x));
    errors.push_back(scale * std::log(predicted.back() / rows[i].measured));
  }
  const std::vector<double> weights = row_weights(errors, precision);
  const std::size_t n = problem.size();
  std::vector<double> shared(n, 0.0);
  double sum = precision, weighted = 0;
  for (std::size_t c = 0; c < cell.size(); ++c) {
    const auto slopes = problem.slopes(rows[cell[c]]);
    const double unit = scale / predicted[c];
    for (const auto& [a, sa] : slopes) {
      shared[a] += weights[c] * sa * unit;
      out.gradient[a] += weights[c] * errors[c] * sa * unit;
      for (const auto& [b, sb] : slopes) out.hessian[a * n + b] += weights[c] * sa * sb * unit * unit;
    }
    sum += weights[c];
    weighted += weights[c] * errors[c];
  }
  for (std::size_t a = 0; a < n; ++a) {
    out.gradient[a] -= shared[a] * weighted / sum;
    for (std::size_t b = 0; b < n; ++b) out.hessian[a * n + b] -= shared[a] * shared[b] / sum;
  }
}

/// Gauss-Newton steps towards the most likely constants, each solved by coordinate descent within the bounds.
std::vector<double> fit(const Problem& problem, const std::vector<LeaveOutRow>& rows, const std::vector<bool>& used) {
  const std::vector<std::vector<std::size_t>> cells = cells_of(rows, used);
  const std::vector<double> target = problem.target(), low = problem.least();
  const std::size_t n = problem.size();
  std::vector<double> x(n, 0.0);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    Normal normal{std::vector<double>(n * n, 0.0), std::vector<double>(n, 0.0)};
    for (const auto& cell : cells) add_cell(problem, rows, cell, x, normal);
    for (std::size_t k = 0; k < n; ++k) {
      normal.gradient[k] += x[k] - target[k];
      normal.hessian[k * n + k] += 1.0;
    }
    std::vector<double> next = x;
    for (int sweep = 0; sweep < 200; ++sweep) {
      for (std::size_t k = 0; k < n; ++k) {
        double slope = normal.gradient[k];
        for (std::size_t j = 0; j < n; ++j) slope += normal.hessian[k * n + j] * (next[j] - x[j]);
        next[k] = std::max(low[k], next[k] - slope / normal.hessian[k * n + k]);
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
