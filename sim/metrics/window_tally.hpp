// Counts what happens within the measured window of a run, in constant memory although the window's ends become known only as requests
// arrive.
//
// The window is (arrival of the first measured request, arrival of the last request]: warm-up and drain are excluded. A batch, or arrivals
// that all come at once, have no such window: theirs ends with the last token.
#pragma once

#include <array>
#include <functional>
#include <queue>
#include <vector>

#include "base/log_histogram.hpp"
#include "metrics/measured_requests.hpp"

namespace moeplan {

/// What is counted.
struct WindowCounts {
  std::int64_t finished = 0;  ///< requests
  std::int64_t rejected = 0;  ///< requests
  std::int64_t output_tokens = 0;
  std::int64_t prompt_tokens = 0;

  WindowCounts& operator+=(const WindowCounts& o) {
    finished += o.finished;
    rejected += o.rejected;
    output_tokens += o.output_tokens;
    prompt_tokens += o.prompt_tokens;
    return *this;
  }
};

class WindowTally {
 public:
  /// Parts of a run, cut at the arrivals of the first measured request, of the middle one, and of the last.
  enum Part : std::uint8_t { kWarmup, kFirstHalf, kSecondHalf, kDrain };

  explicit WindowTally(const MeasuredRequests& measured);

  void on_arrival(const RequestSpec& spec);
  /// Something happened at `at`; calls need not come in order of time.
  void add(SimTime at, const WindowCounts& tally) {
    if (at > latest_) latest_ = at;
    if (all_arrived_ || at <= last_arrival_) {
      count(at, tally);
    } else {
      near_.push_back({at, tally});
    }
  }
  /// The run is over: what was not yet decided is.
  void finish();

  // After finish():
  [[nodiscard]] const WindowCounts& part(Part p) const { return parts_[p]; }
  /// What happened within the window.
  [[nodiscard]] WindowCounts in_window() const;
  /// What happened after the window's start, the drain included, and how long that took.
  [[nodiscard]] WindowCounts to_last_token() const;
  [[nodiscard]] double seconds_to_last_token() const { return start_ == kNever ? 0.0 : to_seconds(std::max(latest_, start_) - start_).value(); }
  /// Length of the window in seconds.
  [[nodiscard]] double seconds() const;
  /// Whether the window excludes the drain; not so for a batch, or when all requests arrived at once.
  [[nodiscard]] bool ends_at_last_arrival() const { return !measured_.batch && end_ != kNever && end_ > start_; }
  /// Arrival of the last request in seconds.
  [[nodiscard]] double end_s() const { return to_seconds(end_).value(); }
  [[nodiscard]] std::uint64_t middle_id() const { return middle_id_; }
  /// Requests that finished after the window's end, by the seconds that passed since.
  [[nodiscard]] const LogHistogram& drain() const { return drain_; }

 private:
  struct Pending {
    SimTime at;
    WindowCounts tally;
    bool operator>(const Pending& other) const { return at > other.at; }
  };
  [[nodiscard]] std::size_t part_of(SimTime at) const {
    return at <= start_ ? kWarmup : at <= middle_ ? kFirstHalf : at <= end_ ? kSecondHalf : kDrain;
  }

  void count(SimTime at, const WindowCounts& tally) {
    const std::size_t part = part_of(at);
    parts_[part] += tally;
    if (part == kDrain && tally.finished > 0) drain_.add(to_seconds(at - end_).value(), static_cast<std::uint64_t>(tally.finished));
  }

  MeasuredRequests measured_;
  std::uint64_t middle_id_;
  SimTime start_ = kNever;
  SimTime middle_ = kNever;
  SimTime end_ = kNever;
  SimTime last_arrival_{-1};
  SimTime latest_{0};
  bool all_arrived_ = false;
  std::array<WindowCounts, 4> parts_{};
  LogHistogram drain_{0.01};
  // What happened after the last arrival seen: which part it belongs to is not yet decided. Nearly all of it is decided by the next
  // arrival; the rest waits in order of time.
  std::vector<Pending> near_;
  std::priority_queue<Pending, std::vector<Pending>, std::greater<>> far_;
};

}  // namespace moeplan
