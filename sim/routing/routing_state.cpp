#include "routing/routing_state.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "base/error.hpp"

namespace moeplan {
namespace {

using Tuned = std::vector<std::pair<int, double>>;

int folded(std::int64_t period) {
  constexpr std::int64_t kRound = 2 * (kDriftPeriods - 1);
  const std::int64_t at = std::abs(period) % kRound;
  return static_cast<int>(std::min(at, kRound - at));
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Periods in the window that ends at rebalancing number `turn`.
Tuned seen_before(const RoutingDrift& drift, const PlacementConfig& placement, std::int64_t turn) {
  if (turn == 0 && !placement.tuned_on.layers.empty()) return {};
  if (!drift.on()) return {{0, 1.0}};
  constexpr std::int64_t kParts = 8;
  const double part = static_cast<double>(drift.period.count()) / kParts;
  const auto end = static_cast<double>(turn * placement.rebalance.period.count());
  const auto last = static_cast<std::int64_t>(std::llround(end / part));
  const auto first = std::min<std::int64_t>(last - 1, std::llround((end - static_cast<double>(placement.rebalance.window.count())) / part));
  std::map<int, double> weight;
  for (std::int64_t i = first; i < last; ++i) weight[folded(floor_div(i, kParts))] += 1.0 / static_cast<double>(last - first);
  return {weight.begin(), weight.end()};
}

}  // namespace

RoutingSpan routing_span(const RoutingDrift& drift, const PlacementConfig& placement, SimTime now) {
  MOEPLAN_CHECK(now >= SimTime{0});
  RoutingSpan span;
  if (drift.on()) {
    const std::int64_t period = now / drift.period;
    span.state.period = folded(period);
    span.begin = drift.period * period;
    span.end = span.begin + drift.period;
  }
  if (!placement.rebalance.on()) {
    if (drift.on() && placement.tuned_on.layers.empty()) span.state.tuned = {{0, 1.0}};
    span.tuned_before = span.state.tuned;
    return span;
  }
  const std::int64_t turn = now / placement.rebalance.period;
  const SimTime turned = placement.rebalance.period * turn;
  span.state.tuned = seen_before(drift, placement, turn);
  span.tuned_before = turned >= span.begin && turn > 0 ? seen_before(drift, placement, turn - 1) : span.state.tuned;
  span.begin = std::max(span.begin, turned);
  span.end = std::min(span.end, turned + placement.rebalance.period);
  return span;
}

}  // namespace moeplan
