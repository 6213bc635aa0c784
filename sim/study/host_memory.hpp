// What a deployment keeps in the memory and on the drives of its hosts, KV tiers and offloaded experts, against what the node has.
#pragma once

#include <optional>
#include <string>

#include "study/scenario.hpp"

namespace moeplan {

class JsonReader;

/// Of one GPU.
struct HostDemand {
  Bytes memory{0}, nvme{0};
};
HostDemand host_demand(const DeploymentConfig& config);

/// Why a node that holds `gpus` GPUs with such demands (as many of them as it has places for) cannot; nothing when it can, or when the catalogue does
/// not know what it has.
std::optional<std::string> host_shortage(const NodeSpec& node, const HostDemand& demand, int gpus);

/// Throws InputError at kv_tiers or offload when a node of the scenario, with all deployments and pools on it, holds less than is asked.
void check_host_memory(const JsonReader& root, const Scenario& scenario);

}  // namespace moeplan
