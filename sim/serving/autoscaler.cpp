#include "serving/autoscaler.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {

namespace {

constexpr ScaleMetric kMetrics[] = {ScaleMetric::kOutstandingRequests, ScaleMetric::kOutstandingTokens, ScaleMetric::kQueuedRequests, ScaleMetric::kKvUse};

}  // namespace

std::string_view to_string(ScaleMetric metric) {
  switch (metric) {
    case ScaleMetric::kOutstandingRequests: return "outstanding_requests";
    case ScaleMetric::kOutstandingTokens: return "outstanding_tokens";
    case ScaleMetric::kQueuedRequests: return "queued_requests";
    case ScaleMetric::kKvUse: return "kv_use";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::optional<ScaleMetric> scale_metric(std::string_view name) {
  for (const ScaleMetric metric : kMetrics) {
    if (to_string(metric) == name) return metric;
  }
  return std::nullopt;
}

int Autoscaler::decide(SimTime now, double load, int replicas, bool waiting) {
  const AutoscalingConfig& c = config_;
  const int least = std::max(c.min_replicas, waiting && replicas == 0 ? std::min(1, c.max_replicas) : 0);
  const double exact = std::min(load / c.target, static_cast<double>(c.max_replicas));
  const int wanted = std::clamp(static_cast<int>(std::ceil(exact - 1e-9)), least, c.max_replicas);
  if (wanted > replicas) {
    // Below the least number nothing is weighed: a replica has died, or requests wait for the first.
    const bool needed = replicas < least || load > c.up_above * replicas;
    if (!needed || (last_up_ && now - *last_up_ < to_sim_time(c.up_cooldown) && replicas >= least)) return replicas;
    last_up_ = last_ = now;
    return wanted;
  }
  if (wanted < replicas) {
    if (!(load < c.down_below * replicas) || (last_ && now - *last_ < to_sim_time(c.down_cooldown))) return replicas;
    last_ = now;
    return wanted;
  }
  return replicas;
}

}  // namespace moeplan
