#include "hardware/topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/graph/compressed_sparse_row_graph.hpp>
#include <boost/graph/dijkstra_shortest_paths.hpp>
#include <limits>

#include "base/error.hpp"
#include "hardware/topology_builder.hpp"

namespace moeplan {
namespace {

struct EdgeWeight {
  std::int32_t hops = 1;
};
using Graph = boost::compressed_sparse_row_graph<boost::directedS, boost::no_property, EdgeWeight, boost::no_property, std::int32_t, std::int32_t>;
using Vertex = boost::graph_traits<Graph>::vertex_descriptor;
using Edge = boost::graph_traits<Graph>::edge_descriptor;

// A hop over the network outweighs every detour inside a node, so that GPUs sharing a NIC do not talk through it.
constexpr std::int32_t kNetworkHop = 100'000;
// The host's memory is no way from GPU to GPU.
constexpr std::int32_t kHostHop = 100 * kNetworkHop;

std::int32_t hops_of(const BuiltLink& link, const std::vector<int>& is_nic) {
  if (link.link.kind == LinkKind::kHost) return kHostHop;
  const bool network = link.link.kind == LinkKind::kNic || link.link.kind == LinkKind::kSpine || is_nic[static_cast<std::size_t>(link.from)] != 0 ||
                       is_nic[static_cast<std::size_t>(link.to)] != 0;
  return network ? kNetworkHop : 1;
}

Graph make_graph(const BuiltTopology& built) {
  std::vector<int> is_nic(built.vertices.size(), 0);
  for (const BuiltLink& l : built.links) {
    if (l.link.kind == LinkKind::kNic) is_nic[static_cast<std::size_t>(l.from)] = is_nic[static_cast<std::size_t>(l.to)] = 1;
  }
  std::vector<std::pair<std::int32_t, std::int32_t>> ends;
  std::vector<EdgeWeight> weights;
  for (const BuiltLink& l : built.links) {
    ends.emplace_back(l.from, l.to);
    weights.push_back({hops_of(l, is_nic)});
  }
  return {boost::edges_are_sorted, ends.begin(), ends.end(), weights.begin(), static_cast<std::int32_t>(built.vertices.size())};
}

// Records over which edge each vertex was reached; stops the search at the target.
struct PathRecorder : boost::dijkstra_visitor<> {
  struct Found {};
  PathRecorder(std::vector<Edge>& edges_in, Vertex target_in) : edges(&edges_in), target(target_in) {}
  void edge_relaxed(Edge edge, const Graph& graph) const { (*edges)[static_cast<std::size_t>(boost::target(edge, graph))] = edge; }
  void examine_vertex(Vertex vertex, const Graph&) const {
    if (vertex == target) throw Found{};
  }
  std::vector<Edge>* edges;
  Vertex target;
};

}  // namespace

std::string_view to_string(LinkKind kind) {
  switch (kind) {
    case LinkKind::kScaleUp: return "scale_up";
    case LinkKind::kPcie: return "pcie";
    case LinkKind::kSocket: return "socket";
    case LinkKind::kHost: return "host";
    case LinkKind::kNic: return "nic";
    case LinkKind::kSpine: return "spine";
  }
  MOEPLAN_CHECK(false);
  return {};
}

struct Topology::Impl {
  NodeSpec node;
  FabricConfig fabric;
  int gpus = 0;
  int nodes = 0;
  std::vector<int> gpu_vertex;
  std::vector<int> host_vertex;
  std::vector<Link> links;
  Graph graph;

  void check_range(int first, int count) const { MOEPLAN_CHECK(first >= 0 && count >= 1 && first <= gpus - count); }

  // Links on the shortest way between two vertices that are connected.
  [[nodiscard]] std::vector<std::int32_t> way(int from, int to) const {
    std::vector<std::int32_t> out;
    if (from == to) return out;
    const auto source = static_cast<Vertex>(from);
    const auto target = static_cast<Vertex>(to);
    std::vector<Edge> reached_over(static_cast<std::size_t>(boost::num_vertices(graph)));
    bool found = false;
    try {
      boost::dijkstra_shortest_paths(graph, source, boost::weight_map(boost::get(&EdgeWeight::hops, graph)).visitor(PathRecorder(reached_over, target)));
    } catch (const PathRecorder::Found&) {
      found = true;
    }
    MOEPLAN_CHECK(found);
    for (Vertex at = target; at != source;) {
      const Edge edge = reached_over[static_cast<std::size_t>(at)];
      out.push_back(static_cast<std::int32_t>(boost::get(boost::edge_index, graph, edge)));
      at = boost::source(edge, graph);
    }
    std::reverse(out.begin(), out.end());
    return out;
  }

