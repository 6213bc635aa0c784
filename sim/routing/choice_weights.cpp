#include "routing/choice_weights.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr int kIterations = 40;
constexpr double kStep = 1.3;           ///< of the integral in log time, in standard deviations of the k-th arrival
constexpr double kFirst = 5e-3;         ///< expected arrivals at the integral's first point
constexpr double kSurelyClosed = 1e-5;  ///< chance at which it ends
constexpr double kLikely = 0.6;         ///< chance of arrival above which dividing a factor out would be unstable

/// e^-x for x >= 0, relative error 1e-9; unlike the library's it turns into vector instructions.
inline double decay(double x) {
  constexpr double kRound = 6755399441055744.0;  // 1.5 x 2^52: adding it rounds to a whole number, kept in the lowest bits
  const double y = std::max(-x, -700.0) * 1.4426950408889634;
  const double shifted = y + kRound;
  const double r = (y - (shifted - kRound)) * 0.6931471805599453;  // -0.35 .. 0.35
  const double series =
      1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120 + r * (1.0 / 720 + r * (1.0 / 5040 + r / 40320)))))));
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(series) + (std::bit_cast<std::uint64_t>(shifted) << 52));
}

/// The exponential race: every expert arrives after an exponential time, and the first `top_k` are chosen.
class Race {
 public:
  Race(std::span<const double> weights, int top_k)
      : weights_(weights), k_(static_cast<std::size_t>(top_k)), arrived_(weights.size(), 0.0), open_(weights.size(), 1.0), without_(weights.size()), inverse_(weights.size()) {}

  [[nodiscard]] const std::vector<double>& arrived() const { return arrived_; }
  /// Chance that fewer than top_k experts other than e have arrived.
  [[nodiscard]] const std::vector<double>& open() const { return open_; }

  /// Goes on to time t.
  void advance(double t) {
    advance(t, [](std::size_t, std::size_t, double) {});
  }
  /// Goes on to time t and calls `use(e, m, chance)` for the chance that exactly m < top_k experts other than e have arrived.
  template <class Use>
  void advance(double t, Use&& use) {
    for (std::size_t e = 0; e < weights_.size(); ++e) arrived_[e] = 1.0 - decay(weights_[e] * t);
    count_arrivals();
    leave_one_out(use);
  }

 private:
  static void add(double q, std::vector<double>& counts) {
    for (std::size_t m = counts.size(); m-- > 1;) counts[m] = counts[m] * (1.0 - q) + counts[m - 1] * q;
    counts[0] *= 1.0 - q;
  }

  /// Distribution of the number of arrivals below top_k: of the unlikely ones, and of all.
  void count_arrivals() {
    unlikely_.assign(k_, 0.0);
    unlikely_[0] = 1.0;
    likely_.clear();
    for (std::size_t e = 0; e < arrived_.size(); ++e) {
      if (arrived_[e] < kLikely)
        add(arrived_[e], unlikely_);
      else
        likely_.push_back(e);
    }
    all_ = unlikely_;
    for (const std::size_t e : likely_) add(arrived_[e], all_);
  }

  template <class Use>
  void leave_one_out(Use&& use) {
    const std::size_t n = arrived_.size();
    std::fill(open_.begin(), open_.end(), 0.0);
    std::fill(without_.begin(), without_.end(), 0.0);
    for (std::size_t e = 0; e < n; ++e) inverse_[e] = 1.0 / (1.0 - std::min(arrived_[e], kLikely));
    for (std::size_t m = 0; m < k_; ++m) {
      for (std::size_t e = 0; e < n; ++e) {
        without_[e] = (all_[m] - without_[e] * arrived_[e]) * inverse_[e];
        open_[e] += without_[e];
        if (arrived_[e] < kLikely) use(e, m, without_[e]);
      }
    }
    for (const std::size_t e : likely_) {
      others_ = unlikely_;
      for (const std::size_t f : likely_) {
        if (f != e) add(arrived_[f], others_);
      }
      open_[e] = 0;
      for (std::size_t m = 0; m < k_; ++m) {
        open_[e] += others_[m];
        use(e, m, others_[m]);
      }
    }
    for (double& p : open_) p = std::clamp(p, 0.0, 1.0);
  }

  std::span<const double> weights_;
  std::size_t k_;
  std::vector<double> arrived_;
  std::vector<double> open_;
  std::vector<double> without_, inverse_;
  std::vector<double> unlikely_, all_, others_;
  std::vector<std::size_t> likely_;
};

}  // namespace

std::vector<double> inclusion_probabilities(std::span<const double> weights, int top_k) {
  const auto n = weights.size();
  MOEPLAN_CHECK(top_k > 0 && n > static_cast<std::size_t>(top_k));
  // P(included) = integral of P(open) dP(arrived), by the trapezoid rule in log time: every arrival is a smooth bump there, whatever its
  // weight, so that the rule converges exponentially. Before the first point everything is open.
  const double step = std::min(0.6, kStep / std::sqrt(static_cast<double>(top_k)));
  double t = kFirst / std::accumulate(weights.begin(), weights.end(), 0.0);
  Race race(weights, top_k);
  race.advance(t);
  std::vector<double> included = race.arrived();
  double width = 0.5 * step * t;
  for (;;) {
    double most = 0;
    for (std::size_t e = 0; e < n; ++e) {
      const double missing = 1.0 - race.arrived()[e];
      included[e] += race.open()[e] * weights[e] * missing * width;
      most = std::max(most, race.open()[e] * missing);
    }
    if (most < kSurelyClosed) break;
    t *= std::exp(step);
    width = step * t;
    race.advance(t);
  }
  double sum = 0;  // is top_k but for the error of the integral, which is about the same for all
  for (const double p : included) sum += p;
  for (double& p : included) p = std::min(1.0, p * top_k / sum);
  return included;
}

std::vector<double> orders_of_drawing(std::span<const double> weights, int top_k) {
  const auto n = weights.size();
  const auto k = static_cast<std::size_t>(top_k);
  MOEPLAN_CHECK(top_k > 0 && n > k);
  const double step = std::min(0.6, kStep / std::sqrt(static_cast<double>(top_k)));
  double t = kFirst / std::accumulate(weights.begin(), weights.end(), 0.0);
  Race race(weights, top_k);
  std::vector<double> order(n * k, 0.0);
  for (std::size_t e = 0; e < n; ++e) order[e * k] = weights[e] * t;
  for (double width = 0.5 * step * t;; t *= std::exp(step), width = step * t) {
    race.advance(t, [&](std::size_t e, std::size_t m, double chance) { order[e * k + m] += std::max(0.0, chance) * weights[e] * (1.0 - race.arrived()[e]) * width; });
    double most = 0;
    for (std::size_t e = 0; e < n; ++e) most = std::max(most, race.open()[e] * (1.0 - race.arrived()[e]));
    if (most < kSurelyClosed) break;
  }
  for (std::size_t e = 0; e < n; ++e) {
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(e * k);
    const auto last = first + static_cast<std::ptrdiff_t>(k);
    const double sum = std::accumulate(first, last, 0.0);
    std::for_each(first, last, [&](double& x) { x = sum > 0 ? x / sum : 1.0 / top_k; });
  }
  return order;
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
