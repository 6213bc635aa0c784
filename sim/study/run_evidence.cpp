#include "study/run_evidence.hpp"

#include "metrics/step_metrics.hpp"

namespace moeplan {

RunEvidence evidence_of(const StepMetrics& steps, double request_latency_s) {
  RunEvidence e;
  e.request_latency_s = request_latency_s;
  const double seconds = steps.decode().seconds + steps.prefill().seconds;
  if (steps.steps() == 0 || !(seconds > 0)) return e;
  e.origin_share = steps.origin_shares();
  for (std::size_t i = 0; i < e.part_share.size(); ++i) {
    e.part_share[i] = (steps.decode().part_seconds[i] + steps.prefill().part_seconds[i]) / seconds;
  }
  e.mean_step_s = steps.decode().steps > 0 ? steps.decode().mean_seconds() : seconds / static_cast<double>(steps.steps());
  e.mean_running = steps.mean_running();
  e.kv_peak = steps.peak_kv_utilisation();
  e.prefill_share = steps.prefill().seconds / seconds;
  return e;
}

}  // namespace moeplan