  // Most members of the group that share one thing (a port, a socket, a leaf), by `key` of node number and local GPU.
  template <class Key>
  int fullest(int first, int count, Key key) const {
    int most = 0, current = 0, previous = -1;
    for (int gpu = first; gpu < first + count; ++gpu) {
      const int k = key(gpu / node.gpus, gpu % node.gpus);
      current = k == previous ? current + 1 : 1;
      previous = k;
      most = std::max(most, current);
    }
    return most;
  }
};

Topology::Topology(const ClusterSpec& cluster) : impl_(std::make_unique<Impl>()) {
  const FabricConfig& fabric = cluster.fabric;
  if (fabric.nodes_per_leaf < 1) throw InputError("cluster", fmt::format("found {} nodes per leaf switch, accepted: 1 or more", fabric.nodes_per_leaf));
  if (!(fabric.oversubscription >= 1.0 && fabric.oversubscription <= 1000.0)) {
    throw InputError("cluster", fmt::format("found an oversubscription of {:g}, accepted: 1 to 1000", fabric.oversubscription));
  }
  Impl& self = *impl_;
  self.node = cluster.node;
  self.fabric = fabric;
  self.gpus = cluster.gpus;
  self.nodes = nodes_for(cluster.node, cluster.gpus);
  BuiltTopology built = build_topology(cluster, self.nodes);
  self.graph = make_graph(built);
  self.gpu_vertex = std::move(built.gpu_vertex);
  self.host_vertex = std::move(built.host_vertex);
  self.links.reserve(built.links.size());
  for (BuiltLink& l : built.links) self.links.push_back(std::move(l.link));
}

Topology::~Topology() = default;
Topology::Topology(Topology&&) noexcept = default;
Topology& Topology::operator=(Topology&&) noexcept = default;

int Topology::gpus() const { return impl_->gpus; }
int Topology::nodes() const { return impl_->nodes; }
int Topology::node_of(int gpu) const {
  impl_->check_range(gpu, 1);
  return gpu / impl_->node.gpus;
}
int Topology::gpus_per_node() const { return impl_->node.gpus; }
const std::vector<Link>& Topology::links() const { return impl_->links; }

std::vector<std::int32_t> Topology::path(int from, int to) const {
  impl_->check_range(from, 1);
  impl_->check_range(to, 1);
  return impl_->way(impl_->gpu_vertex[static_cast<std::size_t>(from)], impl_->gpu_vertex[static_cast<std::size_t>(to)]);
}

std::vector<std::int32_t> Topology::path_to_host(int gpu) const {
  const auto node = static_cast<std::size_t>(node_of(gpu));
  if (impl_->host_vertex.empty()) return {};
  return impl_->way(impl_->gpu_vertex[static_cast<std::size_t>(gpu)], impl_->host_vertex[node]);
}

std::vector<std::int32_t> Topology::path_from_host(int gpu) const {
  const auto node = static_cast<std::size_t>(node_of(gpu));
  if (impl_->host_vertex.empty()) return {};
  return impl_->way(impl_->host_vertex[node], impl_->gpu_vertex[static_cast<std::size_t>(gpu)]);
}

BytesPerSecond Topology::bottleneck(int from, int to) const {
  MOEPLAN_CHECK(from != to);
  BytesPerSecond narrowest(std::numeric_limits<double>::infinity());
  for (const std::int32_t index : path(from, to)) narrowest = std::min(narrowest, impl_->links[static_cast<std::size_t>(index)].capacity);
  return narrowest;
}

int Topology::nodes_spanned(int first, int count) const {
  impl_->check_range(first, count);
  return node_of(first + count - 1) - node_of(first) + 1;
}

BytesPerSecond Topology::intra_node_bandwidth(int first, int count) const {
  MOEPLAN_CHECK(nodes_spanned(first, count) == 1);
  if (count == 1) return BytesPerSecond(0);
  const NodeSpec& node = impl_->node;
  const double n = count;
  switch (node.topology) {
    case ScaleUpTopology::kSingle: return BytesPerSecond(0);
    case ScaleUpTopology::kSwitch:
    case ScaleUpTopology::kRackSwitch: return node.scale_up_bandwidth;
    case ScaleUpTopology::kFullMesh: return node.scale_up_bandwidth * ((n - 1) / (node.gpus - 1));
    case ScaleUpTopology::kPcieTree: {
      const double here = impl_->fullest(first, count, [&](int, int local) { return socket_of(node, local); });
      if (here >= n) return node.scale_up_bandwidth;
      // `here` members send (n - here) / (n - 1) of their traffic over the links of their socket, one to each other socket in use.
      const int others = socket_of(node, (first + count - 1) % node.gpus) - socket_of(node, first % node.gpus);
      const BytesPerSecond crossing = node.socket_bandwidth * (others * (n - 1) / (here * (n - here)));
      return std::min(node.scale_up_bandwidth, crossing);
    }
    case ScaleUpTopology::kTorus: {
      // A group fills the dimensions in order; links of dimensions it does not extend over carry nothing.
      std::size_t used = 0;
      for (int filled = 1; used < node.torus.size() && filled < count; ++used) filled *= node.torus[used];
      return node.scale_up_bandwidth * (static_cast<double>(used) / static_cast<double>(node.torus.size()));
    }
  }
  MOEPLAN_CHECK(false);
  return BytesPerSecond(0);
}

BytesPerSecond Topology::cross_node_bandwidth(int first, int count) const {
  if (nodes_spanned(first, count) == 1) return BytesPerSecond(0);
  const NodeSpec& node = impl_->node;
  const FabricConfig& fabric = impl_->fabric;
  const int per_port = impl_->fullest(first, count, [&](int n, int local) { return n * nic_ports(node) + port_of(node, local); });
  BytesPerSecond share = port_bandwidth(node) / static_cast<double>(per_port);
  if (node.pcie_bandwidth.value() > 0) share = std::min(share, node.pcie_bandwidth);
  const int leaves = node_of(first + count - 1) / fabric.nodes_per_leaf - node_of(first) / fabric.nodes_per_leaf + 1;
  if (leaves == 1) return share;
  const int per_leaf = impl_->fullest(first, count, [&](int n, int) { return n / fabric.nodes_per_leaf; });
  const int rails = fabric.kind == FabricKind::kRail ? nic_ports(node) : 1;
  return std::min(share, uplink_bandwidth(node, fabric) * (static_cast<double>(rails) / static_cast<double>(per_leaf)));
}

}  // namespace moeplan
