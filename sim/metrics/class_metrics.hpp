// Each workload class apart: how many of its requests came, ended and were rejected, and their latencies (no ITL: token gaps carry no request).
#pragma once

#include <cstdint>
#include <vector>

#include "metrics/latency_metrics.hpp"
#include "serving/observer.hpp"

namespace moeplan {

class ClassMetrics final : public Observer {
 public:
  struct Class {
    explicit Class(const MeasuredRequests& measured) : latency(measured) {}
    std::uint64_t arrived = 0, completed = 0, rejected = 0, preemptions = 0;
    std::uint64_t prompt_tokens = 0, output_tokens = 0;  ///< of the completed ones
    LatencyMetrics latency;
  };
  ClassMetrics(const MeasuredRequests& measured, std::size_t classes) : classes_(classes, Class(measured)) {}

  void on_arrival(const RequestSpec& spec) override { ++of(spec).arrived; }
  void on_rejected(const RequestSpec& spec, RejectReason /*reason*/, SimTime /*at*/) override { ++of(spec).rejected; }
  void on_finished(const FinishedRequest& request) override {
    Class& c = of(request.spec);
    ++c.completed;
    c.prompt_tokens += static_cast<std::uint64_t>(request.spec.prompt_tokens);
    c.output_tokens += static_cast<std::uint64_t>(request.spec.output_tokens);
    c.preemptions += static_cast<std::uint64_t>(request.preemptions);
    c.latency.on_finished(request);
  }
  [[nodiscard]] const std::vector<Class>& classes() const { return classes_; }

 private:
  Class& of(const RequestSpec& spec) { return classes_.at(static_cast<std::size_t>(spec.class_id)); }
  std::vector<Class> classes_;
};

}  // namespace moeplan
