#include "study/verdict_ranks.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "routing/count_sampler.hpp"

namespace moeplan {

namespace {

constexpr std::size_t kStrata = 64;
/// What is believed of the curve before anything was tried: standard deviations of its level and slope, and that the score foretells something.
constexpr double kLevelWidth = 4;
constexpr double kSlopeWidth = 3;
constexpr double kSlopeBelieved = -2;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

VerdictRanks::VerdictRanks(const std::vector<double>& scores) : place_(scores.size()), stratum_of_(scores.size()), answer_(scores.size()) {
  MOEPLAN_CHECK(!scores.empty());
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  const std::size_t n = scores.size();
  strata_.resize(std::min(kStrata, n));
  for (std::size_t rank = 0; rank < n; ++rank) {
    place_[order[rank]] = normal_quantile((static_cast<double>(rank) + 0.5) / static_cast<double>(n));
    stratum_of_[order[rank]] = rank * strata_.size() / n;
  }
  // By number, which knows nothing of the score: a random order within the stratum.
  for (std::size_t i = 0; i < n; ++i) strata_[stratum_of_[i]].cases.push_back(i);
}

void VerdictRanks::add(std::size_t which, bool yes) {
  MOEPLAN_CHECK(!answer_.at(which));
  answer_[which] = yes;
  Stratum& s = strata_[stratum_of_[which]];
  ++s.tried;
  s.yes += yes ? 1U : 0U;
  ++tried_count_;
}

VerdictRanks::Curve VerdictRanks::fit() const {
  Curve c;
  c.slope = kSlopeBelieved;
  constexpr int kMostSteps = 60;
  constexpr double kLongestStep = 2;
  for (int i = 0; i < kMostSteps; ++i) {
    double by_level = -c.level / (kLevelWidth * kLevelWidth);
    double by_slope = -(c.slope - kSlopeBelieved) / (kSlopeWidth * kSlopeWidth);
    double h00 = 1 / (kLevelWidth * kLevelWidth), h01 = 0, h11 = 1 / (kSlopeWidth * kSlopeWidth);
    for (std::size_t k = 0; k < answer_.size(); ++k) {
      if (!answer_[k]) continue;
      const double x = place_[k];
      const double p = logistic(c.level + c.slope * x);
      const double miss = (*answer_[k] ? 1 : 0) - p;
      by_level += miss;
      by_slope += miss * x;
      h00 += p * (1 - p);
      h01 += p * (1 - p) * x;
      h11 += p * (1 - p) * x * x;
    }
    const double determinant = h00 * h11 - h01 * h01;
    c.var_level = h11 / determinant;
    c.var_slope = h00 / determinant;
    c.covariance = -h01 / determinant;
    double level = c.var_level * by_level + c.covariance * by_slope;
    double slope = c.covariance * by_level + c.var_slope * by_slope;
    const double longest = std::max(std::abs(level), std::abs(slope));
    if (longest > kLongestStep) {
      level *= kLongestStep / longest;
      slope *= kLongestStep / longest;
    }
    c.level += level;
    c.slope += slope;
    if (longest < 1e-9) break;
  }
  return c;
}

std::vector<VerdictRanks::Expected> VerdictRanks::expected(const Curve& c) const {
  std::vector<Expected> out(strata_.size());
  for (std::size_t k = 0; k < place_.size(); ++k) {
    const double p = logistic(c.level + c.slope * place_[k]);
    Expected& e = out[stratum_of_[k]];
    e.yes += p;
    e.by_level += p * (1 - p);
    e.by_slope += p * (1 - p) * place_[k];
  }
  for (std::size_t s = 0; s < out.size(); ++s) {
    const auto n = static_cast<double>(strata_[s].cases.size());
    out[s] = {out[s].yes / n, out[s].by_level / n, out[s].by_slope / n};
  }
  return out;
}

std::vector<std::size_t> VerdictRanks::next(std::size_t count) const {
  std::vector<std::size_t> planned(strata_.size(), 0);
  if (tried_count_ == 0) {
    for (std::size_t i = 0; i < count; ++i) ++planned[(2 * i + 1) * strata_.size() / (2 * count)];
  } else {
    const std::vector<Expected> at = expected(fit());
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t best = strata_.size();
      double most = 0;
      for (std::size_t s = 0; s < strata_.size(); ++s) {
        const std::size_t n = strata_[s].tried + planned[s];
        const auto have = static_cast<double>(n);
        const double gain = at[s].yes * (1 - at[s].yes) / ((have + 1) * (have + 2));
        if (n >= strata_[s].cases.size() || gain <= most) continue;
        most = gain;
        best = s;
      }
      if (best == strata_.size()) break;
      ++planned[best];
    }
  }
  std::vector<std::size_t> out;
  for (std::size_t s = 0; s < strata_.size(); ++s) {
    for (const std::size_t k : strata_[s].cases) {
      if (planned[s] == 0) break;
      if (answer_[k]) continue;
      out.push_back(k);
      --planned[s];
    }
  }
  return out;
}

VerdictRanks::Estimate VerdictRanks::estimate() const {
  MOEPLAN_CHECK(tried_count_ > 0);
  const Curve c = fit();
  const std::vector<Expected> at = expected(c);
  const auto strata = static_cast<double>(strata_.size());
  Estimate out;
  double by_level = 0, by_slope = 0, drawn = 0;
  for (std::size_t s = 0; s < strata_.size(); ++s) {
    // The curve counts as one trial more.
    const double share = 1 / static_cast<double>(strata_[s].tried + 1);
    out.probability += (static_cast<double>(strata_[s].yes) + at[s].yes) * share / strata;
    by_level += at[s].by_level * share / strata;
    by_slope += at[s].by_slope * share / strata;
    drawn += at[s].yes * (1 - at[s].yes) * static_cast<double>(strata_[s].tried) * share * share / (strata * strata);
  }
  const double curve = c.var_level * by_level * by_level + 2 * c.covariance * by_level * by_slope + c.var_slope * by_slope * by_slope;
  const double cases = out.probability * (1 - out.probability) / static_cast<double>(answer_.size());
  out.error = std::sqrt(drawn + curve + cases);
  return out;
}

}  // namespace moeplan
