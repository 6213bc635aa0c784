#include "study/scenario_network.hpp"

#include <fmt/core.h>

namespace moeplan {
namespace {

// Host to device copies over PCIe reach 25-26 of 32 and 55.6 of 64 GB/s (nvbandwidth: issues 42 and 50, NVIDIA's example).
constexpr double kAchievedLink = 0.83;

ExpertParallelComm communication_of(const std::string& name) {
  for (const auto comm : {ExpertParallelComm::kAllToAll, ExpertParallelComm::kDeepEp, ExpertParallelComm::kNvlinkOneSided, ExpertParallelComm::kNvlinkTwoSided}) {
    if (to_string(comm) == name) return comm;
  }
  return ExpertParallelComm::kAllGatherReduceScatter;
}

}  // namespace

FabricConfig parse_fabric(const JsonReader& cluster) {
  FabricConfig fabric;
  if (!cluster.has("network")) return fabric;
  const JsonReader network = cluster.at("network");
  if (network.string("kind", "leaf_spine") == "rail") {
    fabric.kind = FabricKind::kRail;
    fabric.nodes_per_leaf = 32;
  }
  fabric.nodes_per_leaf = static_cast<int>(network.integer("leaf_nodes", fabric.nodes_per_leaf));
  fabric.oversubscription = network.number("oversubscription", 1.0);
  return fabric;
}

void apply_communication(const JsonReader& deployment, EngineProfile& engine) {
  if (deployment.has("expert_communication")) engine.expert_comm = communication_of(deployment.string("expert_communication"));
  if (!deployment.has("overlap")) return;
  const JsonReader overlap = deployment.at("overlap");
  engine.overlap.two_batch = overlap.boolean("two_batch", engine.overlap.two_batch);
  engine.overlap.shared_expert = overlap.boolean("shared_expert", engine.overlap.shared_expert);
}

void check_communication(const JsonReader& deployment, const DeploymentConfig& config) {
  if (!deployment.has("expert_communication")) return;
  const ExpertParallelComm comm = communication_of(deployment.string("expert_communication"));
  if (comm != ExpertParallelComm::kNvlinkOneSided && comm != ExpertParallelComm::kNvlinkTwoSided) return;
  const ParallelLayout& layout = config.layout;
  if (!config.model.is_moe() || layout.attention_data == 1 || layout.expert == 1) return;  // not used
  const NodeSpec& node = config.cluster.node;
  const int gpus = layout.tensor * layout.attention_data;
  const JsonReader at = deployment.at("expert_communication");
  const char* others = "accepted here: all_gather_reduce_scatter, all_to_all, deep_ep";
  if (node.topology == ScaleUpTopology::kPcieTree) at.fail(fmt::format("node '{}' has no NVLink switch; {}", node.id, others));
  if (gpus <= node.gpus) return;
  at.fail(fmt::format("the {} GPUs that exchange tokens (tensor {} x attention_data {}) lie on {} nodes, and no NVLink domain spans nodes of '{}' ({} GPUs each); {}, or a node as large as that", gpus,
                      layout.tensor, layout.attention_data, nodes_for(node, gpus), node.id, node.gpus, others));
}

std::optional<OffloadConfig> parse_offload(const JsonReader& deployment, const DeploymentConfig& config) {
  if (!deployment.has("offload")) return std::nullopt;
  const JsonReader reader = deployment.at("offload");
  const MoeSpec* moe = config.model.moe();
  if (moe == nullptr || moe->soft_routing) reader.fail(fmt::format("'{}' has no routed experts to keep in host memory", config.model.id));
  OffloadConfig offload;
  offload.resident_share = reader.number("resident_share");
  const std::string cache = reader.string("cache", "lru");
  if (cache == "lfu") offload.cache = ExpertCachePolicy::kLfu;
  if (cache == "pinned_hot") offload.cache = ExpertCachePolicy::kPinnedHot;
  offload.prefetch_hit_rate = reader.number("prefetch_hit_rate", 0.0);
  offload.cpu_execution = reader.boolean("cpu_execution", false);
  const NodeSpec& node = config.cluster.node;
  if (reader.has("link")) {
    offload.link = reader.bandwidth("link").value();
  } else if (node.host_bandwidth.value() > 0) {
    offload.link = node.host_bandwidth.value() * kAchievedLink;
  } else {
    reader.fail(fmt::format("node '{}' names no pcie_bandwidth or host_bandwidth: state the \"link\"", node.id));
  }
  offload.cpu_bandwidth = reader.has("cpu_bandwidth") ? reader.bandwidth("cpu_bandwidth").value() : kDefaultCpuBandwidth;
  if (!(offload.link >= 1e6 && offload.link <= 1e15)) reader.fail("found a link outside 1 MB/s to 1 PB/s");
  return offload;
}

}  // namespace moeplan
