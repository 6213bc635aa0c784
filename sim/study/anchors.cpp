#include "study/anchors.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// Corrections in units of their prior widths: host per step, host per sequence, logarithm of the multiplier, host per prompt.
using Coordinates = std::array<double, 4>;

constexpr Coordinates kWidths = {1e-3, 20e-6, 0.15, 5e-3};
constexpr double kErrorWidth = 0.05;
constexpr double kLeastMultiplier = 0.5;
constexpr double kMostMultiplier = 2.0;
/// Steps of the simulated derivatives: large enough to stand out of the noise of a changed order of events.
constexpr Coordinates kDerivativeSteps = {0.4, 0.5, 0.5, 0.5};
constexpr int kIterations = 5;

struct Box {
  Coordinates low, high;
};

/// `engine` without the time per sequence that only several GPUs have, where the layout has one: less than none has no effect.
Box limits(const EngineProfile& engine, bool one_gpu) {
  constexpr double kFar = 1e3;
  const double per_sequence = engine.host_per_sequence.value() - (one_gpu ? engine.host_per_sequence_across.value() : 0.0);
  return {{-engine.host_per_step.value() / kWidths[0], -per_sequence / kWidths[1], std::log(kLeastMultiplier) / kWidths[2],
           -engine.host_per_prompt.value() / kWidths[3]},
          {kFar, kFar, std::log(kMostMultiplier) / kWidths[2], kFar}};
}

EngineCorrection correction_at(const Coordinates& x) {
  return {x[0] * kWidths[0], x[1] * kWidths[1], std::exp(x[2] * kWidths[2]), x[3] * kWidths[3]};
}

/// The fit in progress: where it stands, what that predicts, and how predictions move with the coordinates.
struct GaussNewton {
  std::span<const double> measured;
  const AnchorPredictor& predict;
  Box box;
  Coordinates at{};
  std::vector<double> predicted;
  std::vector<double> residuals;              ///< ln(predicted / measured) / kErrorWidth
  std::vector<Coordinates> slopes{};          ///< of the residuals

  [[nodiscard]] std::vector<double> residuals_of(const std::vector<double>& values) const {
    MOEPLAN_CHECK(values.size() == measured.size());
    std::vector<double> r(values.size());
    for (std::size_t i = 0; i < r.size(); ++i) {
      MOEPLAN_CHECK(values[i] > 0);
      r[i] = std::log(values[i] / measured[i]) / kErrorWidth;
    }
    return r;
  }
  void differentiate();
  [[nodiscard]] Coordinates next() const;
  bool advance(Coordinates to);
};

double objective(const std::vector<double>& residuals, const Coordinates& at) {
  double sum = 0;
  for (const double r : residuals) sum += r * r;
  for (const double x : at) sum += x * x;
  return sum;
}

void GaussNewton::differentiate() {
  slopes.assign(measured.size(), {});
  for (std::size_t k = 0; k < at.size(); ++k) {
    Coordinates shifted = at;
    shifted[k] += kDerivativeSteps[k];
    const std::vector<double> r = residuals_of(predict(correction_at(shifted)));
    for (std::size_t i = 0; i < r.size(); ++i) slopes[i][k] = (r[i] - residuals[i]) / kDerivativeSteps[k];
  }
}

/// Minimum of the linearised problem in the box, by coordinate descent: it is strictly convex, thanks to the prior.
Coordinates GaussNewton::next() const {
  Coordinates x = at;
  for (int sweep = 0; sweep < 400; ++sweep) {
    for (std::size_t k = 0; k < x.size(); ++k) {
      double gradient = x[k];
      double curvature = 1;
      for (std::size_t i = 0; i < residuals.size(); ++i) {
        double r = residuals[i];
        for (std::size_t j = 0; j < x.size(); ++j) r += slopes[i][j] * (x[j] - at[j]);
        gradient += slopes[i][k] * r;
        curvature += slopes[i][k] * slopes[i][k];
      }
      x[k] = std::clamp(x[k] - gradient / curvature, box.low[k], box.high[k]);
    }
  }
  return x;
}

