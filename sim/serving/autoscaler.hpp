// How many replicas a service should have: what horizontal autoscalers (Kubernetes HPA, KEDA) compute from a metric at every evaluation. The
// load over all replicas divided by what one should bear, rounded up; with thresholds that keep it from moving for little, and cooldowns.
//
// Left out: smoothing of the metric over time, predictive scaling, limits on replicas per decision.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/units.hpp"

namespace moeplan {

enum class ScaleMetric : std::uint8_t {
  kOutstandingRequests,  ///< running and waiting
  kOutstandingTokens,    ///< prompt tokens to compute and output tokens to make
  kQueuedRequests,       ///< waiting
  kKvUse,                ///< share of the KV cache in use, 0 to 1
};
std::string_view to_string(ScaleMetric metric);
std::optional<ScaleMetric> scale_metric(std::string_view name);

struct AutoscalingConfig {
  int min_replicas = 1, max_replicas = 1;
  ScaleMetric metric = ScaleMetric::kOutstandingRequests;
  double target = 1;                ///< of the metric, per replica
  double up_above = 1.1;            ///< per replica: more replicas only above it
  double down_below = 0.9;          ///< fewer only below it
  Seconds period{15};               ///< between evaluations
  Seconds up_cooldown{0};           ///< least time between two decisions for more
  Seconds down_cooldown{300};       ///< least time from any decision to one for fewer
};

class Autoscaler {
 public:
  /// REQUIRES: 0 <= min_replicas <= max_replicas, target > 0, down_below <= target <= up_above.
  explicit Autoscaler(const AutoscalingConfig& config) : config_(config) {}

  /// Replicas wanted at `now` of a service with `replicas` (those that start included) and `load`, the metric's sum over them. At least one when
  /// `waiting` requests find no replica at all.
  int decide(SimTime now, double load, int replicas, bool waiting);
  [[nodiscard]] const AutoscalingConfig& config() const { return config_; }

 private:
  AutoscalingConfig config_;
  std::optional<SimTime> last_up_, last_;
};

}  // namespace moeplan
