// Which popularity the routers have at an instant, and which past the placement of the experts was computed from: drift changes the one every
// period, rebalancing follows it with the other. Only times and weights here, no experts.
#pragma once

#include <utility>
#include <vector>

#include "base/units.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

/// Periods of drift that differ; later ones run back and forth through them, which an autoregression cannot be told from by its neighbours.
inline constexpr int kDriftPeriods = 64;

struct RoutingState {
  int period = 0;  ///< of the drift, 0 .. kDriftPeriods - 1
  /// Periods whose mean popularity the placement was computed on, with their weights. Empty: as the placement's config says.
  std::vector<std::pair<int, double>> tuned{};
  bool operator==(const RoutingState&) const = default;
};

/// A stretch of time in which neither changes.
struct RoutingSpan {
  SimTime begin{0};
  SimTime end = kNever;
  RoutingState state;
  std::vector<std::pair<int, double>> tuned_before{};  ///< `tuned` until `begin`
};

/// The span that holds `now` >= 0. Without rebalancing a placement is made once, before the start. With it, the first one rests on the
/// window before the start, so that it meets a popularity it has not seen. A window counts in eighths of the drift's period.
RoutingSpan routing_span(const RoutingDrift& drift, const PlacementConfig& placement, SimTime now);

}  // namespace moeplan