/// Goes to `to`, or half way there when that is no better; false when neither is. Slopes follow what was seen (Broyden's update).
bool GaussNewton::advance(Coordinates to) {
  const double before = objective(residuals, at);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::vector<double> values = predict(correction_at(to));
    const std::vector<double> r = residuals_of(values);
    double length = 0;
    for (std::size_t k = 0; k < to.size(); ++k) length += (to[k] - at[k]) * (to[k] - at[k]);
    for (std::size_t i = 0; i < r.size() && length > 0; ++i) {
      double expected = residuals[i];
      for (std::size_t k = 0; k < to.size(); ++k) expected += slopes[i][k] * (to[k] - at[k]);
      for (std::size_t k = 0; k < to.size(); ++k) slopes[i][k] += (r[i] - expected) * (to[k] - at[k]) / length;
    }
    if (objective(r, to) < before) {
      at = to;
      residuals = r;
      predicted = values;
      return true;
    }
    for (std::size_t k = 0; k < to.size(); ++k) to[k] = 0.5 * (to[k] + at[k]);
  }
  return false;
}

std::string metric_text(RunMetric metric, double value) {
  return metric == RunMetric::kOutputTokensPerSecond ? fmt::format("{:.0f} tokens/s", value) : fmt::format("{:.4g} ms", value);
}

auto operating_point(const MeasuredRun& run) {
  return std::tuple(run.mode, run.concurrency, run.request_rate_per_s, run.isl, run.osl, run.length_low);
}

std::vector<std::string> contradictions_of(std::span<const MeasuredRun> anchors, const std::vector<AnchorPoint>& points) {
  std::vector<std::string> found;
  std::vector<bool> named(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t j = i + 1; j < points.size(); ++j) {
      const bool same = operating_point(anchors[i]) == operating_point(anchors[j]) && points[i].metric == points[j].metric;
      const auto [low, high] = std::minmax(points[i].measured, points[j].measured);
      if (!same || high <= low * (1 + kAnchorTolerance)) continue;
      named[i] = named[j] = true;
      found.push_back(fmt::format("anchors '{}' and '{}' contradict each other: one operating point, {} {} and {}", points[i].id, points[j].id,
                                  to_string(points[i].metric), metric_text(points[i].metric, points[i].measured),
                                  metric_text(points[j].metric, points[j].measured)));
    }
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    const AnchorPoint& p = points[i];
    if (named[i] || std::abs(p.after / p.measured - 1) <= kAnchorTolerance) continue;
    found.push_back(fmt::format("anchor '{}' contradicts the others or its stated deployment: {} {} measured, {} after the fit", p.id, to_string(p.metric),
                                metric_text(p.metric, p.measured), metric_text(p.metric, p.after)));
  }
  return found;
}

}  // namespace

double AnchorFit::largest_error(double AnchorPoint::* predicted) const {
  double largest = 0;
  for (const AnchorPoint& p : points) largest = std::max(largest, std::abs(p.*predicted / p.measured - 1));
  return largest;
}

void correct_engine(EngineProfile& engine, const EngineCorrection& correction) {
  const auto shifted = [](Seconds host, double by) {
    MOEPLAN_CHECK(host.value() + by >= -1e-9);
    return Seconds(std::max(0.0, host.value() + by));
  };
  MOEPLAN_CHECK(correction.kernel_multiplier > 0);
  engine.host_per_step = shifted(engine.host_per_step, correction.host_per_step_s);
  engine.host_per_sequence = shifted(engine.host_per_sequence, correction.host_per_sequence_s);
  engine.host_per_prompt = shifted(engine.host_per_prompt, correction.host_per_prompt_s);
  engine.kernel_multiplier *= correction.kernel_multiplier;
}

std::optional<RunMetric> anchor_metric(const MeasuredRun& run) {
  for (const RunMetric metric : {RunMetric::kTpot, RunMetric::kItl, RunMetric::kOutputTokensPerSecond}) {
    if (run.value(metric)) return metric;
  }
  return std::nullopt;
}

