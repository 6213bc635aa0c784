#include "study/shared_links.hpp"

#include <algorithm>
#include <set>

namespace moeplan {
namespace {

constexpr int kMostGpus = 1024;

}  // namespace

SharedLinks::SharedLinks(const Scenario& scenario) {
  const int gpus = scenario.deployment.layout.gpus();
  if (gpus < 2 || gpus > kMostGpus) return;
  ClusterSpec used = scenario.deployment.cluster;
  // Whole nodes, so that replicas need not straddle them where the cluster has room.
  const int per_node = used.node.gpus;
  const int replicas = std::min(scenario.replicas, std::max(1, kMostGpus / gpus));
  const int per_replica = (gpus + per_node - 1) / per_node * per_node;
  const int in_node = std::max(1, per_node / gpus);
  const int wanted = gpus >= per_node ? replicas * per_replica : (replicas + in_node - 1) / in_node * per_node;
  used.gpus = std::min(used.gpus, std::max(wanted, replicas * gpus));
  topology_ = std::make_unique<Topology>(used);
  PathTable paths(*topology_);
  std::set<std::int32_t> seen;
  for (const int first : place_replicas(*topology_, replicas, gpus)) {
    groups_.push_back(group_links(paths, first, gpus));
    for (const LinkUse& use : groups_.back().between) shared_ |= !seen.insert(use.link).second;
  }
  if (replicas < scenario.replicas) shared_ = false;
}

SharedLinks::SharedLinks(const ClusterSpec& cluster, const std::vector<int>& first_gpu, int gpus) {
  if (first_gpu.empty()) return;
  topology_ = std::make_unique<Topology>(cluster);
  PathTable paths(*topology_);
  for (const int first : first_gpu) groups_.push_back(group_links(paths, first, gpus));
}

std::unique_ptr<FlowNetwork> SharedLinks::make_network() const {
  if (!shared_) return nullptr;
  auto network = std::make_unique<FlowNetwork>(*topology_);
  for (const GroupLinks& group : groups_) network->add_load(group.between);
  return network;
}

}  // namespace moeplan
