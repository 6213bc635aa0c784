// How many replicas a fleet had, when, and what failures took: time in each phase, replicas over stretches of simulated time, lost work.
//
// Over the whole run, warm-up and drain included. Stretches double in length whenever there are too many, so memory does not grow with the run.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "serving/observer.hpp"

namespace moeplan {

class FleetMetrics final : public Observer {
 public:
  void on_replica_phase(const ReplicaPhaseRecord& record) override;
  void on_lost(const LostRequest& lost, SimTime at) override;
  void on_fleet_end(const FleetReport& report) override { report_ = report; }
  void on_end(SimTime now) override { end_ = now; }

  [[nodiscard]] const FleetReport& report() const { return report_; }
  /// Seconds that replicas were in a phase, all together, and how often one was.
  [[nodiscard]] double seconds(ReplicaPhase phase) const { return seconds_[index(phase)]; }
  [[nodiscard]] std::uint64_t count(ReplicaPhase phase) const { return counts_[index(phase)]; }
  /// Of starts that ended in a replica that served.
  [[nodiscard]] double start_seconds() const { return start_seconds_; }
  [[nodiscard]] std::uint64_t starts() const { return starts_; }
  /// Seconds that replicas held their GPUs: starting, serving, draining.
  [[nodiscard]] double held_seconds() const { return seconds_[0] + seconds_[1] + seconds_[2]; }
  [[nodiscard]] double end_seconds() const { return to_seconds(end_).value(); }

  [[nodiscard]] std::uint64_t lost_requests() const { return lost_; }
  [[nodiscard]] std::int64_t lost_kv_tokens() const { return lost_kv_tokens_; }
  [[nodiscard]] std::int64_t lost_output_tokens() const { return lost_output_tokens_; }

  /// Mean replicas over one stretch.
  struct Point {
    double at_s = 0;  ///< its begin
    double serving = 0, held = 0;
  };
  /// At most 256, in order; empty before on_end.
  [[nodiscard]] std::vector<Point> over_time() const;

 private:
  static constexpr std::size_t kMostStretches = 256;
  static std::size_t index(ReplicaPhase phase) { return static_cast<std::size_t>(phase); }
  void spread(std::vector<double>& seconds, SimTime begin, SimTime end);
  void widen();

  std::array<double, 3> seconds_{};
  std::array<std::uint64_t, 3> counts_{};
  double start_seconds_ = 0;
  std::uint64_t starts_ = 0;
  FleetReport report_;
  std::uint64_t lost_ = 0;
  std::int64_t lost_kv_tokens_ = 0, lost_output_tokens_ = 0;
  std::int64_t stretch_ns_ = 1'000'000'000;
  std::vector<double> serving_ = std::vector<double>(kMostStretches), held_ = std::vector<double>(kMostStretches);
  SimTime end_{0};
};

}  // namespace moeplan
