#include "cost/load_timer.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr int kMostNodes = 9;

}  // namespace

void LoadTimer::Axis::cover(double x) {
  low = std::min(low, x);
  high = std::max(high, x);
}

void LoadTimer::Axis::place() {
  // Whole numbers: a span of up to eight has a node for each.
  nodes = std::clamp(static_cast<int>(std::ceil(high - low)) + 1, 1, kMostNodes);
}

double LoadTimer::Axis::value(int i) const { return nodes <= 1 ? low : low + (high - low) * i / (nodes - 1); }

std::pair<std::size_t, double> LoadTimer::Axis::find(double x) const {
  if (nodes <= 1) return {0, 0.0};
  const double at = std::clamp((x - low) / (high - low), 0.0, 1.0) * (nodes - 1);
  const int index = std::min(static_cast<int>(at), nodes - 2);
  return {static_cast<std::size_t>(index), at - index};
}

void LoadTimer::cover(RankLoad load) {
  pairs_.cover(load.pairs);
  distinct_.cover(load.experts);
}

void LoadTimer::build() {
  MOEPLAN_CHECK(pairs_.low <= pairs_.high);
  pairs_.place();
  distinct_.place();
  for (int p = 0; p < pairs_.nodes; ++p) {
    for (int d = 0; d < distinct_.nodes; ++d) {
      const KernelTime time = layer_.experts(tokens_, {pairs_.value(p), distinct_.value(d)}, phase_);
      experts_.push_back(time.seconds);
      experts_origin_ = std::max(experts_origin_, time.origin);
    }
    const CommTime time = layer_.exchange(tokens_, pairs_.value(p), phase_);
    exchange_.push_back(time);
    exchange_origin_ = std::max(exchange_origin_, time.origin);
  }
}

double LoadTimer::experts(RankLoad load) const {
  const auto [p, p_blend] = pairs_.find(load.pairs);
  const auto [d, d_blend] = distinct_.find(load.experts);
  const auto width = static_cast<std::size_t>(distinct_.nodes);
  const std::size_t right = distinct_.nodes > 1 ? 1 : 0;
  const auto row = [&](std::size_t i) {
    const double* cell = &experts_[i * width + d];
    return cell[0] + (cell[right] - cell[0]) * d_blend;
  };
  const double low = row(p);
  return pairs_.nodes > 1 ? low + (row(p + 1) - low) * p_blend : low;
}

CommTime LoadTimer::exchange(double pairs) const {
  const auto [p, blend] = pairs_.find(pairs);
  CommTime time = exchange_[p];
  if (pairs_.nodes <= 1) return time;
  const CommTime& next = exchange_[p + 1];
  time.seconds += (next.seconds - time.seconds) * blend;
  Traffic step = next.traffic;
  step.add(time.traffic, -1.0);
  time.traffic.add(step, blend);
  return time;
}

}  // namespace moeplan
