#include "routing/count_sampler.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "routing/grouped_choice.hpp"
#include "routing/quick_random.hpp"

namespace moeplan {
namespace {

/// Quantile of Binomial(n, p) at the standard score z.
std::int32_t binomial_quantile(double n, double p, double log_missed, double deviation, double z) {
  const double mean = n * p;
  if (mean >= 4.0) {
    const double x = mean + deviation * z + (1.0 - 2.0 * p) * (z * z - 1.0) / 6.0 + 0.5;
    return x < 0 ? 0 : static_cast<std::int32_t>(std::min(x, n));
  }
  double u = 0.5 * std::erfc(-z * 0.70710678118654752);
  const double odds = p / (1.0 - p);
  double probability = std::exp(n * log_missed);
  std::int32_t k = 0;
  while (u > probability && k < 200) {
    u -= probability;
    probability *= odds * (n - k) / (k + 1);
    ++k;
  }
  return k;
}

double standard_normal(QuickRandom& random) { return normal_quantile((static_cast<double>(random.bits32()) + 0.5) * 0x1.0p-32); }

/// Gives or takes single pairs until the counts sum to `wanted`. With `touched_only`, touched experts stay touched and the others not.
void restore_sum(const RouterChoice& choice, std::int64_t tokens, std::int64_t missing, bool touched_only, QuickRandom& random,
                 std::span<std::int32_t> counts) {
  const int step = missing > 0 ? 1 : -1;
  std::int64_t tries = 0;
  while (missing != 0) {
    std::size_t e = choice.table.draw(random);
    if (++tries > 100000) {  // nearly everything is at a limit: anything goes
      e = static_cast<std::size_t>(tries) % counts.size();
      touched_only = false;
    }
    const std::int64_t next = std::int64_t{counts[e]} + step;
    if (next < 0 || next > tokens || (touched_only && (next == 0 || counts[e] == 0))) continue;
    counts[e] = static_cast<std::int32_t>(next);
    missing -= step;
  }
}

/// A gamma variate of the given mean and variance (Wilson and Hilferty's cube), or, where that would be wrong because the deviation exceeds
/// the mean by much, 0 or an exponential with the same two moments.
double non_negative(double mean, double variance, QuickRandom& random) {
  const double shape = mean * mean / variance;
  if (shape >= 0.6) {
    const double ninth = 1.0 / (9.0 * shape);
    const double root = 1.0 - ninth + std::sqrt(ninth) * standard_normal(random);
    return root > 0 ? mean * root * root * root : 0.0;
  }
  const double some = 2.0 * shape / (1.0 + shape);
  const double u = random.uniform_positive();
  return u < some ? -mean / some * std::log(u / some) : 0.0;
}

/// Fluctuation of the group totals, whose sum is fixed.
void draw_group_shifts(const RouterChoice& choice, QuickRandom& random, std::span<double> shift) {
  double shared = 0;
  for (std::size_t g = 0; g < shift.size(); ++g) {
    shift[g] = choice.group_spread[g] * standard_normal(random);
    shared += shift[g];
  }
  for (std::size_t g = 0; g < shift.size(); ++g) shift[g] -= choice.group_common[g] * shared;
}

/// Counts of independent tokens, `tokens_of(e)` (any real number) for expert e; returns their sum.
template <class TokensOf>
std::int64_t draw_independent(const RouterChoice& choice, TokensOf tokens_of, QuickRandom& random, std::span<std::int32_t> counts) {
  const auto groups = static_cast<std::size_t>(choice.groups());
  const std::size_t size = counts.size() / groups;
  std::array<double, kMostGroups> shift;
  shift[0] = 0;
  if (groups > 1) draw_group_shifts(choice, random, {shift.data(), groups});
  std::array<double, kMostExperts> z;
  std::int64_t sum = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    double common = shift[g];
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
      z[e] = standard_normal(random);
      common -= choice.spread[e] * z[e];
    }
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
      const double score = choice.own[e] * z[e] + choice.common[e] * common;
      const double tokens = tokens_of(e);
      counts[e] = binomial_quantile(tokens, choice.included[e], choice.log_missed[e], std::sqrt(tokens) * choice.deviation[e], score);
      sum += counts[e];
    }
  }
  return sum;
}

