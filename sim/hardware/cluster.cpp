#include <fmt/format.h>

#include "base/error.hpp"
#include "hardware/node_spec.hpp"

namespace moeplan {

std::string_view to_string(ScaleUpTopology topology) {
  switch (topology) {
    case ScaleUpTopology::kSingle: return "single";
    case ScaleUpTopology::kSwitch: return "switch";
    case ScaleUpTopology::kFullMesh: return "full_mesh";
    case ScaleUpTopology::kPcieTree: return "pcie_tree";
    case ScaleUpTopology::kRackSwitch: return "rack_switch";
    case ScaleUpTopology::kTorus: return "torus";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::string_view to_string(FabricKind kind) {
  switch (kind) {
    case FabricKind::kLeafSpine: return "leaf_spine";
    case FabricKind::kRail: return "rail";
  }
  MOEPLAN_CHECK(false);
  return {};
}

int nodes_for(const NodeSpec& node, int gpus) {
  MOEPLAN_CHECK(node.gpus > 0 && gpus > 0);
  return (gpus - 1) / node.gpus + 1;
}

ClusterSpec make_cluster(NodeSpec node, GpuSpec gpu, int nodes, std::optional<int> gpus, std::string_view where) {
  if (node.gpu != gpu.id) throw InputError(where, fmt::format("node '{}' holds GPU '{}', found GPU '{}'", node.id, node.gpu, gpu.id));
  if (nodes < 1) throw InputError(where, fmt::format("found {} nodes, accepted: 1 or more", nodes));
  if (nodes > 1 && node.nics == 0) {
    throw InputError(where, fmt::format("found {} nodes of '{}', which has no network, accepted: 1 node", nodes, node.id));
  }
  const std::int64_t all = static_cast<std::int64_t>(node.gpus) * nodes;
  if (all > 1'000'000) throw InputError(where, fmt::format("found a cluster of {} GPUs, accepted: 1000000 or fewer", all));
  const std::int64_t wanted = gpus ? *gpus : all;
  if (wanted < 1) throw InputError(where, fmt::format("found {} GPUs, accepted: 1 to {}", wanted, all));
  if (wanted > all) {
    throw InputError(where, fmt::format("found {} GPUs, but {} node{} of '{}' hold{} {} ({} nodes would be needed)", wanted, nodes, nodes == 1 ? "" : "s",
                                        node.id, nodes == 1 ? "s" : "", all, nodes_for(node, static_cast<int>(wanted))));
  }
  return {std::move(node), std::move(gpu), nodes, static_cast<int>(wanted), {}};
}

}  // namespace moeplan
