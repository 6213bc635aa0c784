#include "routing/locality_fit.hpp"

#include <algorithm>
#include <cmath>

#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

/// The last place a search goes to from `at`, making `misfit` smaller with every step in copy, decay or kept.
template <class Misfit>
RoutingLocality descend(RoutingLocality at, double step, double last_step, const Misfit& misfit) {
  double here = misfit(at);
  while (step > last_step) {
    const RoutingLocality from = at;
    for (const double change : {step, -step}) {
      for (int parameter = 0; parameter < 3; ++parameter) {
        RoutingLocality next = from;
        if (parameter == 0) next.copy = std::clamp(from.copy + change, 0.02, 0.95);
        if (parameter == 1) next.decay = std::clamp(from.decay + 2 * change, 0.0, 5.0);
        if (parameter == 2) next.kept = std::clamp(from.kept + change, 0.1, 1.0);
        next.kept = std::max(next.kept, next.copy);
        if (next == from) continue;
        if (const double m = misfit(next); m < here) {
          here = m;
          at = next;
        }
      }
    }
    if (at == from) step *= 0.5;
  }
  return at;
}

/// An error of 3 % in distinct experts counts as much as one of 20 % in the spread of the counts.
double moment_misfit(const RoutingLocality& locality, std::span<const BatchSums> measured, const std::vector<RouterChoice>& layers) {
  const LocalityTables tables = make_locality_tables(locality, layers.front().top_k);
  double sum = 0;
  for (const BatchSums& b : measured) {
    double distinct = 0;
    double independent = 0;
    double variance = 0;
    for (const RouterChoice& choice : layers) {
      const NeighbourCounts neighbours(choice, tables, b.tokens);
      for (std::size_t e = 0; e < choice.included.size(); ++e) {
        distinct -= std::expm1(neighbours.fresh(e) * choice.log_missed[e]);
        const double one = choice.deviation[e] * choice.deviation[e];
        independent += one;
        variance += one * neighbours.inflation(e);
      }
    }
    const double touched = distinct / static_cast<double>(layers.size()) * b.batches / b.distinct - 1.0;
    const double spread = std::sqrt(variance / independent * b.independent / b.squares) - 1.0;
    sum += touched * touched / (0.03 * 0.03) + spread * spread / (0.2 * 0.2);
  }
  return sum;
}

/// An error of 3 % in distinct experts counts as much as one of 5 % in a hottest rank; large errors count most.
double sampled_misfit(const RoutingLocality& locality, std::span<const BatchSums> measured, const std::vector<RouterChoice>& layers) {
  constexpr std::size_t kTokens = 32768;  // per batch size
  const LocalityTables tables = make_locality_tables(locality, layers.front().top_k);
  double sum = 0;
  std::vector<std::int32_t> counts;
  for (const BatchSums& wanted : measured) {
    BatchSums got;
    got.tokens = wanted.tokens;
    const std::size_t batches = std::max<std::size_t>(3, kTokens / layers.size() / static_cast<std::size_t>(wanted.tokens));
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      RandomStream random(0, "routing/locality", layer);
      for (std::size_t i = 0; i < batches; ++i) {
        counts.assign(layers[layer].included.size(), 0);
        sample_tokens(layers[layer], &tables, wanted.tokens, random, counts);
        got.add<std::int32_t>(counts, layers[layer].included);
      }
    }
    const auto add = [&](double drawn, double seen, double tolerance) {
      const double off = (drawn / got.batches / (seen / wanted.batches) - 1.0) / tolerance;
      sum += off * off * off * off;
    };
    add(got.distinct, wanted.distinct, 0.03);
    for (std::size_t i = 0; i < kFittedRanks.size(); ++i) {
      if (wanted.hottest[i] > 0) add(got.hottest[i], wanted.hottest[i], 0.05);
    }
  }
  return sum;
}

}  // namespace

RoutingLocality fit_locality(std::span<const BatchSums> measured, const std::vector<RouterChoice>& layers) {
  const auto misfit = [&](const RoutingLocality& locality) { return moment_misfit(locality, measured, layers); };
  RoutingLocality best;
  for (const int reach : {4, 16, 64}) {
    const RoutingLocality found = descend({0.35, 1.2, reach, 0.6}, 0.16, 0.015, misfit);
    if (misfit(found) < misfit(best)) best = found;
  }
  if (best.copy <= 0) return best;
  return descend(best, 0.04, 0.009, [&](const RoutingLocality& locality) { return sampled_misfit(locality, measured, layers); });
}

}  // namespace moeplan