/// Turns counts of fresh choices into counts of all choices of `tokens` tokens; returns their sum. The copies of an expert's f fresh choices
/// have mean f (ratio - 1) and variance f ratio (inflation - ratio), ratio: tokens per fresh one, so that the variance in all is inflation
/// times that of independent tokens.
std::int64_t add_copies(const RouterChoice& choice, double tokens, const NeighbourCounts& neighbours, QuickRandom& random,
                        std::span<std::int32_t> counts, std::int64_t sum) {
  const auto groups = static_cast<std::size_t>(choice.groups());
  const std::size_t size = counts.size() / groups;
  std::array<double, kMostExperts> copies;
  double drawn = 0;
  const double group_excess = std::max(1e-3, neighbours.group_inflation() - tokens / neighbours.mean_fresh());
  for (std::size_t g = 0; g < groups; ++g) {
    double in_group = 0;
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
      if (counts[e] == 0) continue;
      const double ratio = tokens / neighbours.fresh(e);
      const double excess = std::max(1e-3, neighbours.inflation(e) - ratio);
      copies[e] = non_negative(counts[e] * (ratio - 1.0), counts[e] * ratio * excess, random);
      in_group += copies[e];
    }
    if (groups > 1 && in_group > 0) {  // the experts of a group come together, and are copied together
      const double shift = std::sqrt(tokens * group_excess * choice.group_excess[g]) * standard_normal(random);
      const double factor = std::max(0.0, 1.0 + shift / in_group);
      for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
        if (counts[e] > 0) copies[e] *= factor;
      }
      in_group *= factor;
    }
    drawn += in_group;
  }
  const double scale = drawn > 0 ? std::max(0.0, tokens * choice.top_k - static_cast<double>(sum)) / drawn : 0.0;
  std::int64_t total = 0;
  for (std::size_t e = 0; e < counts.size(); ++e) {
    if (counts[e] == 0) continue;
    counts[e] = static_cast<std::int32_t>(std::min(tokens, counts[e] + copies[e] * scale + 0.5));
    total += counts[e];
  }
  return total;
}

}  // namespace

double normal_quantile(double u) {
  MOEPLAN_CHECK(u > 0 && u < 1);
  constexpr double kTail = 0.02425;
  if (u >= kTail && u <= 1.0 - kTail) {
    const double q = u - 0.5;
    const double r = q * q;
    const double top =
        ((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.3577518672690) * r - 30.66479806614716) * r +
        2.506628277459239;
    const double bottom =
        ((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r - 13.28068155288572) * r +
        1.0;
    return top * q / bottom;
  }
  const double q = std::sqrt(-2.0 * std::log(u < 0.5 ? u : 1.0 - u));
  const double top =
      ((((-7.784894002430293e-03 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) * q + 4.374664141464968) * q +
      2.938163982698783;
  const double bottom = (((7.784695709041462e-03 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1.0;
  return u < 0.5 ? top / bottom : -top / bottom;
}

void sample_counts(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts) {
  MOEPLAN_CHECK(counts.size() <= kMostExperts && tokens < (std::int64_t{1} << 31));
  const auto all = static_cast<double>(tokens);
  QuickRandom quick(random);
  const bool neighbours = locality != nullptr && locality->on();
  std::int64_t sum = 0;
  if (neighbours) {
    const NeighbourCounts expected(choice, *locality, all);
    sum = draw_independent(choice, [&](std::size_t e) { return expected.fresh(e); }, quick, counts);
    sum = add_copies(choice, all, expected, quick, counts, sum);
  } else {
    sum = draw_independent(choice, [all](std::size_t) { return all; }, quick, counts);
  }
  restore_sum(choice, tokens, tokens * choice.top_k - sum, neighbours, quick, counts);
}

}  // namespace moeplan
