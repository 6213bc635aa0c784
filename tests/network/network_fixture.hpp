// Clusters with round numbers: switched nodes with one 20 GB/s card per GPU, four nodes under a leaf switch.
#pragma once

#include "hardware/topology.hpp"

namespace moeplan::test {

inline ClusterSpec switched_nodes(int nodes, int gpus) {
  ClusterSpec cluster;
  cluster.node.id = "n";
  cluster.node.gpu = "g";
  cluster.node.gpus = gpus;
  cluster.node.topology = ScaleUpTopology::kSwitch;
  cluster.node.scale_up_bandwidth = BytesPerSecond(300e9);
  cluster.node.pcie_bandwidth = BytesPerSecond(60e9);
  cluster.node.host_bandwidth = BytesPerSecond(60e9);
  cluster.node.nics = gpus;
  cluster.node.nic_bandwidth = BytesPerSecond(20e9);
  cluster.node.scale_out_bandwidth = BytesPerSecond(20e9);
  cluster.nodes = nodes;
  cluster.gpus = nodes * gpus;
  return cluster;
}

}  // namespace moeplan::test
