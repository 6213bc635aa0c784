#include "study/run_intervals.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "routing/count_sampler.hpp"

namespace moeplan {

namespace {

constexpr double kWidestForm = 3;

double squared(double x) { return x * x; }

double weak_share(const RunEvidence& e) {
  double share = 0;
  for (const Origin weak : {Origin::kExtrapolated, Origin::kTransferred, Origin::kDatasheet}) share += e.origin_share[static_cast<std::size_t>(weak)];
  return share;
}

/// Variance of the logarithm of a step's time without the form, and the share of kernels in it.
struct StepVariance {
  double known = 0;
  double kernels = 1;
};

StepVariance step_variance(const RunEvidence& e, const OperationErrors& o, const ErrorModel& errors) {
  StepVariance v;
  v.kernels = 1 - e.part(StepPart::kHost);
  const double kernels = std::max(v.kernels, 1e-6);
  const double operations = squared(o.gemm * e.products() / kernels) + squared(o.experts * e.part(StepPart::kExperts) / kernels) +
                            squared(o.attention * e.part(StepPart::kAttention) / kernels) + squared(o.communication * e.communication() / kernels);
  v.known = squared(v.kernels) * (squared(weak_share(e) * errors.weak_kernels) + operations);
  if (e.mean_step_s > 0) v.known += squared(errors.host_per_step_s / e.mean_step_s);
  return v;
}

}  // namespace

double RowSpread::total(double form) const { return std::sqrt(known * known + squared(scale * form)); }

RowSpread row_spread(RunMetric metric, double predicted, bool moe, const RunEvidence& evidence, const OperationErrors& operations, const ErrorModel& errors) {
  MOEPLAN_CHECK(predicted > 0);
  const StepVariance step = step_variance(evidence, operations, errors);
  if (metric != RunMetric::kTtft) return {false, moe, step.kernels, std::sqrt(step.known)};
  const double path = std::min(1.0, evidence.request_latency_s * 1e3 / predicted);
  const double steps = squared(1 - path) * (step.known + squared(step.kernels * errors.step(moe)));
  return {true, moe, 1, std::sqrt(steps + squared(path * errors.request_latency))};
}

double form_of(const ErrorModel& errors, const RowSpread& spread) {
  return spread.first_token ? errors.first_token(spread.moe) : errors.step(spread.moe);
}

double fit_form(const std::vector<RowSpread>& spreads, const std::vector<double>& log_errors, double level) {
  MOEPLAN_CHECK(spreads.size() == log_errors.size());
  const double half = normal_half_width(level);
  const auto covered = [&](double form) {
    std::size_t inside = 0;
    for (std::size_t i = 0; i < spreads.size(); ++i) inside += std::abs(log_errors[i]) <= half * spreads[i].total(form) ? 1U : 0U;
    return static_cast<double>(inside) >= level * static_cast<double>(spreads.size());
  };
  if (covered(0)) return 0;
  double low = 0, high = kWidestForm;
  for (int i = 0; i < 40; ++i) {
    const double middle = 0.5 * (low + high);
    (covered(middle) ? high : low) = middle;
  }
  return high;
}

double normal_half_width(double level) { return normal_quantile(0.5 * (1 + level)); }

}  // namespace moeplan
