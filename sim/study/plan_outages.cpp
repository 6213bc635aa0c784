#include "study/plan_outages.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// Probabilities of 0 .. n.
std::vector<double> binomial(int n, double p) {
  std::vector<double> out(static_cast<std::size_t>(n) + 1, 0.0);
  if (p >= 1) {
    out.back() = 1;
    return out;
  }
  double term = std::pow(1 - p, n);
  for (int k = 0; k <= n; ++k) {
    out[static_cast<std::size_t>(k)] = term;
    term *= p / (1 - p) * (n - k) / (k + 1);
  }
  return out;
}

}  // namespace

ReplicaSpread spread_of(const PoolSize& pool, int gpus_per_replica, int node_gpus) {
  const ReplicaPacking packing = pack_replicas(gpus_per_replica, node_gpus);
  ReplicaSpread spread;
  spread.replicas = pool.serving + pool.spare;
  spread.needed = pool.serving;
  spread.nodes_per_replica = packing.nodes_per_replica;
  const int filled = nodes_of(spread.replicas, gpus_per_replica, node_gpus);
  spread.nodes = packing.nodes_per_replica > 1 || pool.spare == 0 ? filled : std::clamp(pool.nodes, filled, spread.replicas);
  return spread;
}

double shortage(const ReplicaSpread& s, double down, int out) {
  MOEPLAN_CHECK(s.needed >= 1 && s.needed <= s.replicas && s.nodes >= 1);
  const bool spans = s.nodes_per_replica > 1;
  const int groups = spans ? s.replicas : s.nodes;  // that are down or up as one
  const double gone = spans ? 1 - std::pow(1 - down, s.nodes_per_replica) : down;
  const int least = s.replicas / groups;
  int full = s.replicas % groups;  // groups with one replica more
  int others = groups - full;
  int spare = s.replicas - s.needed;
  for (int i = 0; i < out && full + others > 0; ++i) {
    spare -= full > 0 ? least + 1 : least;
    --(full > 0 ? full : others);
  }
  // What is too much is summed, not what is enough: a year has seconds that matter in the ninth decimal place.
  const std::vector<double> of_full = binomial(full, gone);
  const std::vector<double> of_others = binomial(others, gone);
  double sum = 0;
  for (int i = 0; i <= full; ++i) {
    for (int j = 0; j <= others; ++j) {
      if (i * (least + 1) + j * least > spare) sum += of_full[static_cast<std::size_t>(i)] * of_others[static_cast<std::size_t>(j)];
    }
  }
  return std::min(1.0, sum);
}

Outages outages(const ReliabilityConfig& reliability, const std::vector<ReplicaSpread>& pools, int nodes, double weight_bytes_per_node) {
  constexpr double kSecondsPerYear = 8766.0 * 3600.0;
  Outages out;
  out.restart_s = reliability.restart_s;
  out.weight_load_s = weight_bytes_per_node / reliability.weight_load_bytes_per_s;
  // Of the time that a node is up.
  const double repair = reliability.failures_per_node_year * (out.restart_s + out.weight_load_s) / kSecondsPerYear;
  out.node_down = repair / (1 + repair);
  out.nodes_down_mean = nodes * out.node_down;
  std::vector<double> plain, maintained;  // shortages by pool
  for (const ReplicaSpread& pool : pools) {
    out.replicas += pool.replicas;
    out.needed += pool.needed;
    plain.push_back(shortage(pool, out.node_down));
    maintained.push_back(shortage(pool, out.node_down, reliability.maintenance_nodes));
  }
  const auto both = [&](std::size_t in_maintenance) {
    double enough = 1;
    for (std::size_t i = 0; i < pools.size(); ++i) enough *= 1 - (i == in_maintenance ? maintained : plain)[i];
    return enough;
  };
  out.availability = both(pools.size());
  if (reliability.maintenance_nodes == 0 || reliability.maintenance_off_peak) return out;
  out.in_maintenance = 1;
  for (std::size_t i = 0; i < pools.size(); ++i) out.in_maintenance = std::min(*out.in_maintenance, both(i));
  return out;
}

}  // namespace moeplan
