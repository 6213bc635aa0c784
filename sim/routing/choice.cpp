#include "routing/choice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "routing/choice_weights.hpp"
#include "routing/grouped_choice.hpp"

namespace moeplan {
namespace {

/// Hajek's covariance of a fixed-size sample: cov = diag(c) - c c' / sum(c) with the diagonal p (1 - p). Solved by iteration.
std::vector<double> hajek_coefficients(const std::vector<double>& variance) {
  std::vector<double> c = variance;
  for (int i = 0; i < 50; ++i) {
    const double sum = std::accumulate(c.begin(), c.end(), 0.0);
    for (std::size_t e = 0; e < c.size(); ++e) {
      const double part = std::min(c[e] / sum, 0.5);  // no solution exists for an expert with more than half the variance
      c[e] = 0.5 * (c[e] + variance[e] / (1.0 - part));
    }
  }
  return c;
}

/// Scores of a choice whose group totals have the variances `group_variance` per token (empty: one group, total without variance).
void prepare_copula(RouterChoice& choice, const std::vector<double>& group_variance) {
  const std::size_t n = choice.included.size();
  std::vector<double> variance(n);
  for (std::size_t e = 0; e < n; ++e) variance[e] = choice.included[e] * (1.0 - choice.included[e]);
  const bool grouped = !group_variance.empty();
  const std::vector<double> c = grouped ? variance : hajek_coefficients(variance);
  const std::size_t size = grouped ? static_cast<std::size_t>(choice.group_size) : n;
  for (std::size_t e = 0; e < n; ++e) {
    const std::size_t g = e / size;
    const auto first = c.begin() + static_cast<std::ptrdiff_t>(g * size);
    const double part = c[e] / std::accumulate(first, first + static_cast<std::ptrdiff_t>(size), 0.0);
    const double got = std::sqrt(c[e] - c[e] * part + (grouped ? part * part * group_variance[g] : 0.0));
    choice.log_missed.push_back(std::log1p(-choice.included[e]));
    choice.deviation.push_back(std::sqrt(variance[e]));
    choice.spread.push_back(std::sqrt(c[e]));
    choice.own.push_back(std::sqrt(c[e]) / got);
    choice.common.push_back(part / got);
  }
  if (!grouped) return;
  const std::vector<double> q = hajek_coefficients(group_variance);
  const double sum = std::accumulate(q.begin(), q.end(), 0.0);
  for (std::size_t g = 0; g < q.size(); ++g) {
    choice.group_spread.push_back(std::sqrt(q[g]));
    choice.group_common.push_back(q[g] / sum);
    const auto first = choice.included.begin() + static_cast<std::ptrdiff_t>(g * size);
    const double mean = std::accumulate(first, first + static_cast<std::ptrdiff_t>(size), 0.0);
    choice.group_excess.push_back(std::max(0.0, group_variance[g] - mean * (1.0 - mean / choice.top_k)));
  }
}

/// table[x], linear between its entries and beyond its end.
double extend(const std::vector<double>& table, double x) {
  const auto low = std::min(static_cast<std::size_t>(x), table.size() - 2);
  return table[low] + (x - static_cast<double>(low)) * (table[low + 1] - table[low]);
}

}  // namespace

RouterChoice make_router_choice(const MoeSpec& moe, std::vector<double> shares, GroupedCorrection& learnt) {
  RouterChoice choice;
  choice.experts = moe.experts;
  choice.top_k = moe.soft_routing ? moe.experts : moe.top_k;
  MOEPLAN_CHECK(choice.top_k > 0 && choice.top_k <= moe.experts && shares.size() == static_cast<std::size_t>(moe.experts));
  if (choice.top_k == choice.experts) {
    choice.included.assign(shares.size(), 1.0);
    return choice;
  }
  std::vector<double> weights = choice_weights(shares, choice.top_k);
  choice.included = std::move(shares);
  for (double& p : choice.included) p *= choice.top_k;
  std::vector<double> group_variance;
  if (moe.top_groups > 0 && moe.top_groups < moe.groups) {
    MOEPLAN_CHECK(moe.groups <= kMostGroups && moe.experts % moe.groups == 0 && moe.experts / moe.groups * moe.top_groups >= choice.top_k);
    choice.group_size = moe.experts / moe.groups;
    choice.top_groups = moe.top_groups;
    for (int e = 0; e < moe.experts; ++e) choice.group_of.push_back(static_cast<std::uint8_t>(e / choice.group_size));
    group_variance = fit_grouped_weights(choice, weights, learnt);
  }
  choice.table = AliasTable(weights);
  prepare_copula(choice, group_variance);
  return choice;
}

double LocalityTables::fresh_tokens(double tokens) const { return on() ? extend(fresh, tokens) : tokens; }

double LocalityTables::inflation(double tokens) const { return on() ? extend(variance, tokens) / tokens : 1.0; }

LocalityTables make_locality_tables(const RoutingLocality& locality) {
  LocalityTables tables;
  tables.locality = locality;
  if (locality.copy <= 0) return tables;
  const auto reach = static_cast<std::size_t>(locality.reach);
  MOEPLAN_CHECK(reach > 0 && locality.copy < 1);
  std::vector<double> lag(reach);
  for (std::size_t d = 0; d < reach; ++d) lag[d] = std::pow(static_cast<double>(d + 1), -locality.decay);
  tables.lag = AliasTable(lag);
  const double sum = std::accumulate(lag.begin(), lag.end(), 0.0);
  for (double& q : lag) q *= locality.copy / sum;
  // Token t copies from distance l with probability lag[l - 1] unless that lies before the first token. Then the correlation of tokens
  // s < t is the sum over l of lag[l - 1] times that of s and t - l; both tables grow linearly beyond a few reaches.
  const std::size_t length = 3 * reach;
  std::vector<double> correlation(length * length, 0.0);
  tables.fresh.assign(length + 1, 0.0);
  tables.variance.assign(length + 1, 0.0);
  double copies = 0;
  for (std::size_t t = 0; t < length; ++t) {
    double* const row = correlation.data() + t * length;
    double with_earlier = 0;
    for (std::size_t l = 1; l <= std::min(reach, t); ++l) {
      const double* const source = correlation.data() + (t - l) * length;
      for (std::size_t s = 0; s < t; ++s) row[s] += lag[l - 1] * source[s];
    }
    for (std::size_t s = 0; s < t; ++s) {
      with_earlier += row[s];
      correlation[s * length + t] = row[s];
    }
    row[t] = 1.0;
    tables.variance[t + 1] = tables.variance[t] + 1.0 + 2.0 * with_earlier;
    tables.fresh[t + 1] = tables.fresh[t] + 1.0 - copies;
    if (t < reach) copies += lag[t];
  }
  return tables;
}

}  // namespace moeplan
