#include "study/host_memory.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "input/json_reader.hpp"
#include "model/weights.hpp"
#include "study/pools.hpp"

namespace moeplan {

namespace {

std::string size_text(double bytes) {
  const double gb = bytes / 1e9;
  return gb >= 1000 ? fmt::format("{:.4g} TB", gb / 1000) : fmt::format("{:.4g} GB", gb);
}

std::optional<std::string> shortage(const char* what, Bytes each, int gpus, Bytes has, const std::string& node) {
  if (has.value() == 0 || each.value() == 0 || each.as_double() * gpus <= has.as_double()) return std::nullopt;
  return fmt::format("{} GPUs of a node x {} are {} of {}, but node '{}' has {}; accepted: at most {} per GPU, or a node (path or object) that has more", gpus,
                     size_text(each.as_double()), size_text(each.as_double() * gpus), what, node, size_text(has.as_double()), size_text(has.as_double() / gpus));
}

/// What a node is asked for by the replicas of both pools that stand on it.
struct NodeDemand {
  double memory = 0, nvme = 0;
  int prefill = 0, decode = 0;  ///< GPUs
};

std::vector<NodeDemand> demand_by_node(const Scenario& scenario) {
  const DisaggregationSpec& pools = *scenario.disaggregation;
  const int per_node = scenario.deployment.cluster.node.gpus;
  std::vector<NodeDemand> nodes(static_cast<std::size_t>(scenario.deployment.cluster.nodes));
  std::vector<int> prefill, decode;
  for (const bool align : {true, false}) {
    int next = 0;
    prefill = place_from(pools.prefill_replicas, pools.prefill.layout.gpus(), per_node, align, next);
    decode = place_from(scenario.places(), scenario.deployment.layout.gpus(), per_node, align, next);
    if (next <= scenario.deployment.cluster.nodes * per_node) break;
  }
  const auto add = [&](const std::vector<int>& first_gpu, const DeploymentConfig& d, int NodeDemand::*count) {
    const HostDemand each = host_demand(d);
    for (const int first : first_gpu) {
      for (int gpu = first; gpu < first + d.layout.gpus(); ++gpu) {
        NodeDemand& node = nodes.at(std::min(nodes.size() - 1, static_cast<std::size_t>(gpu / per_node)));
        node.memory += each.memory.as_double();
        node.nvme += each.nvme.as_double();
        ++(node.*count);
      }
    }
  };
  add(prefill, pools.prefill, &NodeDemand::prefill);
  add(decode, scenario.deployment, &NodeDemand::decode);
  return nodes;
}

/// Pools on one cluster share its nodes: what both keep on one must fit.
void check_shared_nodes(const JsonReader& root, const Scenario& scenario) {
  const NodeSpec& node = scenario.deployment.cluster.node;
  const JsonReader deployment = root.at("deployment");
  for (const NodeDemand& d : demand_by_node(scenario)) {
    const auto check = [&](const char* what, double wanted, Bytes has) {
      if (has.value() == 0 || wanted <= has.as_double()) return;
      (deployment.has("kv_tiers") ? deployment.at("kv_tiers") : deployment.at("offload"))
          .fail(fmt::format("{} prefill and {} decode GPUs of a node keep {} of {}, but node '{}' has {}", d.prefill, d.decode, size_text(wanted), what, node.id,
                            size_text(has.as_double())));
    };
    check("host memory", d.memory, node.host_memory);
    check("NVMe", d.nvme, node.nvme);
  }
}

}  // namespace

HostDemand host_demand(const DeploymentConfig& config) {
  HostDemand demand;
  if (const auto& tiers = config.features.kv_tiers) demand = {tiers->host_memory, tiers->nvme};
  const MoeSpec* moe = config.model.moe();
  if (config.offload && moe != nullptr) {
    const int local = (moe->experts + config.layout.expert - 1) / config.layout.expert;
    const Bytes experts = weight_bytes_per_gpu(config.model, config.precision, config.layout).experts;
    demand.memory += Bytes(static_cast<std::int64_t>(experts.as_double() * (local - config.offload->resident(local)) / local));
  }
  return demand;
}

std::optional<std::string> host_shortage(const NodeSpec& node, const HostDemand& demand, int gpus) {
  const int held = std::min(gpus, node.gpus);
  if (auto text = shortage("host memory", demand.memory, held, node.host_memory, node.id)) return text;
  return shortage("NVMe", demand.nvme, held, node.nvme, node.id);
}

void check_host_memory(const JsonReader& root, const Scenario& scenario) {
  const auto check = [&](const DeploymentConfig& d, int gpus) {
    const auto text = host_shortage(d.cluster.node, host_demand(d), gpus);
    if (!text) return;
    const JsonReader deployment = root.at("deployment");
    (deployment.has("kv_tiers") ? deployment.at("kv_tiers") : deployment.at("offload")).fail(*text);
  };
  const auto own = [](const Scenario& s) { return s.places() * s.deployment.layout.gpus(); };
  check(scenario.deployment, own(scenario));
  if (const auto& pools = scenario.disaggregation) {
    const int prefill = pools->prefill_replicas * pools->prefill.layout.gpus();
    check(pools->prefill, prefill);
    if (!pools->own_cluster) check_shared_nodes(root, scenario);
  }
  if (scenario.others.empty()) return;
  // Deployments that all stand on one node share what it has.
  const NodeSpec& node = scenario.deployment.cluster.node;
  int gpus = own(scenario);
  double memory = host_demand(scenario.deployment).memory.as_double() * gpus;
  for (const Scenario& other : scenario.others) {
    gpus += own(other);
    memory += host_demand(other.deployment).memory.as_double() * own(other);
  }
  if (gpus > node.gpus || node.host_memory.value() == 0 || memory <= node.host_memory.as_double()) return;
  root.at("deployments").fail(fmt::format("all deployments together keep {} in host memory, but node '{}' has {}", size_text(memory), node.id, size_text(node.host_memory.as_double())));
}

}  // namespace moeplan
