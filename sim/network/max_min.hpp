// Max-min fair rates of flows that share links (progressive filling): all rates rise together, in proportion to their weights, until a link is
// full or a flow has what it asks for; what that fixes stays, the others rise on. What TCP, RoCE with fair switches and NVLink arbiters tend to.
//
// A flow may use a link more than once over, or only with a part of its bytes (a collective seen as one flow): `share` says how many bytes cross
// the link per byte of the flow. Left out: latency, packets, unfairness of real congestion control.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace moeplan {

/// One link on a flow's way.
struct LinkUse {
  std::int32_t link = 0;
  double share = 1.0;  ///< bytes over the link per byte of the flow; above 0
};

/// A flow to be rated. `path` must outlive the call of solve().
struct FlowDemand {
  std::span<const LinkUse> path;
  double weight = 1.0;
  double limit = std::numeric_limits<double>::infinity();  ///< bytes/s it asks for at most
};

/// Keeps its working memory between solves. Not for several threads at once.
class MaxMinSolver {
 public:
  /// `capacities` of the links, bytes/s each, 0 or above.
  explicit MaxMinSolver(std::vector<double> capacities);

  /// Rates of `flows` in bytes/s, in their order; valid until the next call. A flow without links gets its limit (infinite without one). No
  /// link carries more than its capacity, and no flow can gain without one of equal or smaller rate per weight losing. Up to rounding the
  /// order of the flows does not matter. O(n log n) in the uses of links.
  /// REQUIRES: weights, limits and shares above 0, links in range, no link twice in one path.
  std::span<const double> solve(std::span<const FlowDemand> flows);

  [[nodiscard]] std::span<const double> capacities() const { return capacities_; }

 private:
  struct LinkState {
    double left = 0;              ///< capacity that fixed flows leave
    double rising = 0;            ///< sum of share x weight over flows that still rise
    std::uint32_t first = 0;      ///< its flows in users_
    std::uint32_t count = 0;
    std::uint32_t still = 0;      ///< of them, how many still rise
  };
  struct Full {
    double level;
    std::int32_t link;
    bool operator>(const Full& other) const { return level != other.level ? level > other.level : link > other.link; }
  };

  void index_users(std::span<const FlowDemand> flows);
  void fix(std::span<const FlowDemand> flows, std::uint32_t flow, double rate);
  /// Sum of share x weight over the flows on a link that still rise.
  [[nodiscard]] double rising_of(std::span<const FlowDemand> flows, std::int32_t link) const;
  [[nodiscard]] static double full_at(const LinkState& link);

  std::vector<double> capacities_;
  std::vector<LinkState> links_;
  std::vector<std::int32_t> touched_;
  std::vector<std::uint32_t> users_;  ///< flows by link
  std::vector<double> share_of_;      ///< their shares of it
  std::vector<std::uint32_t> by_limit_;
  std::vector<Full> heap_;
  std::vector<double> rates_;
};

}  // namespace moeplan
