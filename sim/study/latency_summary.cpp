#include "study/latency_summary.hpp"

namespace moeplan {

LatencySummary summarise(const Samples& samples) {
  LatencySummary s;
  s.count = samples.count();
  if (s.count == 0) return s;
  s.mean = samples.mean();
  s.p50 = samples.quantile(0.50);
  s.p90 = samples.quantile(0.90);
  s.p95 = samples.quantile(0.95);
  s.p99 = samples.quantile(0.99);
  s.max = samples.max();
  return s;
}

}  // namespace moeplan
