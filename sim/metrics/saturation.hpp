// Tells a deployment that keeps up with its load from one that does not, from one finite run.
//
// Little's law is no help in a finite run (requests in flight always equal rate x latency), nor is finished < arrived (a run that has just
// filled up looks like that, too). What tells them apart is the trend once the run has filled: under overload by a factor r, latency grows
// by 1 - 1/r of every second that passes. A burst that ends the run leaves the same trend: the arrivals and the drain tell it apart.
#pragma once

#include <array>
#include <cstdint>

#include "metrics/window_tally.hpp"

namespace moeplan {

enum class Saturation : std::uint8_t {
  kNone,
  kQueueFull,     ///< over 1 % of the measured requests turned away by a full queue
  kLatencyGrows,  ///< end-to-end latency grows by more than 2 % of elapsed time, beyond three standard errors
  kBacklogGrows,  ///< requests in flight grow by more than 5 % of the arrivals, beyond three standard deviations of their number
  kQueueGrows,    ///< the last requests wait for a place in a step by more than 2 % of the window longer than bursts of arrivals explain
};
std::string_view to_string(Saturation saturation);

/// Arrivals and latencies of consecutive groups of requests: a hundred numbers, however long the run.
class LoadTrend {
 public:
  static constexpr std::size_t kGroups = 20;
  explicit LoadTrend(const MeasuredRequests& measured);
  void on_arrival(const RequestSpec& spec);
  void add(const FinishedRequest& request);

  /// Whether latency grows over the second half of the measured requests (the first may still be filling the machine): slope of the group
  /// means against arrival time, whose scatter around the line gives the standard error, correlation between neighbours included.
  [[nodiscard]] bool latency_grows() const;
  /// Whether it grows beyond what bursts of arrivals explain: a machine that could just serve the mean load `offered_per_s` would make a
  /// request wait for as long as it takes to serve the surplus of arrivals before it (Lindley's recursion), a faster one for less.
  [[nodiscard]] bool latency_grows_beyond_bursts(double offered_per_s, double end_s) const;
  /// Whether the last twentieth of the requests waits for a place in a step by more than 2 % of the window, which lasts `window_s`, longer than behind
  /// a machine that could just serve the mean load (see above), beyond three standard deviations of the arrivals within a group and of their work.
  /// Told from the queue alone: the drain of a machine that is up to a tenth too small looks capable, since no prompts hold it up any more.
  [[nodiscard]] bool queue_grows_beyond_bursts(double offered_per_s, double window_s, double end_s) const;
  /// Requests that a machine which could just serve the mean load would hold at the window's end `end_s`: those by which the arrivals exceed the
  /// mean load, over the stretch in which they do so the most, and those that the mean load keeps in flight at the least latency of any group.
  [[nodiscard]] double held_at_end(double offered_per_s, double end_s) const;

 private:
  struct Group {
    double first_arrival = 0;
    double arrived = 0;
    double arrival = 0;  ///< sum over the finished
    double latency = 0;
    double queue = 0;  ///< seconds before the first step, sum over the finished
    double finished = 0;
  };
  using Surplus = std::array<double, kGroups + 1>;
  [[nodiscard]] std::size_t group_of(const RequestSpec& spec) const;
  /// Surplus at the beginning of each group and at the end.
  [[nodiscard]] Surplus surplus(double offered_per_s, double end_s) const;
  [[nodiscard]] bool grows(const Surplus& expected, double offered_per_s) const;

  MeasuredRequests measured_;
  std::array<Group, kGroups> groups_{};
};

/// The verdict on a run's trends. Latency or backlog that grows is no saturation where two things show that it was a burst near the end:
/// arrivals exceeded the mean load by as much, and the machine then finished what it held faster than the mean load comes in. A queue that is
/// longer at the end than arrivals explain is saturation however fast the machine drains. `tally` is finished.
Saturation growth_in(const WindowTally& tally, const LoadTrend& trend, const MeasuredRequests& measured, double offered_per_s);

}  // namespace moeplan
