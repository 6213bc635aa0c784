// Tells a deployment that keeps up with its load from one that does not, from one finite run.
//
// Little's law is no help in a finite run (requests in flight always equal rate x latency), nor is finished < arrived (a run that has just
// filled up looks like that, too). What tells them apart is the trend once the run has filled: under overload by a factor r, latency grows
// by 1 - 1/r of every second that passes.
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
};
std::string_view to_string(Saturation saturation);

/// Mean arrival and latency of consecutive groups of requests: twenty numbers, however long the run.
class LatencyTrend {
 public:
  static constexpr std::size_t kGroups = 20;
  explicit LatencyTrend(const MeasuredRequests& measured);
  void add(const FinishedRequest& request);
  /// Whether latency grows over the second half of the measured requests (the first may still be filling the machine): slope of the group
  /// means against arrival time, whose scatter around the line gives the standard error, correlation between neighbours included.
  [[nodiscard]] bool grows() const;

 private:
  struct Group {
    double arrival = 0;
    double latency = 0;
    double count = 0;
  };
  MeasuredRequests measured_;
  std::array<Group, kGroups> groups_{};
};

/// Whether requests pile up over the second half of the window. `tally` is finished.
bool backlog_grows(const WindowTally& tally, const MeasuredRequests& measured);

}  // namespace moeplan
