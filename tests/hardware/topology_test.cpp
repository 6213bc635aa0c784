#include "hardware/topology.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/error.hpp"
#include "hardware/profiles.hpp"

using namespace moeplan;

namespace {

constexpr double kGB = 1e9;

// Round numbers: `gpus` GPUs at 300 GB/s scale-up, PCIe 60 GB/s, `nics` NICs of 20 GB/s each.
ClusterSpec cluster(ScaleUpTopology topology, int gpus, int nodes, int nics) {
  ClusterSpec out;
  out.node.id = "n";
  out.node.gpu = "g";
  out.node.gpus = gpus;
  out.node.topology = topology;
  out.node.scale_up_bandwidth = BytesPerSecond(300 * kGB);
  out.node.pcie_bandwidth = BytesPerSecond(60 * kGB);
  out.node.socket_bandwidth = BytesPerSecond(100 * kGB);
  out.node.nics = nics;
  out.node.nic_bandwidth = BytesPerSecond(20 * kGB);
  out.node.scale_out_bandwidth = BytesPerSecond(20 * kGB * nics / gpus);
  out.nodes = nodes;
  out.gpus = gpus * nodes;
  return out;
}

std::vector<std::string> names(const Topology& topology, int from, int to) {
  std::vector<std::string> out;
  for (const std::int32_t link : topology.path(from, to)) out.push_back(topology.links()[static_cast<std::size_t>(link)].name);
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a switch gives every pair and every group the full bandwidth of a GPU") {
  const Topology topology(cluster(ScaleUpTopology::kSwitch, 8, 1, 8));
  CHECK(names(topology, 1, 6) == Names{"node0.gpu1>node0.switch", "node0.switch>node0.gpu6"});
  CHECK(topology.path(3, 3).empty());
  CHECK(topology.bottleneck(1, 6).value() == doctest::Approx(300 * kGB));
  CHECK(topology.intra_node_bandwidth(0, 2).value() == doctest::Approx(300 * kGB));
  CHECK(topology.intra_node_bandwidth(0, 8).value() == doctest::Approx(300 * kGB));
  CHECK(topology.intra_node_bandwidth(0, 1).value() == 0);
  CHECK(topology.cross_node_bandwidth(0, 8).value() == 0);
}

TEST_CASE("in a full mesh of 4 a pair sees a third of a GPU's bandwidth and the whole group all of it") {
  const Topology topology(cluster(ScaleUpTopology::kFullMesh, 4, 1, 4));
  CHECK(names(topology, 0, 3) == Names{"node0.gpu0>node0.gpu3"});
  CHECK(topology.bottleneck(0, 3).value() == doctest::Approx(100 * kGB));
  CHECK(topology.intra_node_bandwidth(0, 2).value() == doctest::Approx(100 * kGB));
  CHECK(topology.intra_node_bandwidth(1, 3).value() == doctest::Approx(200 * kGB));
  CHECK(topology.intra_node_bandwidth(0, 4).value() == doctest::Approx(300 * kGB));
}

TEST_CASE("a PCIe tree is limited by the slot within a socket and by the socket link across") {
  ClusterSpec spec = cluster(ScaleUpTopology::kPcieTree, 8, 1, 1);  // one NIC, reachable from both sockets
  spec.node.root_complexes = 2;
  spec.node.scale_up_bandwidth = BytesPerSecond(60 * kGB);
  const Topology topology(spec);
  CHECK(names(topology, 0, 1) == Names{"node0.gpu0>node0.root0", "node0.root0>node0.gpu1"});
  CHECK(names(topology, 3, 4) == Names{"node0.gpu3>node0.root0", "node0.root0>node0.root1", "node0.root1>node0.gpu4"});
  CHECK(topology.bottleneck(3, 4).value() == doctest::Approx(60 * kGB));
  CHECK(topology.intra_node_bandwidth(0, 4).value() == doctest::Approx(60 * kGB));
  // 4 + 4: each GPU sends 4/7 of its traffic across, four GPUs share 100 GB/s: 100 / 4 x 7/4 = 43.75 GB/s.
  CHECK(topology.intra_node_bandwidth(0, 8).value() == doctest::Approx(43.75 * kGB));
  // 1 + 1: all of it crosses, alone on the link.
  CHECK(topology.intra_node_bandwidth(3, 2).value() == doctest::Approx(60 * kGB));
}

TEST_CASE("a torus path takes the shorter way round, and a group along one dimension uses its links only") {
  ClusterSpec spec = cluster(ScaleUpTopology::kTorus, 16, 1, 0);
  spec.node.torus = {4, 4};
  const Topology topology(spec);
  // 300 GB/s over 2 neighbours in each of 2 dimensions.
  CHECK(topology.bottleneck(0, 1).value() == doctest::Approx(75 * kGB));
  CHECK(names(topology, 0, 3) == Names{"node0.gpu0>node0.gpu3"});
  CHECK(names(topology, 0, 12) == Names{"node0.gpu0>node0.gpu12"});
  CHECK(topology.path(0, 10).size() == 4);  // two steps in each dimension
  CHECK(topology.links().size() == 64);     // 16 GPUs x 4 neighbours
  CHECK(topology.intra_node_bandwidth(0, 4).value() == doctest::Approx(150 * kGB));
  CHECK(topology.intra_node_bandwidth(0, 16).value() == doctest::Approx(300 * kGB));
}

TEST_CASE("a dimension of two has one neighbour with the bandwidth of both links") {
  ClusterSpec spec = cluster(ScaleUpTopology::kTorus, 8, 1, 0);
  spec.node.torus = {2, 4};
  const Topology topology(spec);
  CHECK(topology.bottleneck(0, 1).value() == doctest::Approx(150 * kGB));
  CHECK(topology.bottleneck(0, 2).value() == doctest::Approx(75 * kGB));
  CHECK(topology.links().size() == 8 * 3);
}

TEST_CASE("between nodes a path leaves through the GPU's NIC, and stays under one leaf when it can") {
  const Topology topology(cluster(ScaleUpTopology::kSwitch, 2, 8, 2));
  CHECK(topology.nodes() == 8);
  CHECK(names(topology, 0, 3) == Names{"node0.gpu0>node0.nic0", "node0.nic0>leaf0", "leaf0>node1.nic1", "node1.nic1>node1.gpu1"});
  CHECK(names(topology, 1, 9) ==
        Names{"node0.gpu1>node0.nic1", "node0.nic1>leaf0", "leaf0>spine", "spine>leaf1", "leaf1>node4.nic1", "node4.nic1>node4.gpu1"});
  CHECK(topology.bottleneck(0, 3).value() == doctest::Approx(20 * kGB));
  CHECK(topology.bottleneck(1, 9).value() == doctest::Approx(20 * kGB));
  CHECK(topology.nodes_spanned(0, 2) == 1);
  CHECK(topology.nodes_spanned(1, 2) == 2);
  CHECK(topology.nodes_spanned(0, 16) == 8);
  CHECK(topology.cross_node_bandwidth(0, 4).value() == doctest::Approx(20 * kGB));
}

TEST_CASE("GPUs that share a NIC share its bandwidth, and do not talk through it") {
  // Two NICs for four GPUs: GPUs 0 and 1 share the first.
  const Topology topology(cluster(ScaleUpTopology::kSwitch, 4, 2, 2));
  CHECK(names(topology, 0, 1) == Names{"node0.gpu0>node0.switch", "node0.switch>node0.gpu1"});
  CHECK(topology.cross_node_bandwidth(0, 8).value() == doctest::Approx(10 * kGB));
  // GPUs 3 and 4 lie on two nodes and have a NIC each to themselves.
  CHECK(topology.cross_node_bandwidth(3, 2).value() == doctest::Approx(20 * kGB));
}

TEST_CASE("several NICs of one GPU act as one port, up to what PCIe carries") {
  // 8 NICs for 2 GPUs: 80 GB/s per port, PCIe 60.
  const Topology topology(cluster(ScaleUpTopology::kSwitch, 2, 2, 8));
  CHECK(topology.cross_node_bandwidth(0, 4).value() == doctest::Approx(60 * kGB));
  CHECK(topology.bottleneck(0, 2).value() == doctest::Approx(60 * kGB));
}

TEST_CASE("an oversubscribed spine cuts the share of groups that reach over it, and of no others") {
  // 8 nodes of 2 GPUs, 4 nodes a leaf: 8 NICs x 20 = 160 GB/s below a leaf, 40 GB/s above it at 4:1.
  ClusterSpec spec = cluster(ScaleUpTopology::kSwitch, 2, 8, 2);
  spec.fabric.oversubscription = 4.0;
  const Topology topology(spec);
  CHECK(topology.cross_node_bandwidth(0, 8).value() == doctest::Approx(20 * kGB));
  CHECK(topology.cross_node_bandwidth(0, 16).value() == doctest::Approx(5 * kGB));  // 40 GB/s for 8 GPUs of the leaf
  CHECK(topology.cross_node_bandwidth(7, 2).value() == doctest::Approx(20 * kGB));  // alone under its leaf
}

TEST_CASE("only the nodes that hold usable GPUs are built") {
  ClusterSpec spec = cluster(ScaleUpTopology::kSwitch, 8, 100, 8);
  spec.gpus = 9;
  const Topology topology(spec);
  CHECK(topology.nodes() == 2);
  CHECK(topology.gpus() == 9);
  CHECK(topology.node_of(8) == 1);
}

TEST_CASE("an NVL72 rack is one domain: any two of its GPUs see NVLink speed") {
  const ClusterSpec rack = make_cluster(test::node("gb200-nvl72"), test::gpu("gb200"), 1, std::nullopt, "x");
  const Topology topology(rack);
  CHECK(topology.bottleneck(0, 71).value() == doctest::Approx(900 * kGB));
  CHECK(topology.nodes_spanned(0, 72) == 1);
  CHECK(topology.intra_node_bandwidth(0, 72).value() == doctest::Approx(900 * kGB));
}

TEST_CASE("on MI300X a pair sees a seventh of the xGMI bandwidth") {
  const Topology topology(make_cluster(test::node("mi300x-8"), test::gpu("mi300x"), 1, std::nullopt, "x"));
  CHECK(topology.bottleneck(2, 5).value() == doctest::Approx(64 * kGB));
}

TEST_CASE("a fabric that makes no sense is refused, and a GPU outside the cluster is a bug") {
  const ClusterSpec spec = cluster(ScaleUpTopology::kSwitch, 2, 1, 2);
  ClusterSpec no_leaf = spec;
  no_leaf.fabric.nodes_per_leaf = 0;
  CHECK_THROWS_AS(Topology{no_leaf}, InputError);
  ClusterSpec faster_above = spec;
  faster_above.fabric.oversubscription = 0.5;
  CHECK_THROWS_AS(Topology{faster_above}, InputError);
  const Topology topology(spec);
  CHECK_THROWS_AS((void)topology.path(0, 2), InternalError);
  CHECK_THROWS_AS((void)topology.nodes_spanned(1, 2), InternalError);
}

TEST_CASE("with rails, card i of every node meets its likes under leaf i, and traffic across rails first takes NVLink") {
  ClusterSpec spec = cluster(ScaleUpTopology::kSwitch, 2, 4, 2);
  spec.fabric = {.kind = FabricKind::kRail, .nodes_per_leaf = 2, .oversubscription = 2.0};
  const Topology topology(spec);
  CHECK(names(topology, 0, 2) == Names{"node0.gpu0>node0.nic0", "node0.nic0>leaf0.rail0", "leaf0.rail0>node1.nic0", "node1.nic0>node1.gpu0"});
  const Names crossing = names(topology, 0, 3);
  REQUIRE(crossing.size() == 6);
  CHECK(std::count_if(crossing.begin(), crossing.end(), [](const std::string& n) { return n.find("spine") != std::string::npos; }) == 0);
  CHECK(std::count_if(crossing.begin(), crossing.end(), [](const std::string& n) { return n.find("switch") != std::string::npos; }) == 2);
  // 2 nodes x 1 card x 20 GB/s below a leaf of one rail, half above: 20 GB/s for the rail's 2 GPUs there.
  CHECK(topology.cross_node_bandwidth(0, 8).value() == doctest::Approx(10 * kGB));
  CHECK(topology.cross_node_bandwidth(0, 4).value() == doctest::Approx(20 * kGB));
}

TEST_CASE("the host's memory is reached over the GPU's own link, through the root complex in a PCIe tree, and is no way to a peer") {
  ClusterSpec spec = cluster(ScaleUpTopology::kSwitch, 2, 1, 2);
  CHECK(Topology(spec).path_to_host(1).empty());
  spec.node.host_bandwidth = BytesPerSecond(60 * kGB);
  const Topology switched(spec);
  REQUIRE(switched.path_to_host(1).size() == 1);
  CHECK(switched.links()[static_cast<std::size_t>(switched.path_to_host(1)[0])].name == "node0.gpu1>node0.host");
  CHECK(switched.links()[static_cast<std::size_t>(switched.path_from_host(1)[0])].name == "node0.host>node0.gpu1");
  ClusterSpec tree = cluster(ScaleUpTopology::kPcieTree, 4, 1, 1);
  tree.node.root_complexes = 2;
  tree.node.host_bandwidth = BytesPerSecond(60 * kGB);
  const Topology topology(tree);
  REQUIRE(topology.path_from_host(3).size() == 2);
  CHECK(topology.links()[static_cast<std::size_t>(topology.path_from_host(3)[0])].name == "node0.host>node0.root1");
  CHECK(names(topology, 0, 3) == Names{"node0.gpu0>node0.root0", "node0.root0>node0.root1", "node0.root1>node0.gpu3"});
}
