#include "routing/capacity.hpp"

#include <algorithm>
#include <cmath>

namespace moeplan {
namespace {

/// Spreads `pairs` over experts that have room, in proportion to `weight`; returns what found none.
std::int64_t reroute(std::span<const double> weight, std::int64_t capacity, std::int64_t pairs, std::span<std::int32_t> counts) {
  while (pairs > 0) {
    double open = 0;
    for (std::size_t e = 0; e < counts.size(); ++e) open += counts[e] < capacity ? weight[e] : 0.0;
    if (!(open > 0)) return pairs;
    const double each = static_cast<double>(pairs) / open;
    std::int64_t given = 0;
    for (std::size_t e = 0; e < counts.size(); ++e) {
      const std::int64_t more = std::min(std::max<std::int64_t>(0, capacity - counts[e]), static_cast<std::int64_t>(each * weight[e] + 1e-9));
      counts[e] += static_cast<std::int32_t>(more);
      given += more;
    }
    pairs -= given;
    // Fewer are left than experts with room: one each.
    for (std::size_t e = 0; given == 0 && pairs > 0 && e < counts.size(); ++e) {
      if (counts[e] >= capacity || weight[e] <= 0) continue;
      ++counts[e];
      --pairs;
    }
  }
  return 0;
}

}  // namespace

std::int64_t expert_capacity(double factor, std::int64_t tokens, int top_k, int experts) {
  const double even = static_cast<double>(tokens) * top_k / experts;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(factor * even - 1e-9)));
}

void limit_to_capacity(const ExpertCapacity& capacity, std::span<const double> included, std::int64_t tokens, LayerLoad& load) {
  const auto experts = static_cast<int>(load.tokens_per_expert.size());
  const auto top_k = static_cast<int>(load.pairs / tokens);
  const std::int64_t most = expert_capacity(capacity.factor, tokens, top_k, experts);
  std::int64_t over = 0;
  double kept = 1;
  for (std::int32_t& count : load.tokens_per_expert) {
    if (count <= most) continue;
    over += count - most;
    kept *= 1.0 - static_cast<double>(count - most) / static_cast<double>(tokens);
    count = static_cast<std::int32_t>(most);
  }
  if (over == 0) return;
  load.dropped = capacity.overflow == Overflow::kReroute ? reroute(included, most, over, load.tokens_per_expert) : over;
  load.pairs -= load.dropped;
  const double lost = static_cast<double>(load.dropped) / static_cast<double>(over);
  // One choice a token: no token loses two.
  load.degraded = top_k == 1 ? static_cast<double>(load.dropped) / static_cast<double>(tokens) : lost * (1.0 - kept);
}

}  // namespace moeplan
