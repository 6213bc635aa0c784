// The sizes that a candidate may be bought in: rung 1, 2, ... with rising replicas and cost, each packed on nodes as cheaply as the limits allow.
//
// With prefill apart there is one ladder for each number of prefill replicas, and its rungs are numbers of decode replicas.
#pragma once

#include <string>
#include <vector>

#include "study/plan_outcome.hpp"
#include "study/plan_packing.hpp"
#include "study/plan_space.hpp"

namespace moeplan {

/// How what is paid for on nodes of `cluster` is counted: whole nodes where they are bought.
PackingRule packing_rule(const CostSpec& cost, const ClusterSpec& cluster);

class PlanLadder {
 public:
  PlanLadder(const PlanSpace& space, const PlanGroup& group, int prefill = 0);
  [[nodiscard]] int rungs() const { return last_; }  ///< 0: not even one is within the limits
  [[nodiscard]] PlanSize size(int rung) const;
  /// The limit that keeps it from one more rung, in words; empty: none does.
  [[nodiscard]] const std::string& limit() const { return limit_; }
  [[nodiscard]] PlanPrice price(int rung, const PlanBusy& busy) const;
  /// The lowest rung with at least so many serving replicas; rungs() + 1 when none has.
  [[nodiscard]] int rung_of(int serving) const;
  /// The highest rung that costs no more, busy or not; 0 when none does.
  [[nodiscard]] int last_within(double usd_per_hour) const;
  /// The same plan with `least` replicas left while nodes are in maintenance beside the spare ones, each pool by itself.
  [[nodiscard]] PlanSize off_peak(const PlanSize& size, PlanCounts least) const;
  /// The limit that a size breaks, in words; empty: none.
  [[nodiscard]] std::string beyond_limits(const PlanSize& size) const;
  /// Racks that `serving` replicas fill with what `gpus` there are in all, also where that is beyond a limit.
  [[nodiscard]] int racks_for(int serving, int gpus) const;

 private:
  [[nodiscard]] const Scenario& base() const { return space_.bases[group_.base].scenario; }
  [[nodiscard]] PlanSize size_for(int serving) const;
  /// The cheapest packing of both pools; `prefill` counts only where there is such a pool.
  [[nodiscard]] PlanSize packed(const PackingNeed& need, const PackingNeed& prefill) const;
  [[nodiscard]] std::vector<PoolSize> prefill_packings(const PackingNeed& need) const;
  /// As many GPUs as may be bought at once.
  [[nodiscard]] PlanSize padded(PlanSize size, int gpus) const;
  void take_stated();
  [[nodiscard]] int racks(const PlanSize& size) const;
  [[nodiscard]] int room_beside(int prefill_nodes) const;

  const PlanSpace& space_;
  const PlanGroup& group_;
  int prefill_;          ///< replicas
  bool shared_ = false;  ///< replicas of both pools may lie on one node
  bool apart_ = false;   ///< the pools' nodes are of different kinds
  ReplicaPacking packing_, prefill_packing_;
  PackingRule rule_, prefill_rule_;
  int per_rack_ = 1, prefill_per_rack_ = 1;
  int down_;
  std::vector<PlanSize> stated_;  ///< of search.counts
  int last_ = 0;
  std::string limit_;
};

}  // namespace moeplan
