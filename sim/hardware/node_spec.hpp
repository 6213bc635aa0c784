// A server or rack of accelerators, and the cluster built of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

enum class ScaleUpTopology : std::uint8_t {
  kSingle,      ///< one GPU
  kSwitch,      ///< non-blocking switch inside a server (NVSwitch)
  kFullMesh,    ///< a link for every pair (xGMI): a pair sees 1/(gpus-1) of the per-GPU bandwidth
  kPcieTree,    ///< PCIe under one or more sockets
  kRackSwitch,  ///< non-blocking switch over a rack (NVL72)
  kTorus,       ///< neighbour links that wrap around (TPU)
};
std::string_view to_string(ScaleUpTopology topology);

/// What carries bytes between nodes: whether cards start transfers for the GPU, or a proxy on the host does it message by message.
enum class NetworkTransport : std::uint8_t { kInfiniBand, kEfa };

struct NodeSpec {
  std::string id;
  std::string gpu;  ///< id of its accelerator
  int gpus = 1;
  ScaleUpTopology topology = ScaleUpTopology::kSingle;
  std::vector<int> torus;             ///< its dimensions; empty for other topologies
  int root_complexes = 1;             ///< of a PCIe tree: sockets that the GPUs are divided over
  BytesPerSecond socket_bandwidth;    ///< of a PCIe tree: per direction between two sockets
  BytesPerSecond scale_up_bandwidth;  ///< per GPU and direction, all links together; 0 for a single GPU
  int nics = 0;
  BytesPerSecond nic_bandwidth;        ///< each, per direction
  NetworkTransport transport = NetworkTransport::kInfiniBand;
  BytesPerSecond scale_out_bandwidth;  ///< per GPU and direction when all send
  BytesPerSecond pcie_bandwidth;       ///< per GPU and direction; 0 where there is none
  BytesPerSecond host_bandwidth;       ///< per GPU and direction to the host's memory (PCIe, or NVLink-C2C); 0 where it is not known
  Bytes host_memory{0};                ///< of the whole node; 0 where it is not known
  Bytes nvme{0};                       ///< local drives of the whole node; 0 where they are not known
  bool peer_to_peer = true;            ///< GPUs reach each other's memory; else what they exchange passes through the host's
  std::optional<double> max_watts;     ///< of the whole node
  std::string cpu;
  std::vector<std::string> sources;
  std::string notes;
};

/// How the network cards of several nodes are wired; the catalogue does not know it.
enum class FabricKind : std::uint8_t {
  kLeafSpine,  ///< all cards of a node go to one leaf switch
  kRail,       ///< card i of every node of a leaf group goes to the leaf switch of rail i
};
std::string_view to_string(FabricKind kind);

struct FabricConfig {
  FabricKind kind = FabricKind::kLeafSpine;
  int nodes_per_leaf = 4;         ///< nodes under one leaf switch (of each rail)
  double oversubscription = 1.0;  ///< bandwidth below a leaf switch over its bandwidth to the spine; 1 = non-blocking
};

/// `nodes` nodes of one kind, of which the first `gpus` accelerators may be used.
struct ClusterSpec {
  NodeSpec node;
  GpuSpec gpu;
  int nodes = 1;
  int gpus = 1;
  FabricConfig fabric{};
};

/// A cluster of `nodes` nodes of which `gpus` accelerators may be used (nothing: all of them). Throws InputError at `where`: the node holds
/// another GPU, more GPUs than the cluster has, several nodes without a network between them.
ClusterSpec make_cluster(NodeSpec node, GpuSpec gpu, int nodes, std::optional<int> gpus, std::string_view where);

/// The fewest nodes of this kind that hold `gpus` accelerators.
int nodes_for(const NodeSpec& node, int gpus);

}  // namespace moeplan