AnchorFit fit_anchors(std::span<const MeasuredRun> anchors, const EngineProfile& engine, const AnchorPredictor& predict) {
  MOEPLAN_CHECK(!anchors.empty());
  AnchorFit fit;
  fit.layout = anchors.front().anchor_key();
  std::vector<double> measured;
  for (const MeasuredRun& run : anchors) {
    const auto metric = anchor_metric(run);
    MOEPLAN_CHECK(metric.has_value());
    measured.push_back(*run.value(*metric));
    fit.points.push_back({run.id, *metric, measured.back(), 0, 0});
  }
  GaussNewton search{measured, predict, limits(engine, anchors.front().gpus == 1), {}, predict({}), {}, {}};
  search.residuals = search.residuals_of(search.predicted);
  for (std::size_t i = 0; i < measured.size(); ++i) fit.points[i].before = search.predicted[i];
  search.differentiate();
  for (int i = 0; i < kIterations; ++i) {
    const double before = objective(search.residuals, search.at);
    if (!search.advance(search.next())) break;
    if (before - objective(search.residuals, search.at) < 1e-3 * before + 1e-6) break;
  }
  fit.correction = correction_at(search.at);
  for (std::size_t i = 0; i < measured.size(); ++i) fit.points[i].after = search.predicted[i];
  fit.contradictions = contradictions_of(anchors, fit.points);
  return fit;
}

std::vector<std::size_t> choose_anchors(const std::vector<MeasuredRun>& runs, const std::vector<std::size_t>& layout, std::size_t count) {
  std::vector<std::size_t> rising;
  for (const std::size_t i : layout) {
    if (runs[i].quality != RunQuality::kS && anchor_metric(runs[i])) rising.push_back(i);
  }
  const auto before = [&runs](int sign) {
    return [&runs, sign](std::size_t a, std::size_t b) {
      const auto key = [&](std::size_t i) {
        const MeasuredRun& r = runs[i];
        return std::tuple(sign * r.concurrency, to_string(r.mode), r.isl, r.osl, std::string_view(r.id), i);
      };
      return key(a) < key(b);
    };
  };
  std::vector<std::size_t> falling = rising;
  std::sort(rising.begin(), rising.end(), before(1));
  std::sort(falling.begin(), falling.end(), before(-1));
  std::vector<std::size_t> chosen;
  const auto take_first_of = [&](const std::vector<std::size_t>& from) {
    for (const std::size_t i : from) {
      if (std::find(chosen.begin(), chosen.end(), i) != chosen.end()) continue;
      chosen.push_back(i);
      return;
    }
  };
  const std::size_t wanted = std::min(count, rising.size());
  while (chosen.size() < wanted) take_first_of(chosen.size() % 2 == 0 ? rising : falling);
  return chosen;
}

std::string correction_text(const EngineCorrection& c) {
  const auto unsigned_zero = [](double x) { return std::abs(x) < 0.005 ? 0.0 : x; };
  return fmt::format("host {:+.2f} ms per step, {:+.1f} us per sequence, {:+.1f} ms per prompt, kernels x {:.3f}", unsigned_zero(c.host_per_step_s * 1e3),
                     unsigned_zero(c.host_per_sequence_s * 1e6), unsigned_zero(c.host_per_prompt_s * 1e3), c.kernel_multiplier);
}

std::string anchor_points_text(const AnchorFit& fit) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, fit.points.size()); ++i) {
    const AnchorPoint& p = fit.points[i];
    text += fmt::format("  {:<12} measured {:>8.4g}, {:>8.4g} before ({:+.1f} %), {:>8.4g} after ({:+.1f} %)  {}\n", to_string(p.metric), p.measured, p.before,
                        (p.before / p.measured - 1) * 100, p.after, (p.after / p.measured - 1) * 100, p.id);
  }
  if (fit.points.size() > kShown) text += fmt::format("  and {} more\n", fit.points.size() - kShown);
  return text;
}

std::string anchor_fit_json(const AnchorFit& fit) {
  nlohmann::json out;
  out["layout"] = fit.layout;
  out["host_per_step_s"] = fit.correction.host_per_step_s;
  out["host_per_sequence_s"] = fit.correction.host_per_sequence_s;
  out["host_per_prompt_s"] = fit.correction.host_per_prompt_s;
  out["kernel_multiplier"] = fit.correction.kernel_multiplier;
  out["contradictions"] = fit.contradictions;
  out["rows"] = nlohmann::json::array();
  for (const AnchorPoint& p : fit.points) {
    out["rows"].push_back({{"id", p.id},
                           {"metric", to_string(p.metric)},
                           {"measured", p.measured},
                           {"before", p.before},
                           {"after", p.after},
                           {"error_before", p.before / p.measured - 1},
                           {"error_after", p.after / p.measured - 1}});
  }
  return out.dump();
}

}  // namespace moeplan
