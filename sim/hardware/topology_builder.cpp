#include "hardware/topology_builder.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {
namespace {

class Builder {
 public:
  Builder(const NodeSpec& node, const FabricConfig& fabric) : node_(node), fabric_(fabric) {}

  void add_node(int index) {
    const std::string prefix = "node" + std::to_string(index) + ".";
    const int first = static_cast<int>(out_.vertices.size());
    for (int i = 0; i < node_.gpus; ++i) out_.gpu_vertex.push_back(vertex(prefix + "gpu" + std::to_string(i)));
    switch (node_.topology) {
      case ScaleUpTopology::kSingle: break;
      case ScaleUpTopology::kSwitch:
      case ScaleUpTopology::kRackSwitch: add_switch(prefix, first); break;
      case ScaleUpTopology::kFullMesh: add_full_mesh(first); break;
      case ScaleUpTopology::kPcieTree: add_pcie_tree(prefix, first); break;
      case ScaleUpTopology::kTorus: add_torus(first); break;
    }
    if (node_.host_bandwidth.value() > 0) add_host(prefix, first);
    if (node_.nics > 0) add_nics(prefix, first, index);
  }

  void add_spine() {
    if (leaves_.size() < 2) return;
    const int spine = vertex("spine");
    for (const int leaf : leaves_) connect(leaf, spine, LinkKind::kSpine, uplink_bandwidth(node_, fabric_));
  }

  BuiltTopology take() {
    // Links keep the order in which they were made within a vertex, so equal paths resolve the same way everywhere.
    std::stable_sort(out_.links.begin(), out_.links.end(), [](const BuiltLink& a, const BuiltLink& b) { return a.from < b.from; });
    return std::move(out_);
  }

 private:
  int vertex(std::string name) {
    out_.vertices.push_back(std::move(name));
    return static_cast<int>(out_.vertices.size()) - 1;
  }

  void one_way(int from, int to, LinkKind kind, BytesPerSecond capacity) {
    const auto name = [&](int v) { return out_.vertices[static_cast<std::size_t>(v)]; };
    out_.links.push_back({from, to, {name(from) + ">" + name(to), kind, capacity}});
  }

  void connect(int a, int b, LinkKind kind, BytesPerSecond capacity) {
    one_way(a, b, kind, capacity);
    one_way(b, a, kind, capacity);
  }

  void add_switch(const std::string& prefix, int first) {
    const int hub = vertex(prefix + "switch");
    for (int i = 0; i < node_.gpus; ++i) connect(first + i, hub, LinkKind::kScaleUp, node_.scale_up_bandwidth);
  }

  void add_full_mesh(int first) {
    const BytesPerSecond pair = node_.scale_up_bandwidth / static_cast<double>(node_.gpus - 1);
    for (int i = 0; i < node_.gpus; ++i) {
      for (int j = i + 1; j < node_.gpus; ++j) connect(first + i, first + j, LinkKind::kScaleUp, pair);
    }
  }

  void add_pcie_tree(const std::string& prefix, int first) {
    std::vector<int>& roots = roots_;
    roots.clear();
    for (int r = 0; r < node_.root_complexes; ++r) roots.push_back(vertex(prefix + "root" + std::to_string(r)));
    for (int i = 0; i < node_.gpus; ++i) {
      connect(first + i, roots[static_cast<std::size_t>(socket_of(node_, i))], LinkKind::kPcie, node_.scale_up_bandwidth);
    }
    for (std::size_t a = 0; a < roots.size(); ++a) {
      for (std::size_t b = a + 1; b < roots.size(); ++b) connect(roots[a], roots[b], LinkKind::kSocket, node_.socket_bandwidth);
    }
  }

