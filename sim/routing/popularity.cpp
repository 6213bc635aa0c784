#include "routing/popularity.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/error.hpp"
#include "base/random.hpp"
#include "routing/count_sampler.hpp"

namespace moeplan {
namespace {

/// Inverse of the distribution function of the density x^-a on [1, range].
double bounded_power_law(double a, double range, double u) {
  if (std::abs(a - 1.0) < 1e-9) return std::pow(range, u);
  const double top = std::pow(range, 1.0 - a);
  return std::pow(1.0 + u * (top - 1.0), 1.0 / (1.0 - a));
}

std::vector<double> drawn_shares(const Popularity& config, int experts, RandomStream& random) {
  std::vector<double> shares(static_cast<std::size_t>(experts), 1.0);
  for (std::size_t e = 0; e < shares.size(); ++e) {
    switch (config.popularity) {
      case PopularityKind::kUniform:
      case PopularityKind::kRecorded: break;
      case PopularityKind::kLognormal: shares[e] = std::exp(config.sigma * random.normal()); break;
      case PopularityKind::kZipf: shares[e] = std::pow(static_cast<double>(e + 1), -config.exponent); break;
      case PopularityKind::kDirichlet: shares[e] = random.gamma(config.alpha); break;
      case PopularityKind::kPowerLaw: shares[e] = bounded_power_law(config.exponent, config.range, random.uniform()); break;
    }
  }
  if (config.popularity != PopularityKind::kUniform) {
    for (std::size_t e = shares.size(); e > 1; --e) std::swap(shares[e - 1], shares[random.below(static_cast<std::uint32_t>(e))]);
  }
  return shares;
}

std::vector<double> recorded_shares(const RecordedCounts& recorded, int experts, int layer) {
  MOEPLAN_CHECK(!recorded.layers.empty());
  const auto& counts = recorded.layers[static_cast<std::size_t>(layer) % recorded.layers.size()];
  if (counts.size() != static_cast<std::size_t>(experts)) {
    throw InputError(recorded.source,
                     "has " + std::to_string(counts.size()) + " experts per layer, the model has " + std::to_string(experts));
  }
  return counts;
}

/// Nearly dead experts keep 1/1000 of a fair share, as routers that collapsed still choose them now and then.
void collapse(std::vector<double>& shares, double part, RandomStream& random) {
  const auto dead = static_cast<std::size_t>(part * static_cast<double>(shares.size()) + 0.5);
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const double mean = std::accumulate(shares.begin(), shares.end(), 0.0) / static_cast<double>(shares.size());
  for (std::size_t i = 0; i < dead; ++i) {
    const std::size_t j = i + random.below(static_cast<std::uint32_t>(order.size() - i));
    std::swap(order[i], order[j]);
    shares[order[i]] = mean * 1e-3;
  }
}

}  // namespace

double largest_share(int experts, int top_k) {
  MOEPLAN_CHECK(top_k > 0 && experts >= top_k);
  if (top_k == 1) return 1.0;
  const double fair = static_cast<double>(top_k) / experts;
  // An expert that nearly every token chooses would have an unbounded weight.
  return std::max(0.95, 0.5 * (1.0 + fair)) / top_k;
}

void normalise_shares(std::vector<double>& shares, double limit) {
  MOEPLAN_CHECK(limit * static_cast<double>(shares.size()) >= 1.0 - 1e-12);
  std::vector<bool> fixed(shares.size(), false);
  for (std::size_t round = 0; round <= shares.size(); ++round) {
    double room = 1.0;
    double sum = 0.0;
    for (std::size_t e = 0; e < shares.size(); ++e) {
      if (fixed[e])
        room -= limit;
      else
        sum += shares[e];
    }
    bool again = false;
    for (std::size_t e = 0; e < shares.size(); ++e) {
      if (fixed[e]) continue;
      const auto open = static_cast<double>(std::count(fixed.begin(), fixed.end(), false));
      shares[e] = sum > 0 ? shares[e] * (room / sum) : room / open;
    }
    for (std::size_t e = 0; e < shares.size(); ++e) {
      if (!fixed[e] && shares[e] > limit * (1.0 + 1e-12)) {
        shares[e] = limit;
        fixed[e] = true;
        again = true;
      }
    }
    if (!again) return;
  }
}

std::vector<double> drifted_shares(std::vector<double> shares, double correlation, int periods, RandomStream& random) {
  MOEPLAN_CHECK(correlation >= 0 && correlation <= 1 && periods >= 0);
  if (periods == 0 || correlation == 1) return shares;
  const std::size_t n = shares.size();
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return shares[a] < shares[b]; });
  std::vector<double> score(n);
  for (std::size_t r = 0; r < n; ++r) score[order[r]] = normal_quantile((static_cast<double>(r) + 0.5) / static_cast<double>(n));
  const double fresh = std::sqrt(1.0 - correlation * correlation);
  for (int p = 0; p < periods; ++p) {
    for (double& z : score) z = correlation * z + fresh * random.normal();
  }
  std::sort(shares.begin(), shares.end());
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] < score[b]; });
  std::vector<double> dealt(n);
  for (std::size_t r = 0; r < n; ++r) dealt[order[r]] = shares[r];
  return dealt;
}

