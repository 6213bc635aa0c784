#include "routing/choice_weights.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr int kIterations = 40;

/// Roughly solves sum_e (1 - exp(-w_e t)) = arrivals for t: it only places a point of the integral.
double time_of(std::span<const double> weights, double arrivals, double guess) {
  double t = guess;
  for (int i = 0; i < 60; ++i) {
    double value = -arrivals;
    double slope = 0;
    for (const double w : weights) {
      const double alive = std::exp(-w * t);
      value += 1.0 - alive;
      slope += w * alive;
    }
    const double step = value / slope;
    t = std::max(0.5 * t, t - step);
    if (std::abs(step) < 0.02 * t) break;
  }
  return t;
}

/// Chance that fewer than `top_k` experts other than e have arrived, for every e, given each one's chance to have arrived.
void chance_open(std::span<const double> arrived, int top_k, std::vector<double>& with_all, std::vector<double>& open) {
  const auto k = static_cast<std::size_t>(top_k);
  with_all.assign(k, 0.0);
  with_all[0] = 1.0;
  for (const double q : arrived) {
    for (std::size_t m = k; m-- > 1;) with_all[m] = with_all[m] * (1.0 - q) + with_all[m - 1] * q;
    with_all[0] *= 1.0 - q;
  }
  for (std::size_t e = 0; e < arrived.size(); ++e) {
    const double q = arrived[e];
    double sum = 0;
    if (q < 0.6) {
      double without = 0;  // dividing out one factor is stable for a small q
      for (std::size_t m = 0; m < k; ++m) {
        without = (with_all[m] - without * q) / (1.0 - q);
        sum += without;
      }
    } else {
      std::vector<double> others(k, 0.0);
      others[0] = 1.0;
      for (std::size_t f = 0; f < arrived.size(); ++f) {
        if (f == e) continue;
        for (std::size_t m = k; m-- > 1;) others[m] = others[m] * (1.0 - arrived[f]) + others[m - 1] * arrived[f];
        others[0] *= 1.0 - arrived[f];
      }
      for (const double p : others) sum += p;
    }
    open[e] = std::clamp(sum, 0.0, 1.0);
  }
}

}  // namespace

std::vector<double> inclusion_probabilities(std::span<const double> weights, int top_k) {
  const auto n = weights.size();
  MOEPLAN_CHECK(top_k > 0 && n > static_cast<std::size_t>(top_k));
  std::vector<double> included(n, 0.0);
  std::vector<double> arrived(n, 0.0);
  std::vector<double> before(n, 0.0);
  std::vector<double> open_before(n, 1.0);
  std::vector<double> open(n, 0.0);
  std::vector<double> with_all;
  double t = 0;
  for (const double w : weights) t += w;
  t = 1e-3 / t;
  const int steps = std::clamp(static_cast<int>(8192 / n), 64, 512);  // few experts make an uneven integrand, and are cheap
  // From no arrivals to so many that the k-th has surely happened, on a grid that is finer where the expected number is near k.
  const double most = std::min(static_cast<double>(n) - 1e-6, top_k + 6.0 * std::sqrt(static_cast<double>(top_k)) + 6.0);
  for (int step = 1; step <= steps; ++step) {
    double expected = most * step / steps;
    if (most > static_cast<double>(n) - 1.0) {  // few experts: approach the end geometrically
      expected = static_cast<double>(n) * (1.0 - std::pow(1e-6, static_cast<double>(step) / steps));
    }
    t = time_of(weights, expected, step > 1 ? t * step / (step - 1) : t);
    for (std::size_t e = 0; e < n; ++e) arrived[e] = -std::expm1(-weights[e] * t);
    chance_open(arrived, top_k, with_all, open);
    for (std::size_t e = 0; e < n; ++e) {
      included[e] += (arrived[e] - before[e]) * 0.5 * (open[e] + open_before[e]);
      before[e] = arrived[e];
      open_before[e] = open[e];
    }
  }
  double sum = 0;  // is top_k but for the error of the integral, which is about the same for all
  for (const double p : included) sum += p;
  for (double& p : included) p = std::min(1.0, p * top_k / sum);
  return included;
}

std::vector<double> choice_weights(std::span<const double> shares, int top_k) {
  if (top_k == 1) return {shares.begin(), shares.end()};
  std::vector<double> weights(shares.size());
  for (std::size_t e = 0; e < shares.size(); ++e) weights[e] = -std::log1p(-top_k * shares[e]);
  for (int i = 0; i < kIterations; ++i) {
    const std::vector<double> got = inclusion_probabilities(weights, top_k);
    double worst = 0;
    for (std::size_t e = 0; e < shares.size(); ++e) {
      const double wanted = top_k * shares[e];
      worst = std::max(worst, std::abs(got[e] / wanted - 1.0));
      // In log(1 - p), where a weight acts linearly: ratios alone would crawl for experts that nearly every token chooses.
      weights[e] *= std::log1p(-wanted) / std::log1p(-std::min(got[e], 1.0 - 1e-9));
    }
    if (worst < 1e-3) break;
  }
  return weights;
}

}  // namespace moeplan
