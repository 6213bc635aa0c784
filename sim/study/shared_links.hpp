// The links under a scenario's replicas: where the replicas lie, what their groups use, and whether they share anything between nodes.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "network/flow_network.hpp"
#include "network/group_links.hpp"
#include "study/scenario.hpp"

namespace moeplan {

/// Replicas are placed on the nodes in order. Built for the GPUs in use; of more than a thousand, for the replicas on the first thousand (all
/// are alike). Immutable once built; each run makes its own FlowNetwork.
class SharedLinks {
 public:
  /// Nothing to watch for a replica of one GPU.
  explicit SharedLinks(const Scenario& scenario);
  /// Of groups of `gpus` GPUs at these places of all of `cluster`; nothing to watch without places.
  SharedLinks(const ClusterSpec& cluster, const std::vector<int>& first_gpu, int gpus);

  [[nodiscard]] const Topology* topology() const { return topology_.get(); }
  /// By replica; empty when not all replicas are covered or none has links.
  [[nodiscard]] const std::vector<GroupLinks>& groups() const { return groups_; }
  /// A network with the replicas' collectives as its loads, when any two share a link between nodes; else nothing.
  [[nodiscard]] std::unique_ptr<FlowNetwork> make_network() const;

 private:
  std::unique_ptr<Topology> topology_;
  std::vector<GroupLinks> groups_;
  bool shared_ = false;
};

}  // namespace moeplan
