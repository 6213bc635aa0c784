// How much of the time a plan has enough replicas, when nodes fail.
//
// Nodes fail independently while they are up, each at the given rate, and are back after a restart and the loading of their weights: a node is down with
// probability q = x / (1 + x), where x = failures per hour x hours until it is back, so that the nodes down among n alike are binomial(n, q). A
// replica is up where all nodes that it lies on are. Replicas are spread evenly over the plan's nodes: a with floor(R / n) + 1 of them and b with floor(R / n),
// so that enough are left with probability
//   sum over i, j of Binomial(i; a, q) Binomial(j; b, q), as far as i (floor(R / n) + 1) + j floor(R / n) <= spare replicas.
// A replica over k nodes is down with probability 1 - (1 - q)^k, and those of a plan that are down are binomial. Pools on nodes of their own
// both need enough. Left out: failures that take several nodes (a rack, a switch), and those of one GPU.
#pragma once

#include <optional>
#include <vector>

#include "study/plan_packing.hpp"
#include "study/plan_search.hpp"

namespace moeplan {

/// Replicas of one kind on nodes of their own, evenly spread.
struct ReplicaSpread {
  int replicas = 1;
  int needed = 1;            ///< of them
  int nodes = 1;             ///< that have any of them
  int nodes_per_replica = 1; ///< above 1 each replica has its nodes for itself
};
/// Of one pool; spread over all its nodes where it has spares, else filling as few as it takes.
ReplicaSpread spread_of(const PoolSize& pool, int gpus_per_replica, int node_gpus);

/// Probability that fewer than the needed replicas are up, with each node down with probability `down` and the `out` fullest besides.
double shortage(const ReplicaSpread& spread, double down, int out = 0);

/// Outages of a plan.
struct Outages {
  double restart_s = 0;      ///< until weights begin to load
  double weight_load_s = 0;  ///< all weights of a node
  double node_down = 0;      ///< share of the time
  double nodes_down_mean = 0;
  int replicas = 0, needed = 0;  ///< of all pools
  double availability = 1;   ///< share of the time with as many replicas up as the objectives need at the load that the plan is sized for, while no node is in maintenance
  std::optional<double> in_maintenance;  ///< of the time with nodes in maintenance, where the plan can do without them at that load
};
/// `pools`: each on nodes of its own. `nodes`: of the plan.
Outages outages(const ReliabilityConfig& reliability, const std::vector<ReplicaSpread>& pools, int nodes, double weight_bytes_per_node);

}  // namespace moeplan
