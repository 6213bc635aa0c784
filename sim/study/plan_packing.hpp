// How a plan's replicas lie on nodes, and how many of each it takes. Plain arithmetic; nothing is simulated here.
//
// A node that fails takes with it every replica that has a GPU on it: an expert-parallel group over several nodes dies with any of them. Fewer replicas
// on a node mean fewer that die with it, so that nodes need not be full: of all ways to spread them the cheapest is taken.
#pragma once

#include <limits>

namespace moeplan {

/// What a node has room for, of replicas of one kind.
struct ReplicaPacking {
  int gpus_per_replica = 1;
  int replicas_per_node = 1;  ///< 1 where a replica spans nodes
  int nodes_per_replica = 1;
};
ReplicaPacking pack_replicas(int gpus_per_replica, int node_gpus);

/// Replicas that must be left when nodes are missing, whichever these are.
struct PackingNeed {
  int serving = 1;  ///< without `down` nodes
  int down = 0;
  int least = 0;    ///< without `more_down` nodes beside those; at most `serving`
  int more_down = 0;
};

/// What is paid for.
struct PackingRule {
  int node_gpus = 8;
  bool whole_nodes = false;  ///< bought nodes: the fewest of them, and all their GPUs are the plan's. Else GPUs are rented one by one: the fewest of them, then
                             ///< the fewest nodes
  int most_nodes = std::numeric_limits<int>::max();  ///< there is room for no more, as far as the need can be met on so many
};

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

/// The same hardware with nothing failed: the GPUs of spare replicas serve, too. GPUs of a replica: of those that decode, and of those that prefill.
PlanSize with_spares_up(PlanSize size, int replica_gpus, int prefill_replica_gpus);

/// Replicas that serve.
struct PlanCounts {
  PlanCounts(int serving_replicas, int prefill_replicas = 0) : serving(serving_replicas), prefill(prefill_replicas) {}
  int serving, prefill;
  [[nodiscard]] int all() const { return serving + prefill; }
};

/// The fewest replicas that meet `need` spread evenly over `nodes` nodes; 0 when none do. Never more on more nodes. REQUIRES: a replica fits a node.
int replicas_on(const ReplicaPacking& packing, const PackingNeed& need, int nodes);

/// The cheapest way to meet `need`. GPUs that so many replicas leave over on full nodes are paid for however they are spread.
PlanSize pack(const ReplicaPacking& packing, const PackingRule& rule, const PackingNeed& need);

/// Nodes that replicas fill one after another.
int nodes_of(int replicas, int gpus_per_replica, int node_gpus);

/// Numbers of replicas in the proportion of a plan, rounded up: about 1, 2, ... in all, most() of them as in the plan. One pool: as many as the number says.
class PlanProportion {
 public:
  explicit PlanProportion(const PlanSize& size) : whole_(size.serving, size.prefill.serving) {}
  [[nodiscard]] int most() const { return whole_.all(); }
  PlanCounts operator()(int replicas) const;

 private:
  PlanCounts whole_;
};

/// Both pools of a plan. `shared`: replicas of both may lie on one node of `rule`; else each pool has nodes of its own.
PlanSize size_of_pools(const PoolSize& prefill, int prefill_gpus, PlanSize decode, int decode_gpus, bool shared, const PackingRule& rule);
/// Nodes of `node_gpus` that replicas of two kinds take together; one that fits a node lies on one.
int shared_nodes(PlanCounts replicas, int decode_gpus, int prefill_gpus, int node_gpus);

}  // namespace moeplan
