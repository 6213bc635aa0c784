// What a plan is sized for: the load at its busiest and calmest, and how many nodes may be missing. Plain arithmetic; nothing is simulated here.
//
// A node that fails takes with it every replica that has a GPU on it: an expert-parallel group over several nodes dies with any of them. The others
// absorb the traffic. Left out: the seconds in which the router has not yet noticed, and requests lost with the node.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "study/plan_search.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

/// What clients send on average over a run; nothing for closed and batch loads, whose rate depends on the machine.
struct OfferedLoad {
  double requests_per_s = 0, output_tokens_per_s = 0;
};
std::optional<OfferedLoad> offered_load(const WorkloadConfig& workload, std::uint64_t seed);

/// Factors on the workload's mean load.
struct LoadFactors {
  double mean = 1;    ///< over the day, last month
  double peak = 1;    ///< busiest hour of the last month: what plans are sized for
  double trough = 1;  ///< calmest hour of the last month
};
/// Of `search.load`, or the workload's own hourly factors.
LoadFactors load_factors(const LoadGrowth& load, const WorkloadConfig& workload);
/// Nodes that a plan must be able to lose at its busiest.
int nodes_down(const ReliabilityConfig& reliability);
/// Factor of the busiest hour in month `month`.
double peak_in_month(const LoadGrowth& load, const WorkloadConfig& workload, int month);

/// The workload at `factor` times its mean load: rate, speed of the trace, or clients of a closed loop (rounded up). Its hourly factors go. REQUIRES: factor
/// is 1 for a batch.
WorkloadConfig scaled_workload(WorkloadConfig workload, double factor);

/// How replicas of one kind lie on nodes.
struct ReplicaPacking {
  int gpus_per_replica = 1;
  int replicas_per_node = 1;  ///< 1 where a replica spans nodes
  int nodes_per_replica = 1;
};
ReplicaPacking pack_replicas(int gpus_per_replica, int node_gpus);

/// Replicas of one kind, and the nodes and GPUs they take.
struct PoolSize {
  int serving = 0;  ///< replicas that bear the load
  int spare = 0;    ///< more, so that as many serve while nodes are down
  int nodes = 0;
  int gpus = 0;
  int spare_gpus = 0;  ///< of them, those that do not serve
};

/// A plan's replicas. With prefill apart, `serving` and `spare` are of those that decode; nodes and GPUs are of both pools.
struct PlanSize : PoolSize {
  PoolSize prefill{};  ///< none serving: prefill is not apart
  [[nodiscard]] bool pools() const { return prefill.serving > 0; }
  [[nodiscard]] int replicas() const { return serving + spare + prefill.serving + prefill.spare; }
};

/// Replicas that serve.
struct PlanCounts {
  PlanCounts(int serving_replicas, int prefill_replicas = 0) : serving(serving_replicas), prefill(prefill_replicas) {}
  int serving, prefill;
  [[nodiscard]] int all() const { return serving + prefill; }
};
/// `serving` replicas beside what `down` nodes may take away. GPUs of a node that no replica fits on any more count when the node is full.
PlanSize size_of(const ReplicaPacking& packing, int node_gpus, int serving, int down);
/// Numbers of replicas in the proportion of a plan, rounded up: about 1, 2, ... in all, most() of them as in the plan. One pool: as many as the number says.
class PlanProportion {
 public:
  explicit PlanProportion(const PlanSize& size) : whole_(size.serving, size.prefill.serving) {}
  [[nodiscard]] int most() const { return whole_.all(); }
  PlanCounts operator()(int replicas) const;

 private:
  PlanCounts whole_;
};

/// `serving` replicas, evenly spread over nodes so that of them remain `serving` without `spare_nodes` nodes, and `least` without `maintenance_nodes` more:
/// the fewest GPUs, then the fewest nodes. Never more than size_of(..., spare_nodes + maintenance_nodes) where least <= serving.
PlanSize size_off_peak(const ReplicaPacking& packing, int node_gpus, int serving, int least, int spare_nodes, int maintenance_nodes);
/// Both pools of a plan. `shared`: replicas of both may lie on one node of `node_gpus`; else each pool has nodes of its own.
PlanSize size_of_pools(const PoolSize& prefill, int prefill_gpus, PlanSize decode, int decode_gpus, bool shared, int node_gpus);
/// Nodes of `node_gpus` that replicas of two kinds take together; one that fits a node lies on one.
int shared_nodes(PlanCounts replicas, int decode_gpus, int prefill_gpus, int node_gpus);
/// The most serving replicas that `gpus` GPUs give with `down` nodes missing; 0 when none. Its gpus are those bought.
PlanSize size_within(const ReplicaPacking& packing, int node_gpus, int gpus, int down);

/// Outages of a plan.
struct Outages {
  double restart_s = 0;      ///< until weights begin to load
  double weight_load_s = 0;  ///< all weights of a node
  double nodes_down_mean = 0;
  double availability = 1;   ///< share of time with no more nodes down than the plan has spare ones
};
/// Independent failures at the given rate, each lasting restart plus loading: nodes down are Poisson distributed.
Outages outages(const ReliabilityConfig& reliability, int nodes, double weight_bytes_per_node);

}  // namespace moeplan
