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

/// Two tokens that share their first m experts and drew the rest independently: with a the chance that e is among m and p that it is among
/// all, both have it with probability a + (p - a)^2 / (1 - a), and its covariance is a (1 - p)^2 / (1 - a).
void prepare_slots(RouterChoice& choice, const std::vector<double>& order) {
  const auto k = static_cast<std::size_t>(choice.top_k);
  choice.drawn_as.resize(order.size());
  for (std::size_t e = 0; e < choice.included.size(); ++e) {
    const double p = std::min(choice.included[e], 1.0 - 1e-9);
    double among = 0;
    for (std::size_t slot = 0; slot < k; ++slot) {
      const double next = std::min(p, among + p * order[e * k + slot]);
      const double missed = std::log1p(-next) - std::log1p(-among);
      const double spread = (1.0 - p) * (next / (1.0 - next) - among / (1.0 - among)) / p;
      choice.drawn_as[e * k + slot] = {static_cast<float>(missed / std::log1p(-p)), static_cast<float>(spread)};
      among = next;
    }
  }
}

/// table[x], linear between its entries and beyond its end.
double extend(const std::vector<double>& table, double x) {
  const auto low = std::min(static_cast<std::size_t>(x), table.size() - 2);
  return table[low] + (x - static_cast<double>(low)) * (table[low + 1] - table[low]);
}

}  // namespace

RouterChoice make_router_choice(const MoeSpec& moe, std::vector<double> shares, GroupedCorrection& learnt, bool ordered) {
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
  if (ordered) prepare_slots(choice, orders_of_drawing(weights, choice.top_k));
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

namespace {

/// Chance that a follower takes over m of top_k experts, by m.
std::vector<double> taken_over(double kept, int top_k) {
  std::vector<double> chance(static_cast<std::size_t>(top_k) + 1, 0.0);
  chance[0] = 1.0;
  for (int i = 0; i < top_k; ++i) {
    for (std::size_t m = chance.size(); m-- > 1;) chance[m] = chance[m] * (1.0 - kept) + chance[m - 1] * kept;
    chance[0] *= 1.0 - kept;
  }
  return chance;
}

/// Token t takes over from distance l with probability lag[l - 1] unless that lies before the first token. Then the correlation of tokens
/// s < t is the sum over l of lag[l - 1] times that of s and t - l; both tables grow linearly beyond a few reaches.
LocalityTables::Slot make_slot(const std::vector<double>& lag) {
  const std::size_t reach = lag.size();
  const std::size_t length = 3 * reach;
  std::vector<double> correlation(length * length, 0.0);
  LocalityTables::Slot slot;
  slot.fresh.assign(length + 1, 0.0);
  slot.variance.assign(length + 1, 0.0);
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
    slot.variance[t + 1] = slot.variance[t] + 1.0 + 2.0 * with_earlier;
    slot.fresh[t + 1] = slot.fresh[t] + 1.0 - copies;
    if (t < reach) copies += lag[t];
  }
  return slot;
}

}  // namespace

double LocalityTables::fresh_tokens(std::size_t slot, double tokens) const {
  return on() && !slots[slot].fresh.empty() ? extend(slots[slot].fresh, tokens) : tokens;
}

double LocalityTables::inflation(std::size_t slot, double tokens) const {
  return on() && !slots[slot].fresh.empty() ? extend(slots[slot].variance, tokens) / tokens : 1.0;
}

LocalityTables make_locality_tables(const RoutingLocality& locality, int top_k) {
  constexpr double kNothing = 2e-3;
  LocalityTables tables;
  tables.locality = locality;
  tables.top_k = top_k;
  if (!tables.on()) return tables;
  MOEPLAN_CHECK(locality.reach > 0 && locality.copy < 1 && locality.kept >= locality.copy && locality.kept <= 1);
  std::vector<double> lag(static_cast<std::size_t>(locality.reach));
  for (std::size_t d = 0; d < lag.size(); ++d) lag[d] = std::pow(static_cast<double>(d + 1), -locality.decay);
  tables.lag = AliasTable(lag);
  std::vector<double> taken = taken_over(locality.kept, top_k);
  const double follows = locality.copy / locality.kept;
  for (double& chance : taken) chance *= follows;
  taken[0] += 1.0 - follows;
  tables.taken = AliasTable(taken);
  const double sum = std::accumulate(lag.begin(), lag.end(), 0.0);
  double more = follows;  // chance that at least so many are taken over
  std::vector<double> of_slot(lag.size());
  for (std::size_t slot = 0; slot < (locality.kept < 1 ? static_cast<std::size_t>(top_k) : 1); ++slot) {
    more -= slot == 0 ? taken[0] - (1.0 - follows) : taken[slot];
    for (std::size_t d = 0; d < lag.size(); ++d) of_slot[d] = lag[d] * more / sum;
    tables.slots.push_back(more > kNothing ? make_slot(of_slot) : LocalityTables::Slot{});
  }
  return tables;
}

double NeighbourCounts::mean_fresh() const {
  const std::size_t slots = drawn_as_ == nullptr ? 1 : top_k_;
  return std::accumulate(fresh_.begin(), fresh_.begin() + static_cast<std::ptrdiff_t>(slots), 0.0) / static_cast<double>(slots);
}

NeighbourCounts::NeighbourCounts(const RouterChoice& choice, const LocalityTables& locality, double tokens)
    : drawn_as_(locality.partial() ? choice.drawn_as.data() : nullptr), top_k_(static_cast<std::size_t>(choice.top_k)) {
  MOEPLAN_CHECK(!locality.partial() || choice.drawn_as.size() == choice.included.size() * locality.slots.size());
  fresh_[0] = tokens;
  inflation_[0] = 1.0;
  for (std::size_t slot = 0; slot < locality.slots.size(); ++slot) {
    fresh_[slot] = locality.fresh_tokens(slot, tokens);
    inflation_[slot] = locality.inflation(slot, tokens);
  }
}

}  // namespace moeplan
