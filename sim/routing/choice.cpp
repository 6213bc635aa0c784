#include "routing/choice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "routing/choice_weights.hpp"

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

void prepare_copula(RouterChoice& choice) {
  const std::size_t n = choice.included.size();
  std::vector<double> variance(n);
  for (std::size_t e = 0; e < n; ++e) variance[e] = choice.included[e] * (1.0 - choice.included[e]);
  const std::vector<double> c = hajek_coefficients(variance);
  const double sum = std::accumulate(c.begin(), c.end(), 0.0);
  for (std::size_t e = 0; e < n; ++e) {
    const double got = std::sqrt(c[e] - c[e] * c[e] / sum);
    choice.deviation.push_back(std::sqrt(variance[e]));
    choice.spread.push_back(std::sqrt(c[e]));
    choice.own.push_back(std::sqrt(c[e]) / got);
    choice.common.push_back(c[e] / sum / got);
  }
}

}  // namespace

RouterChoice make_router_choice(const MoeSpec& moe, std::vector<double> shares) {
  RouterChoice choice;
  choice.experts = moe.experts;
  choice.top_k = moe.soft_routing ? moe.experts : moe.top_k;
  MOEPLAN_CHECK(choice.top_k > 0 && choice.top_k <= moe.experts && shares.size() == static_cast<std::size_t>(moe.experts));
  if (choice.top_k == choice.experts) {
    choice.included.assign(shares.size(), 1.0);
    return choice;
  }
  const std::vector<double> weights = choice_weights(shares, choice.top_k);
  choice.table = AliasTable(weights);
  choice.included = std::move(shares);
  for (double& p : choice.included) p *= choice.top_k;
  prepare_copula(choice);
  return choice;
}

double LocalityTables::fresh_tokens(double tokens) const {
  if (!on()) return tokens;
  const auto reach = static_cast<double>(locality.reach);
  if (tokens >= reach) return fresh.back() + (tokens - reach) * (1.0 - locality.copy);
  const auto low = static_cast<std::size_t>(tokens);
  const double part = tokens - static_cast<double>(low);
  return fresh[low] + part * (fresh[std::min(low + 1, fresh.size() - 1)] - fresh[low]);
}

double LocalityTables::inflation(double tokens) const {
  if (!on()) return 1.0;
  double sum = 1.0;
  for (std::size_t d = 1; d < correlation.size() && static_cast<double>(d) < tokens; ++d) {
    sum += 2.0 * (1.0 - static_cast<double>(d) / tokens) * correlation[d];
  }
  return sum;
}

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
  // Token t copies with the probability of a distance that does not reach beyond the first token.
  tables.fresh.assign(reach + 1, 0.0);
  double copies = 0;
  for (std::size_t t = 0; t < reach; ++t) {
    tables.fresh[t + 1] = tables.fresh[t] + 1.0 - copies;
    copies += lag[t];
  }
  // Yule-Walker: r(d) = sum over lags l of q_l r(|d - l|), r(0) = 1; a contraction with factor `copy`.
  const std::size_t length = 2 * reach + 1;
  tables.correlation.assign(length, 0.0);
  tables.correlation[0] = 1.0;
  for (int i = 0; i < 30; ++i) {
    for (std::size_t d = 1; d < length; ++d) {
      double r = 0;
      for (std::size_t l = 1; l <= reach; ++l) r += lag[l - 1] * tables.correlation[d > l ? d - l : l - d];
      tables.correlation[d] = r;
    }
  }
  return tables;
}

}  // namespace moeplan
