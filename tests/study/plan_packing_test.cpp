// How replicas lie on nodes: examples by hand, and every packing beside every way to spread replicas.
#include "study/plan_packing.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

using namespace moeplan;

namespace {

PackingRule by_gpu() { return {8, false}; }
PackingRule by_node() { return {8, true}; }
PackingNeed serving(int replicas, int down = 0) { return {replicas, down, 0, 0}; }

/// Whether replicas so spread, the fullest node first, are enough when the fullest nodes are missing.
bool meets(const std::vector<int>& on, const PackingNeed& need) {
  const auto left = [&](int missing) { return std::accumulate(on.begin() + std::min<int>(missing, static_cast<int>(on.size())), on.end(), 0); };
  return left(need.down) >= need.serving && left(need.down + need.more_down) >= need.least;
}

struct Least {
  int replicas = std::numeric_limits<int>::max(), nodes = std::numeric_limits<int>::max();
};

/// Every way to spread up to `most` replicas over up to `most_nodes` nodes: fewest replicas then nodes, or (`nodes_first`) the other way round.
Least exhaustive(int per_node, const PackingNeed& need, int most, int most_nodes, bool nodes_first) {
  Least best;
  std::vector<int> on;
  const std::function<void(int)> place = [&](int left) {
    const int all = most - left;
    const auto nodes = static_cast<int>(on.size());
    const auto rank = [&](int replicas, int used) { return nodes_first ? std::pair(used, replicas) : std::pair(replicas, used); };
    if (meets(on, need) && rank(all, nodes) < rank(best.replicas, best.nodes)) best = {all, nodes};
    if (nodes == most_nodes) return;
    for (int n = 1; n <= std::min({per_node, left, on.empty() ? per_node : on.back()}); ++n) {
      on.push_back(n);
      place(left - n);
      on.pop_back();
    }
  };
  place(most);
  return best;
}

}  // namespace

TEST_CASE("replicas fill nodes, and the GPUs that a full node has left over are paid for") {
  // 3 GPUs each on nodes of 8: two on a node, two GPUs of it stranded
  const ReplicaPacking p = pack_replicas(3, 8);
  CHECK(p.replicas_per_node == 2);
  CHECK(pack(p, by_gpu(), serving(1)).gpus == 3);
  CHECK(pack(p, by_gpu(), serving(2)).gpus == 8);
  CHECK(pack(p, by_gpu(), serving(3)).gpus == 11);
  CHECK(pack(p, by_gpu(), serving(3)).nodes == 2);
  // 12 GPUs each: two nodes a replica, charged whole; 16: nothing left over
  CHECK(pack(pack_replicas(12, 8), by_gpu(), serving(3)).gpus == 48);
  CHECK(pack(pack_replicas(16, 8), by_gpu(), serving(3)).gpus == 48);
  CHECK(nodes_of(3, 3, 8) == 2);
  CHECK(nodes_of(3, 12, 8) == 6);
}

TEST_CASE("a spare node need not be full: what is rented by the GPU is spread until a failure costs one replica") {
  // five replicas of two GPUs: 4 + 1 on full nodes and four spares were 18 GPUs; one on each of six nodes are 12
  const PlanSize five = pack(pack_replicas(2, 8), by_gpu(), serving(5, 1));
  CHECK(five.gpus == 12);
  CHECK(five.nodes == 6);
  CHECK(five.spare == 1);
  CHECK(five.spare_gpus == 2);
  // N+2: seven nodes
  CHECK(pack(pack_replicas(2, 8), by_gpu(), serving(5, 2)).gpus == 14);
  // racks for four nodes only: 2 + 2 + 2 + 2 of which six are left
  PackingRule room = by_gpu();
  room.most_nodes = 4;
  CHECK(pack(pack_replicas(2, 8), room, serving(5, 1)).gpus == 14);
  CHECK(pack(pack_replicas(2, 8), room, serving(6, 1)).gpus == 16);
  CHECK(pack(pack_replicas(2, 8), room, serving(6, 1)).nodes == 4);
  // a node is a replica: one node more
  CHECK(pack(pack_replicas(8, 8), by_gpu(), serving(3, 1)).gpus == 32);
  // a group over two nodes dies with either: one spare group, two for N+2
  CHECK(pack(pack_replicas(16, 8), by_gpu(), serving(3, 1)).spare == 1);
  CHECK(pack(pack_replicas(16, 8), by_gpu(), serving(3, 2)).gpus == 80);
}

