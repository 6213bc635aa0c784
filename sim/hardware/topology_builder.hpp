// Vertices and directed links of a cluster before they become a graph: one function per kind of fabric.
#pragma once

#include <string>
#include <vector>

#include "hardware/topology.hpp"

namespace moeplan {

struct BuiltLink {
  int from = 0;
  int to = 0;
  Link link;
};

struct BuiltTopology {
  std::vector<std::string> vertices;  ///< names
  std::vector<int> gpu_vertex;        ///< by GPU number
  std::vector<int> host_vertex;       ///< memory of each node's host; empty where there is no way to it
  std::vector<BuiltLink> links;       ///< both directions, sorted by `from`
};

/// GPUs of one node that share NIC port `port` are those with port_of(...) == port. A node has min(nics, gpus) ports.
int nic_ports(const NodeSpec& node);
int port_of(const NodeSpec& node, int local_gpu);
/// Per direction, of one port (several NICs of one GPU count as one port).
BytesPerSecond port_bandwidth(const NodeSpec& node);
/// Per direction, from one leaf switch (of one rail) to the spine.
BytesPerSecond uplink_bandwidth(const NodeSpec& node, const FabricConfig& fabric);
/// Socket of a GPU in a PCIe tree.
int socket_of(const NodeSpec& node, int local_gpu);

BuiltTopology build_topology(const ClusterSpec& cluster, int nodes);

}  // namespace moeplan
