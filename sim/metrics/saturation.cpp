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
    case Saturation::kQueueGrows: return "queue_grows";
  }
  MOEPLAN_CHECK(false);
  return {};
}

LoadTrend::LoadTrend(const MeasuredRequests& measured) : measured_(measured) {}

std::size_t LoadTrend::group_of(const RequestSpec& spec) const {
  const std::uint64_t index = spec.id - measured_.first();
  const std::uint64_t count = measured_.total - measured_.first();
  // Not index * kGroups / count: that overflows before a trillion requests do.
  const double share = static_cast<double>(index) / static_cast<double>(count);
  return std::min(static_cast<std::size_t>(share * kGroups), kGroups - 1);
}

void LoadTrend::on_arrival(const RequestSpec& spec) {
  if (!measured_.counts(spec.id)) return;
  Group& group = groups_[group_of(spec)];
  if (group.arrived == 0) group.first_arrival = to_seconds(spec.arrival).value();
  group.arrived += 1;
}

void LoadTrend::add(const FinishedRequest& request) {
  Group& group = groups_[group_of(request.spec)];
  group.arrival += to_seconds(request.spec.arrival).value();
  group.latency += e2e_of(request);
  group.queue += queue_of(request);
  group.finished += 1;
}

LoadTrend::Surplus LoadTrend::surplus(double offered_per_s, double end_s) const {
  Surplus at{};
  for (std::size_t i = 0; i < kGroups; ++i) {
    const Group& g = groups_[i];
    if (g.arrived == 0) {
      at[i + 1] = at[i];
      continue;
    }
    const double next = i + 1 < kGroups && groups_[i + 1].arrived > 0 ? groups_[i + 1].first_arrival : end_s;
    at[i + 1] = std::max(0.0, at[i] + g.arrived - offered_per_s * (next - g.first_arrival));
  }
  return at;
}

double LoadTrend::held_at_end(double offered_per_s, double end_s) const {
  double least = 0;
  for (const Group& g : groups_) {
    if (g.finished > 0 && (least == 0 || g.latency / g.finished < least)) least = g.latency / g.finished;
  }
  return surplus(offered_per_s, end_s).back() + offered_per_s * least;
}

bool LoadTrend::latency_grows() const { return grows({}, 1.0); }

bool LoadTrend::latency_grows_beyond_bursts(double offered_per_s, double end_s) const {
  return grows(surplus(offered_per_s, end_s), offered_per_s);
}

bool LoadTrend::queue_grows_beyond_bursts(double offered_per_s, double window_s, double end_s) const {
  constexpr double kShareOfWindow = 0.02;
  constexpr double kDeviations = 3.0;
  constexpr double kVariance = 2.0;  // of the arrivals in a group and, as much again, of their work
  const Group& last = groups_.back();
  if (last.finished < 2 || !(offered_per_s > 0)) return false;
  const Surplus at = surplus(offered_per_s, end_s);
  const double explained = std::max(at[kGroups - 1], at[kGroups]) + kDeviations * std::sqrt(kVariance * last.arrived);
  return last.queue / last.finished > explained / offered_per_s + kShareOfWindow * window_s;
}

bool LoadTrend::grows(const Surplus& expected, double offered_per_s) const {
  std::array<double, kGroups / 2> x{};
  std::array<double, kGroups / 2> y{};
  double mean_x = 0;
  double mean_y = 0;
  const double n = static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t group = kGroups / 2 + i;
    const Group& g = groups_[group];
    if (g.finished < 2) return false;  // too few requests to tell
    x[i] = g.arrival / g.finished;
    y[i] = g.latency / g.finished - 0.5 * (expected[group] + expected[group + 1]) / offered_per_s;
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

namespace {

/// Growth of the requests in flight from the middle of the window to its end, and what chance explains of it.
struct BacklogGrowth {
  double requests = 0;
  double slack = 0;
};

BacklogGrowth backlog_growth(const WindowTally& tally, const MeasuredRequests& measured) {
  const auto gone = [&](WindowTally::Part p) { return static_cast<double>(tally.part(p).finished + tally.part(p).rejected); };
  const double arrived_middle = static_cast<double>(tally.middle_id() + 1);
  const double arrived_end = static_cast<double>(measured.total);
  const double middle = arrived_middle - gone(WindowTally::kWarmup) - gone(WindowTally::kFirstHalf);
  const double end = arrived_end - gone(WindowTally::kWarmup) - gone(WindowTally::kFirstHalf) - gone(WindowTally::kSecondHalf);
  return {.requests = end - middle, .slack = 0.05 * (arrived_end - arrived_middle) + 3.0 * std::sqrt(std::max(0.0, middle + end))};
}

/// Whether half of what was in flight at the window's end finished faster than the mean load comes in.
bool drains(const LogHistogram& drain, double offered_per_s) {
  return drain.count() > 0 && 0.5 * static_cast<double>(drain.count()) > offered_per_s * drain.quantile(0.5);
}

}  // namespace

Saturation growth_in(const WindowTally& tally, const LoadTrend& trend, const MeasuredRequests& measured, double offered_per_s) {
  const double end = tally.end_s();
  const bool capable = drains(tally.drain(), offered_per_s);
  if (trend.latency_grows() && !(capable && !trend.latency_grows_beyond_bursts(offered_per_s, end))) return Saturation::kLatencyGrows;
  const BacklogGrowth growth = backlog_growth(tally, measured);
  const double by_bursts = capable ? trend.held_at_end(offered_per_s, end) : 0.0;
  if (growth.requests > growth.slack + by_bursts) return Saturation::kBacklogGrows;
  return trend.queue_grows_beyond_bursts(offered_per_s, tally.seconds(), end) ? Saturation::kQueueGrows : Saturation::kNone;
}

}  // namespace moeplan
