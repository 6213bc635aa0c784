// Ends work for which there is no time left: what a command's time budget means within a run. Who asks for no limit pays nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "serving/observer.hpp"

namespace moeplan {

/// Whether the time is over; once it is, it stays so. Empty: there is no limit. Asked from any thread.
using TimeIsOver = std::function<bool()>;

/// Thrown where the time is over.
struct OutOfTime {};

inline void check_time(const TimeIsOver& over) {
  if (over && over()) throw OutOfTime{};
}

/// Ends a run with OutOfTime. Wants steps.
class TimeLimit final : public Observer {
 public:
  explicit TimeLimit(TimeIsOver over) : over_(std::move(over)) {}
  void on_step(const StepRecord& /*step*/) override {
    if (++steps_ % kStepsBetween == 0) check_time(over_);
  }

 private:
  static constexpr std::uint32_t kStepsBetween = 1024;  ///< a few milliseconds
  TimeIsOver over_;
  std::uint32_t steps_ = 0;
};

}  // namespace moeplan
