// Popularity that drifts, placements that follow it late, and what moving experts takes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "routing/placement.hpp"
#include "routing/popularity.hpp"
#include "routing/routing_epochs.hpp"

using namespace moeplan;

namespace {

using Tuned = std::vector<std::pair<int, double>>;

constexpr SimTime kMinute{60'000'000'000};

MoeSpec router(int experts, int top_k) {
  MoeSpec moe;
  moe.experts = experts;
  moe.top_k = top_k;
  return moe;
}

RoutingConfig drifting(double correlation, SimTime period = 60 * kMinute) {
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.sigma = 0.8;
  config.drift = {period, correlation};
  return config;
}

PlacementConfig balanced(int ranks, SimTime period = SimTime{0}, SimTime window = SimTime{0}) {
  PlacementConfig placement{.ranks = ranks, .kind = PlacementKind::kBalanced};
  placement.rebalance = {period, window};
  return placement;
}

/// Correlation of the logarithms.
double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  const double n = static_cast<double>(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ma += std::log(a[i]) / n;
    mb += std::log(b[i]) / n;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (std::log(a[i]) - ma) * (std::log(b[i]) - mb);
    aa += (std::log(a[i]) - ma) * (std::log(a[i]) - ma);
    bb += (std::log(b[i]) - mb) * (std::log(b[i]) - mb);
  }
  return ab / std::sqrt(aa * bb);
}

/// Long-run imbalance of the ranks in the state at `now`, mean over layers.
double imbalance_at(const RoutingConfig& routing, const PlacementConfig& placement, int layers, SimTime now) {
  const RoutingState state = routing_span(routing.drift, placement, now).state;
  const MoeSpec moe = router(64, 6);
  double sum = 0;
  for (int layer = 0; layer < layers; ++layer) {
    sum += rank_imbalance(placement_at(moe, routing, placement, layer, 1, state), expert_shares(routing, moe, layer, 1, state.period));
  }
  return sum / layers;
}

}  // namespace

TEST_CASE("drift deals the same shares to other experts, as correlated as asked for") {
  const MoeSpec moe = router(1024, 8);
  for (const double wanted : {0.0, 0.6, 0.95}) {
    const RoutingConfig config = drifting(wanted);
    const auto today = expert_shares(config, moe, 0, 1);
    const auto tomorrow = expert_shares(config, moe, 0, 1, 1);
    auto sorted_today = today;
    auto sorted_tomorrow = tomorrow;
    std::sort(sorted_today.begin(), sorted_today.end());
    std::sort(sorted_tomorrow.begin(), sorted_tomorrow.end());
    CHECK(sorted_today == sorted_tomorrow);
    // standard error of a correlation of 1024 pairs: 0.03
    CHECK(correlation(today, tomorrow) == doctest::Approx(wanted).epsilon(0.1).scale(1.0));
    // two periods on: the square
    CHECK(correlation(today, expert_shares(config, moe, 0, 1, 2)) == doctest::Approx(wanted * wanted).epsilon(0.1).scale(1.0));
  }
  CHECK(expert_shares(drifting(1.0), moe, 0, 1, 5) == expert_shares(drifting(1.0), moe, 0, 1));
}

TEST_CASE("without drift and rebalancing there is one span for all time") {
  const RoutingSpan span = routing_span({}, balanced(8), 1000 * kMinute);
  CHECK(span.end == kNever);
  CHECK(span.state == RoutingState{});
  const RoutingEpochs epochs(router(64, 6), 2, drifting(0.5, SimTime{0}), balanced(8), 1);
  CHECK_FALSE(epochs.changes());
}

TEST_CASE("a placement made once stays while the popularity moves on") {
  const RoutingSpan span = routing_span({60 * kMinute, 0.5}, balanced(8), 130 * kMinute);
  CHECK(span.state.period == 2);
  CHECK(span.begin == 120 * kMinute);
  CHECK(span.end == 180 * kMinute);
  CHECK(span.state.tuned == Tuned{{0, 1.0}});
}

