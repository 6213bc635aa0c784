#include "study/plan_packing.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

namespace {

int share(int of, int among) { return (of + among - 1) / among; }

/// The lowest of first .. last that has as few replicas as the last.
int fewest_nodes_with(const ReplicaPacking& packing, const PackingNeed& need, int first, int last) {
  const int replicas = replicas_on(packing, need, last);
  while (first < last) {
    const int middle = first + (last - first) / 2;
    if (replicas_on(packing, need, middle) == replicas) {
      last = middle;
    } else {
      first = middle + 1;
    }
  }
  return last;
}

}  // namespace

ReplicaPacking pack_replicas(int gpus_per_replica, int node_gpus) {
  ReplicaPacking packing;
  packing.gpus_per_replica = gpus_per_replica;
  packing.replicas_per_node = std::max(1, node_gpus / gpus_per_replica);
  packing.nodes_per_replica = share(gpus_per_replica, node_gpus);
  return packing;
}

// The fullest nodes are the ones whose loss is worst. Without the `down` fullest, which hold as many as the fullest of the others, `serving` are left on
// nodes - down; of these the `more_down` fullest hold at least what the others hold on average, for `least` to be left.
int replicas_on(const ReplicaPacking& packing, const PackingNeed& need, int nodes) {
  const int left = nodes - need.down;
  const int left_least = left - need.more_down;
  if (left < 1 || (need.least > 0 && left_least < 1)) return 0;
  int serving = need.serving;
  if (need.least > 0) serving = std::max(serving, need.least + need.more_down * share(need.least, left_least));
  const int fullest = share(serving, left);
  return fullest > packing.replicas_per_node ? 0 : serving + need.down * fullest;
}

PlanSize pack(const ReplicaPacking& packing, const PackingRule& rule, const PackingNeed& need) {
  MOEPLAN_CHECK(need.least <= need.serving && need.serving >= 1);
  PlanSize size;
  size.serving = need.serving;
  if (packing.nodes_per_replica > 1) {
    // Any node takes one replica.
    const int all = std::max(need.serving + need.down, need.least > 0 ? need.least + need.down + need.more_down : 0);
    size.spare = all - need.serving;
    size.nodes = all * packing.nodes_per_replica;
    size.gpus = size.nodes * rule.node_gpus;
  } else {
    const int per_node = packing.replicas_per_node;
    const int fewest = std::max(need.down + share(need.serving, per_node), need.least > 0 ? need.down + need.more_down + share(need.least, per_node) : 0);
    const int most = std::max(need.down + need.serving, need.least > 0 ? need.down + need.more_down + need.least : 0);
    const int allowed = rule.whole_nodes ? fewest : std::clamp(rule.most_nodes, fewest, most);
    size.nodes = fewest_nodes_with(packing, need, fewest, allowed);
    const int all = replicas_on(packing, need, size.nodes);
    MOEPLAN_CHECK(all >= need.serving);
    size.spare = all - need.serving;
    size.gpus = all * packing.gpus_per_replica + all / per_node * (rule.node_gpus - per_node * packing.gpus_per_replica);
    if (rule.whole_nodes) size.gpus = size.nodes * rule.node_gpus;
  }
  size.spare_gpus = size.gpus - need.serving * packing.gpus_per_replica;
  return size;
}

int nodes_of(int replicas, int gpus_per_replica, int node_gpus) {
  const ReplicaPacking packing = pack_replicas(gpus_per_replica, node_gpus);
  return packing.nodes_per_replica > 1 ? replicas * packing.nodes_per_replica : share(replicas, packing.replicas_per_node);
}

PlanCounts PlanProportion::operator()(int replicas) const {
  if (whole_.prefill == 0) return replicas;
  const auto part = [&](int of) { return share(of * replicas, most()); };
  return {part(whole_.serving), part(whole_.prefill)};
}

int shared_nodes(PlanCounts replicas, int decode_gpus, int prefill_gpus, int node_gpus) {
  int next = 0;
  const auto place = [&](int count, int gpus) {
    for (int i = 0; i < count; ++i) {
      if (gpus <= node_gpus && next % node_gpus + gpus > node_gpus) next = (next / node_gpus + 1) * node_gpus;
      next += gpus;
    }
  };
  place(replicas.prefill, prefill_gpus);
  place(replicas.serving, decode_gpus);
  return share(next, node_gpus);
}

PlanSize size_of_pools(const PoolSize& prefill, int prefill_gpus, PlanSize decode, int decode_gpus, bool shared, const PackingRule& rule) {
  const int all = prefill.serving + prefill.spare;
  decode.gpus += prefill.gpus;
  decode.nodes = shared ? shared_nodes({decode.serving + decode.spare, all}, decode_gpus, prefill_gpus, rule.node_gpus) : decode.nodes + prefill.nodes;
  if (shared && rule.whole_nodes) decode.gpus = decode.nodes * rule.node_gpus;
  decode.spare_gpus = decode.gpus - decode.serving * decode_gpus - prefill.serving * prefill_gpus;
  decode.prefill = prefill;
  return decode;
}

PlanSize with_spares_up(PlanSize size, int replica_gpus, int prefill_replica_gpus) {
  const int prefill = size.prefill.spare * prefill_replica_gpus;
  size.spare_gpus -= size.spare * replica_gpus + prefill;
  size.prefill.spare_gpus -= prefill;
  return size;
}

}  // namespace moeplan