TEST_CASE("bought nodes are bought whole, and as few as do") {
  // six replicas of two GPUs: without one of three nodes eight places are left, of which six are needed
  const PlanSize six = pack(pack_replicas(2, 8), by_node(), serving(6, 1));
  CHECK(six.nodes == 3);
  CHECK(six.gpus == 24);
  CHECK(six.spare == 3);  // 3 + 3 + 3
  CHECK(pack(pack_replicas(2, 8), by_node(), serving(1)).gpus == 8);
  CHECK(pack(pack_replicas(2, 8), by_node(), serving(1)).spare_gpus == 6);
}

TEST_CASE("maintenance in the calmest hour takes what lies on a node, and replicas are spread for it") {
  const ReplicaPacking one = pack_replicas(1, 8);
  // two replicas of one GPU, of which the calmest hour needs one: on one node both would go, on two nodes one is left
  const PlanSize two = pack(one, by_gpu(), {2, 0, 1, 1});
  CHECK(two.gpus == 2);
  CHECK(two.spare == 0);
  CHECK(two.nodes == 2);
  // both are needed then, too: three on three nodes
  CHECK(pack(one, by_gpu(), {2, 0, 2, 1}).gpus == 3);
  // ten on two nodes leave five, enough for four of them
  CHECK(pack(one, by_gpu(), {10, 0, 4, 1}).gpus == 10);
  CHECK(pack(one, by_gpu(), {10, 0, 4, 1}).nodes == 2);
  // beside a spare node: nine nodes of one replica; four of which are left of many
  CHECK(pack(one, by_gpu(), {8, 1, 4, 1}).gpus == 9);
  // bought: 8 of 12 are left without one of three nodes, 4 without two
  CHECK(pack(one, by_node(), {8, 1, 4, 1}).nodes == 3);
  // groups over two nodes each: any node takes one of them; with one in maintenance two are left of three
  CHECK(pack(pack_replicas(16, 8), by_gpu(), {2, 0, 2, 1}).gpus == 48);
  CHECK(pack(pack_replicas(16, 8), by_gpu(), {3, 0, 2, 1}).gpus == 48);
}

TEST_CASE("no way to spread replicas is cheaper than the one that is taken") {
  for (const int width : {1, 2, 4, 8}) {
    const ReplicaPacking packing = pack_replicas(width, 4);
    if (packing.nodes_per_replica > 1) continue;
    for (int replicas = 1; replicas <= 6; ++replicas) {
      for (int least = 0; least <= replicas; ++least) {
        for (const int down : {0, 1, 2}) {
          for (const int more : {0, 1}) {
            if (least > 0 && more == 0) continue;
            const PackingNeed need{replicas, down, least, more};
            CAPTURE(width);
            CAPTURE(replicas);
            CAPTURE(least);
            CAPTURE(down);
            const int most = replicas + 3 * packing.replicas_per_node;
            const PlanSize rented = pack(packing, {4, false}, need);
            const Least fewest = exhaustive(packing.replicas_per_node, need, most, 9, false);
            CHECK(rented.gpus == fewest.replicas * width);
            CHECK(rented.nodes == fewest.nodes);
            const PlanSize bought = pack(packing, {4, true}, need);
            CHECK(bought.nodes == exhaustive(packing.replicas_per_node, need, most, 9, true).nodes);
            CHECK(bought.gpus == bought.nodes * 4);
            // never more of them on more nodes
            for (int nodes = bought.nodes; nodes < 9; ++nodes) CHECK(replicas_on(packing, need, nodes + 1) <= replicas_on(packing, need, nodes));
          }
        }
      }
    }
  }
}

TEST_CASE("replicas of both pools share nodes where they fit, and a plan's proportion is kept") {
  // two of 2 GPUs for prefill and one of 4 that decodes: one node of 8; one of 8 more needs a node of its own
  CHECK(shared_nodes({1, 2}, 4, 2, 8) == 1);
  CHECK(shared_nodes({1, 1}, 8, 2, 8) == 2);
  // bought together: both on one node
  const PlanSize both = size_of_pools(pack(pack_replicas(2, 8), by_gpu(), serving(2)), 2, pack(pack_replicas(4, 8), by_gpu(), serving(1)), 4, true, by_node());
  CHECK(both.nodes == 1);
  CHECK(both.gpus == 8);
  CHECK(both.spare_gpus == 0);
  PlanSize size;
  size.serving = 6;
  size.prefill.serving = 3;
  const PlanProportion counts(size);
  CHECK(counts.most() == 9);
  CHECK(counts(9).serving == 6);
  CHECK(counts(9).prefill == 3);
  CHECK(counts(1).serving == 1);
  CHECK(counts(1).prefill == 1);
  CHECK(counts(18).serving == 12);
}