  void add_torus(int first) {
    // Per direction a GPU's bandwidth is split over two neighbours in every dimension; a dimension of 2 has one neighbour with both links.
    const BytesPerSecond link = node_.scale_up_bandwidth / (2.0 * static_cast<double>(node_.torus.size()));
    for (int i = 0; i < node_.gpus; ++i) {
      int stride = 1;
      for (const int size : node_.torus) {
        const int coordinate = i / stride % size;
        const int next = i + (coordinate + 1 == size ? 1 - size : 1) * stride;
        if (size > 2 || coordinate == 0) connect(first + i, first + next, LinkKind::kScaleUp, size > 2 ? link : link * 2.0);
        stride *= size;
      }
    }
  }

  void add_host(const std::string& prefix, int first) {
    const int host = vertex(prefix + "host");
    out_.host_vertex.push_back(host);
    if (node_.topology == ScaleUpTopology::kPcieTree) {
      // A GPU's slot carries what it exchanges with its peers and with the host; memory behind the root complex keeps up with all slots.
      for (const int root : roots_) connect(root, host, LinkKind::kHost, node_.host_bandwidth * static_cast<double>(node_.gpus));
      return;
    }
    for (int i = 0; i < node_.gpus; ++i) connect(first + i, host, LinkKind::kHost, node_.host_bandwidth);
  }

  void add_nics(const std::string& prefix, int first, int index) {
    const bool rails = fabric_.kind == FabricKind::kRail;
    if (index % fabric_.nodes_per_leaf == 0) {
      const std::string leaf = "leaf" + std::to_string(index / fabric_.nodes_per_leaf);
      lowest_leaf_ = leaves_.size();
      for (int p = 0; p < (rails ? nic_ports(node_) : 1); ++p) leaves_.push_back(vertex(rails ? leaf + ".rail" + std::to_string(p) : leaf));
    }
    std::vector<int> ports;
    for (int p = 0; p < nic_ports(node_); ++p) {
      ports.push_back(vertex(prefix + "nic" + std::to_string(p)));
      connect(ports.back(), leaves_[lowest_leaf_ + static_cast<std::size_t>(rails ? p : 0)], LinkKind::kNic, port_bandwidth(node_));
    }
    for (int i = 0; i < node_.gpus; ++i) {
      // Where the catalogue names no PCIe rate (integrated ports) the port itself is the limit.
      const BytesPerSecond bus = node_.pcie_bandwidth.value() > 0 ? node_.pcie_bandwidth : port_bandwidth(node_);
      connect(first + i, ports[static_cast<std::size_t>(port_of(node_, i))], LinkKind::kPcie, bus);
    }
  }

  const NodeSpec& node_;
  const FabricConfig& fabric_;
  BuiltTopology out_;
  std::vector<int> leaves_;
  std::size_t lowest_leaf_ = 0;  ///< first leaf of the current group of nodes
  std::vector<int> roots_;       ///< root complexes of the node being built
};

}  // namespace

int nic_ports(const NodeSpec& node) { return std::min(node.nics, node.gpus); }

int port_of(const NodeSpec& node, int local_gpu) { return static_cast<int>(static_cast<std::int64_t>(local_gpu) * nic_ports(node) / node.gpus); }

BytesPerSecond port_bandwidth(const NodeSpec& node) {
  return node.nic_bandwidth * (static_cast<double>(node.nics) / static_cast<double>(nic_ports(node)));
}

BytesPerSecond uplink_bandwidth(const NodeSpec& node, const FabricConfig& fabric) {
  const double down = static_cast<double>(node.nics) * fabric.nodes_per_leaf / (fabric.kind == FabricKind::kRail ? nic_ports(node) : 1);
  return node.nic_bandwidth * (down / fabric.oversubscription);
}

int socket_of(const NodeSpec& node, int local_gpu) {
  return static_cast<int>(static_cast<std::int64_t>(local_gpu) * node.root_complexes / node.gpus);
}

BuiltTopology build_topology(const ClusterSpec& cluster, int nodes) {
  Builder builder(cluster.node, cluster.fabric);
  for (int i = 0; i < nodes; ++i) builder.add_node(i);
  builder.add_spine();
  return builder.take();
}

}  // namespace moeplan
