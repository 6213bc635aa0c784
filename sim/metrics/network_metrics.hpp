// What communication costs and what it puts on the links: exposed and hidden time by kind of step, slow-down by others, and the load of every
// link over stretches of simulated time, from the bytes that replicas' GPUs send and the links their groups use. Expert offload as well.
//
// Over the whole run, warm-up and drain included. Stretches double in length whenever there are too many, so memory does not grow with the run.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "network/group_links.hpp"
#include "serving/observer.hpp"

namespace moeplan {

/// Of the steps of one kind, seconds in all.
struct CommunicationTime {
  std::uint64_t steps = 0;
  double step_seconds = 0;
  double exposed = 0;  ///< all-reduce, all-to-all and hand-overs that computation did not hide, contention included
  double hidden = 0;
  double contention = 0;

  [[nodiscard]] double per_step(double seconds) const { return steps == 0 ? 0.0 : seconds / static_cast<double>(steps); }
  [[nodiscard]] double exposed_share() const { return step_seconds > 0 ? exposed / step_seconds : 0.0; }
};

/// Load of one link as a share of its capacity.
struct LinkUtilisation {
  std::int32_t link = 0;
  double mean = 0, p50 = 0, p99 = 0;  ///< quantiles over stretches of time
};

struct OffloadTotals {
  double bytes = 0, seconds = 0, lookups = 0, hits = 0;
};

class NetworkMetrics final : public Observer {
 public:
  /// `groups`: links of each replica (empty: none are watched), REQUIRES: as many as replicas or none.
  explicit NetworkMetrics(std::vector<GroupLinks> groups);

  void on_step(const StepRecord& step) override;
  void on_end(SimTime now) override { end_ = now; }
  /// One more that sends over links, beside the replicas; its number.
  std::size_t add_sender(std::vector<LinkUse> links);
  /// It sent `bytes` evenly from `begin` to `end`.
  void sends(std::size_t sender, SimTime begin, SimTime end, double bytes) { spread(sender, begin, end, {0, bytes}); }

  [[nodiscard]] const CommunicationTime& decode() const { return kinds_[1]; }
  [[nodiscard]] const CommunicationTime& prefill() const { return kinds_[0]; }
  [[nodiscard]] const OffloadTotals& offload() const { return offload_; }
  /// Mean factor by which contention stretched what the cards did; 1 without.
  [[nodiscard]] double slowdown() const { return card_seconds_ > 0 ? 1.0 + (kinds_[0].contention + kinds_[1].contention) / card_seconds_ : 1.0; }
  /// The `most` busiest links, busiest first (by mean, then by number). Empty before on_end.
  [[nodiscard]] std::vector<LinkUtilisation> busiest(const Topology& topology, std::size_t most) const;

 private:
  struct Bytes {
    double inside = 0, between = 0;
  };
  void spread(std::size_t sender, SimTime begin, SimTime end, Bytes bytes);
  void widen();

  static constexpr std::size_t kStretches = 512;
  std::vector<GroupLinks> groups_;  ///< of replicas, then of further senders
  std::size_t replicas_;
  std::array<CommunicationTime, 2> kinds_{};
  OffloadTotals offload_;
  double card_seconds_ = 0;
  std::int64_t stretch_ns_ = 1'000'000;
  std::vector<std::vector<Bytes>> sent_;  ///< [replica][stretch], by one GPU; further senders all they send
  SimTime end_{0};
};

}  // namespace moeplan
