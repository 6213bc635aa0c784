#include "metrics/saturation.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {

std::string_view to_string(Saturation saturation) {
  switch (saturation) {
    case Saturation::kNone: return "none";
    case Saturation::kQueueFull: return "queue_full";
    case Saturation::kLatencyGrows: return "latency_grows";
    case Saturation::kBacklogGrows: return "backlog_grows";
  }
  MOEPLAN_CHECK(false);
  return {};
}

LatencyTrend::LatencyTrend(const MeasuredRequests& measured) : measured_(measured) {}

void LatencyTrend::add(const FinishedRequest& request) {
  const std::uint64_t index = request.spec.id - measured_.first();
  const std::uint64_t count = measured_.total - measured_.first();
  // Not index * kGroups / count: that overflows before a trillion requests do.
  const double share = static_cast<double>(index) / static_cast<double>(count);
  Group& group = groups_[std::min(static_cast<std::size_t>(share * kGroups), kGroups - 1)];
  group.arrival += to_seconds(request.spec.arrival).value();
  group.latency += e2e_of(request);
  group.count += 1;
}

bool LatencyTrend::grows() const {
  std::array<double, kGroups / 2> x{};
  std::array<double, kGroups / 2> y{};
  double mean_x = 0;
  double mean_y = 0;
  const double n = static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Group& g = groups_[kGroups / 2 + i];
    if (g.count < 2) return false;  // too few requests to tell
    x[i] = g.arrival / g.count;
    y[i] = g.latency / g.count;
    mean_x += x[i] / n;
    mean_y += y[i] / n;
  }
  double xx = 0;
  double xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  if (!(xx > 0)) return false;
  const double slope = xy / xx;
  double scatter = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double off = y[i] - mean_y - slope * (x[i] - mean_x);
    scatter += off * off;
  }
  const double error = std::sqrt(scatter / (n - 2.0) / xx);
  return slope - 3.0 * error > 0.02;
}

bool backlog_grows(const WindowTally& tally, const MeasuredRequests& measured) {
  if (!tally.ends_at_last_arrival()) return false;
  const auto gone = [&](WindowTally::Part p) { return static_cast<double>(tally.part(p).finished + tally.part(p).rejected); };
  const double arrived_middle = static_cast<double>(tally.middle_id() + 1);
  const double arrived_end = static_cast<double>(measured.total);
  const double middle = arrived_middle - gone(WindowTally::kWarmup) - gone(WindowTally::kFirstHalf);
  const double end = arrived_end - gone(WindowTally::kWarmup) - gone(WindowTally::kFirstHalf) - gone(WindowTally::kSecondHalf);
  const double slack = 0.05 * (arrived_end - arrived_middle) + 3.0 * std::sqrt(std::max(0.0, middle + end));
  return end - middle > slack;
}

}  // namespace moeplan
