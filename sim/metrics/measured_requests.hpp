// Which requests of a run count: those after the first `warmup` arrivals, by id. A batch counts whole.
#pragma once

#include <cstdint>

#include "serving/observer.hpp"

namespace moeplan {

/// How a workload ends up in the statistics.
struct MeasuredRequests {
  std::uint64_t total = 0;   ///< requests the source will issue (RequestSource::total)
  std::uint64_t warmup = 0;  ///< the first so many do not count; ignored for a batch
  bool closed = false;       ///< completions cause arrivals: there is no offered load
  bool batch = false;        ///< all at time 0: everything counts, the drain too

  [[nodiscard]] std::uint64_t first() const { return batch ? 0 : warmup; }
  [[nodiscard]] bool counts(std::uint64_t id) const { return id >= first(); }
};

/// Latencies of one request, in seconds.
inline double ttft_of(const FinishedRequest& r) { return to_seconds(r.first_token - r.spec.arrival).value(); }
inline double e2e_of(const FinishedRequest& r) { return to_seconds(r.last_token - r.spec.arrival).value(); }
inline double queue_of(const FinishedRequest& r) { return to_seconds(r.scheduled - r.spec.arrival).value(); }
/// For two output tokens or more.
inline double tpot_of(const FinishedRequest& r) {
  return to_seconds(r.last_token - r.first_token).value() / static_cast<double>(r.spec.output_tokens - 1);
}

}  // namespace moeplan