namespace {

/// `name`: of a domain, which draws and drifts on its own; empty for a popularity without domains.
std::vector<double> shares_at(const Popularity& config, const RoutingDrift& drift, const std::string& name, const MoeSpec& moe, int layer,
                              std::uint64_t seed, int period) {
  const auto at = static_cast<std::uint64_t>(layer);
  const std::string suffix = name.empty() ? "" : "/" + name;
  RandomStream random(seed, "routing/popularity" + suffix, at);
  std::vector<double> shares = config.popularity == PopularityKind::kRecorded ? recorded_shares(config.recorded, moe.experts, layer)
                                                                              : drawn_shares(config, moe.experts, random);
  const int top_k = moe.soft_routing ? moe.experts : moe.top_k;
  const double limit = top_k == moe.experts ? 1.0 / top_k : largest_share(moe.experts, top_k);
  if (config.collapsed > 0) collapse(shares, config.collapsed, random);
  // An expert that a recording never saw chosen may still be chosen, very rarely: zero weights have no logarithm.
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  const double least = sum > 0 ? std::min(0.5, 1e-6 * sum) : 1.0;
  for (double& share : shares) share = std::max(share, least);
  normalise_shares(shares, limit);
  for (double& share : shares) share = (1.0 - config.noise) * share + config.noise / moe.experts;
  if (period == 0 || !drift.on()) return shares;
  RandomStream steps(seed, "routing/drift" + suffix, at);
  return drifted_shares(std::move(shares), drift.correlation, period, steps);
}

}  // namespace

std::vector<double> domain_shares(const RoutingConfig& config, std::size_t domain, const MoeSpec& moe, int layer, std::uint64_t seed,
                                  int period) {
  const RoutingDomain& d = config.domains.at(domain);
  return shares_at(d.popularity, config.drift, d.name, moe, layer, seed, period);
}

std::vector<double> expert_shares(const RoutingConfig& config, const MoeSpec& moe, int layer, std::uint64_t seed, int period) {
  if (config.domains.empty()) return shares_at(config, config.drift, {}, moe, layer, seed, period);
  std::vector<double> mixed(static_cast<std::size_t>(moe.experts), 0.0);
  for (std::size_t d = 0; d < config.domains.size(); ++d) {
    const std::vector<double> shares = domain_shares(config, d, moe, layer, seed, period);
    for (std::size_t e = 0; e < mixed.size(); ++e) mixed[e] += config.domains[d].decode_share * shares[e];
  }
  return mixed;
}

double expected_distinct_experts(std::span<const double> shares, double tokens, int top_k) {
  double sum = 0;
  for (const double share : shares) {
    const double miss = std::max(0.0, 1.0 - top_k * share);
    sum += miss > 0 ? -std::expm1(tokens * std::log(miss)) : 1.0;
  }
  return sum;
}

double expected_distinct_experts(int experts, double tokens, int top_k) {
  MOEPLAN_CHECK(experts > 0 && top_k > 0 && top_k <= experts);
  if (top_k == experts) return experts;
  return -experts * std::expm1(tokens * std::log1p(-static_cast<double>(top_k) / experts));
}

}  // namespace moeplan
