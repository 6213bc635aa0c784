// A server or rack of accelerators, and the cluster built of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

enum class ScaleUpTopology : std::uint8_t { kSingle, kSwitch, kFullMesh, kPcieTree, kRackSwitch, kTorus };

struct NodeSpec {
  std::string id;
  std::string gpu;  ///< id of its accelerator
  int gpus = 1;
  ScaleUpTopology topology = ScaleUpTopology::kSingle;
  BytesPerSecond scale_up_bandwidth;  ///< per GPU and direction, all links together
  int nics = 0;
  BytesPerSecond nic_bandwidth;        ///< each, per direction
  BytesPerSecond scale_out_bandwidth;  ///< per GPU and direction
  BytesPerSecond pcie_bandwidth;       ///< per GPU and direction
  std::optional<double> max_watts;
  std::string cpu;
  std::vector<std::string> sources;
  std::string notes;
};

/// `nodes` nodes of one kind, of which the first `gpus` accelerators may be used.
struct ClusterSpec {
  NodeSpec node;
  GpuSpec gpu;
  int nodes = 1;
  int gpus = 1;
};

}  // namespace moeplan
