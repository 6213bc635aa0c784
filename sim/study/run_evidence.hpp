// What a simulated run saw of itself: what explains its errors, and how wide its interval must be.
#pragma once

#include <array>
#include <cstdint>

#include "cost/step_shape.hpp"

namespace moeplan {

class StepMetrics;

struct RunEvidence {
  std::array<double, kOrigins> origin_share{};  ///< of the kernel time
  std::array<double, kStepParts> part_share{};  ///< of the time of all steps
  double mean_step_s = 0;                       ///< of steps that only decode; of all when none does
  double mean_running = 0;                      ///< requests in a step
  double kv_peak = 0;                           ///< share of the KV cache in use, at its fullest
  double prefill_share = 0;                     ///< of the time, spent in steps with prefill
  double request_latency_s = 0;                 ///< the path between client and engine

  [[nodiscard]] double part(StepPart p) const { return part_share[static_cast<std::size_t>(p)]; }
  [[nodiscard]] double communication() const { return part(StepPart::kAllReduce) + part(StepPart::kAllToAll) + part(StepPart::kPipeline); }
  [[nodiscard]] double products() const { return part(StepPart::kDenseGemm) + part(StepPart::kLmHead) + part(StepPart::kRouter); }
};

RunEvidence evidence_of(const StepMetrics& steps, double request_latency_s);

}  // namespace moeplan
