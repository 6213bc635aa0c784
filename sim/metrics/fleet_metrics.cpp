#include "metrics/fleet_metrics.hpp"

#include <algorithm>

namespace moeplan {

void FleetMetrics::on_replica_phase(const ReplicaPhaseRecord& record) {
  seconds_[index(record.phase)] += to_seconds(record.end - record.begin).value();
  ++counts_[index(record.phase)];
  if (record.phase == ReplicaPhase::kStarting && record.finished) {
    start_seconds_ += to_seconds(record.end - record.begin).value();
    ++starts_;
  }
  while (record.end.count() > stretch_ns_ * static_cast<std::int64_t>(kMostStretches)) widen();
  if (record.phase == ReplicaPhase::kServing) spread(serving_, record.begin, record.end);
  spread(held_, record.begin, record.end);
}

void FleetMetrics::on_lost(const LostRequest& lost, SimTime /*at*/) {
  ++lost_;
  lost_kv_tokens_ += lost.computed_tokens;
  lost_output_tokens_ += lost.output_tokens;
}

void FleetMetrics::spread(std::vector<double>& seconds, SimTime begin, SimTime end) {
  for (std::int64_t at = begin.count(); at < end.count();) {
    const std::int64_t stretch = at / stretch_ns_;
    const std::int64_t until = std::min(end.count(), (stretch + 1) * stretch_ns_);
    seconds[static_cast<std::size_t>(stretch)] += static_cast<double>(until - at) * 1e-9;
    at = until;
  }
}

void FleetMetrics::widen() {
  stretch_ns_ *= 2;
  for (std::vector<double>* seconds : {&serving_, &held_}) {
    for (std::size_t i = 0; i < kMostStretches / 2; ++i) (*seconds)[i] = (*seconds)[2 * i] + (*seconds)[2 * i + 1];
    std::fill(seconds->begin() + kMostStretches / 2, seconds->end(), 0.0);
  }
}

std::vector<FleetMetrics::Point> FleetMetrics::over_time() const {
  std::vector<Point> points;
  for (std::size_t i = 0; i < kMostStretches; ++i) {
    const std::int64_t begin = static_cast<std::int64_t>(i) * stretch_ns_;
    if (begin >= end_.count()) break;
    const double length = static_cast<double>(std::min(end_.count(), begin + stretch_ns_) - begin) * 1e-9;
    points.push_back({static_cast<double>(begin) * 1e-9, serving_[i] / length, held_[i] / length});
  }
  return points;
}

}  // namespace moeplan
