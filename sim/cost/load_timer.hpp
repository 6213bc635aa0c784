// Times of many rank loads of one token count from a few kernel evaluations: a small table over (pairs, distinct experts) spanning the
// loads that occur, linear in between. Building a node of the expert tables costs at most 81 kernel evaluations this way, not thousands.
#pragma once

#include <limits>
#include <vector>

#include "cost/expert_layer.hpp"

namespace moeplan {

class LoadTimer {
 public:
  LoadTimer(const ExpertLayer& layer, double tokens, KernelPhase phase) : layer_(layer), tokens_(tokens), phase_(phase) {}

  /// Extends the span to `load`. REQUIRES: before build().
  void cover(RankLoad load);
  void build();

  /// Seconds of the expert kernel. REQUIRES: covered.
  [[nodiscard]] double experts(RankLoad load) const;
  /// Seconds of dispatch and combine with `pairs` on the busiest rank.
  [[nodiscard]] CommTime exchange(double pairs) const;
  [[nodiscard]] Origin experts_origin() const { return experts_origin_; }
  [[nodiscard]] Origin exchange_origin() const { return exchange_origin_; }

 private:
  /// Evenly spaced nodes from `low` to `high`.
  struct Axis {
    double low = std::numeric_limits<double>::infinity();
    double high = 0;
    int nodes = 1;
    void cover(double x);
    void place();
    [[nodiscard]] double value(int i) const;
    [[nodiscard]] std::pair<std::size_t, double> find(double x) const;
  };

  const ExpertLayer& layer_;
  double tokens_;
  KernelPhase phase_;
  Axis pairs_;
  Axis distinct_;
  std::vector<double> experts_;   ///< [pairs][distinct]
  std::vector<CommTime> exchange_;  ///< [pairs]
  Origin experts_origin_ = Origin::kMeasured;
  Origin exchange_origin_ = Origin::kMeasured;
};

}  // namespace moeplan
