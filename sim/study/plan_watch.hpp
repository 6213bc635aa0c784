// What watches a run of the plan search beside the metrics: whether it can still meet its objectives, and how busy its pools are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "metrics/measured_requests.hpp"
#include "study/objective.hpp"

namespace moeplan {

/// Thrown by an observer to end a run whose verdict is known.
struct VerdictKnown {
  std::string problem, failing;
  double miss = 0;
};

/// Counts what exceeds the bounds of per-request percentiles and means; throws VerdictKnown when more do than are allowed, or where a request can never be
/// served.
class BoundWatch final : public Observer {
 public:
  BoundWatch(const std::vector<Objective>& objectives, const MeasuredRequests& measured);
  void on_finished(const FinishedRequest& request) override;
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) override;
  [[nodiscard]] std::uint64_t rejected() const { return rejected_; }

 private:
  struct Bound {
    const Objective* objective;
    double allowed, most_sum;  ///< requests that may exceed it; sum of a mean
    double over, sum, seen;
  };
  static void watch(Bound& bound, const FinishedRequest& request);

  MeasuredRequests measured_;
  std::vector<Bound> bounds_;
  std::uint64_t rejected_ = 0;
};

/// Seconds that replicas spend in steps; those of the prefill pool, which come first, by themselves.
class BusyTime final : public Observer {
 public:
  BusyTime(int serving, int prefill) : serving_replicas_(serving), prefill_replicas_(prefill) {}
  void on_step(const StepRecord& step) override { (step.replica < prefill_replicas_ ? prefill_ : serving_) += step.end - step.start; }
  void on_end(SimTime now) override { end_ = now; }
  [[nodiscard]] double serving() const { return share(serving_, serving_replicas_); }
  [[nodiscard]] double prefill() const { return share(prefill_, prefill_replicas_); }

 private:
  [[nodiscard]] double share(SimTime busy, int replicas) const {
    return end_.count() > 0 && replicas > 0 ? static_cast<double>(busy.count()) / static_cast<double>(end_.count()) / replicas : 0.0;
  }
  int serving_replicas_, prefill_replicas_;
  SimTime serving_{0}, prefill_{0}, end_{0};
};

}  // namespace moeplan
