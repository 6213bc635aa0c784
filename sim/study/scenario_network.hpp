// What a scenario says about the network between nodes, about communication hidden behind computation, and about experts in host memory.
#pragma once

#include "input/json_reader.hpp"
#include "study/scenario.hpp"

namespace moeplan {

/// At which a CPU reads weights where the scenario does not say: two channels of DDR5 in a workstation read 60-80 GB/s at best.
inline constexpr double kDefaultCpuBandwidth = 50e9;

/// `cluster.network`. Throws InputError.
FabricConfig parse_fabric(const JsonReader& cluster);

/// `deployment.expert_communication` and `deployment.overlap`, over the engine's defaults.
void apply_communication(const JsonReader& deployment, EngineProfile& engine);

/// Throws InputError where the deployment states an all-to-all over NVLink and the GPUs that exchange tokens do not share one NVLink domain.
void check_communication(const JsonReader& deployment, const DeploymentConfig& config);

/// `deployment.offload`; nothing without it. Throws InputError: no experts to offload, no way to the host's memory.
std::optional<OffloadConfig> parse_offload(const JsonReader& deployment, const DeploymentConfig& config);

}  // namespace moeplan