TEST_CASE("a rebalanced placement rests on the window before it, so that it meets a popularity it has not seen") {
  const RoutingDrift drift{60 * kMinute, 0.5};
  const PlacementConfig placement = balanced(8, 60 * kMinute, 60 * kMinute);
  // at the start: on the hour before it, which is a period apart from the first
  CHECK(routing_span(drift, placement, SimTime{0}).state.tuned == Tuned{{1, 1.0}});
  const RoutingSpan third = routing_span(drift, placement, 150 * kMinute);
  CHECK(third.state.period == 2);
  CHECK(third.state.tuned == Tuned{{1, 1.0}});
  CHECK(third.tuned_before == Tuned{{0, 1.0}});
  // every 30 minutes from the last 30: stale for the first half of each hour, then up to date
  const PlacementConfig often = balanced(8, 30 * kMinute, 30 * kMinute);
  CHECK(routing_span(drift, often, 125 * kMinute).state.tuned == Tuned{{1, 1.0}});
  const RoutingSpan late = routing_span(drift, often, 155 * kMinute);
  CHECK(late.state.tuned == Tuned{{2, 1.0}});
  CHECK(late.begin == 150 * kMinute);
  CHECK(late.end == 180 * kMinute);
  // a window of 90 minutes ending at 120: 30 minutes of period 0 and all of period 1
  const Tuned mixed = routing_span(drift, balanced(8, 60 * kMinute, 90 * kMinute), 121 * kMinute).state.tuned;
  REQUIRE(mixed.size() == 2);
  CHECK(mixed[0].second == doctest::Approx(1.0 / 3));
  CHECK(mixed[1].second == doctest::Approx(2.0 / 3));
}

TEST_CASE("a stale placement balances as far as yesterday resembles today") {
  const PlacementConfig hourly = balanced(8, 60 * kMinute, 60 * kMinute);
  const SimTime now = 150 * kMinute;
  const double fresh = imbalance_at(drifting(1.0), hourly, 20, now);
  const double alike = imbalance_at(drifting(0.9), hourly, 20, now);
  const double unlike = imbalance_at(drifting(0.0), hourly, 20, now);
  const double contiguous = imbalance_at(drifting(0.0), {.ranks = 8}, 20, now);
  CHECK(fresh < 1.05);
  CHECK(fresh < alike);
  CHECK(alike < unlike);
  // a placement tuned on unrelated traffic is as good as none
  CHECK(unlike == doctest::Approx(contiguous).epsilon(0.08));
}

TEST_CASE("experts move when the placement does, and only then") {
  const RoutingEpochs epochs(router(64, 6), 3, drifting(0.5), balanced(8, 60 * kMinute, 60 * kMinute), 1);
  CHECK(epochs.changes());
  CHECK(epochs.at(SimTime{0}).experts_received == 0);
  const RoutingEpochs::Epoch second = epochs.at(61 * kMinute);
  CHECK(second.begin == 60 * kMinute);
  // 3 layers x 8 experts on a rank: it can receive 24 at most
  CHECK(second.experts_received > 0);
  CHECK(second.experts_received <= 24);
  // rebalanced where nothing drifts: the placement stays
  const RoutingEpochs still(router(64, 6), 3, drifting(0.5, SimTime{0}), balanced(8, 60 * kMinute, 60 * kMinute), 1);
  CHECK(still.at(61 * kMinute).experts_received == 0);
  CHECK(still.at(61 * kMinute).index == still.at(SimTime{0}).index);
}

TEST_CASE("an epoch that comes back is the same epoch") {
  const RoutingEpochs epochs(router(16, 2), 1, drifting(0.5), {.ranks = 4}, 1);
  const auto first = epochs.at(SimTime{0});
  const auto second = epochs.at(61 * kMinute);
  CHECK(first.index != second.index);
  CHECK(epochs.at(62 * kMinute).index == second.index);
  // 64 periods, then back: period 125 is period 1 again
  CHECK(epochs.at((125 * 60 + 1) * kMinute).index == second.index);
  CHECK(&epochs.draws(second.index) != &epochs.draws(first.index));
}
