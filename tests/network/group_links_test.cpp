#include "network/group_links.hpp"

#include <doctest/doctest.h>

#include "network/network_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

double share_of(const Topology& topology, const std::vector<LinkUse>& uses, const std::string& name) {
  for (const LinkUse& use : uses) {
    if (topology.links()[static_cast<std::size_t>(use.link)].name == name) return use.share;
  }
  return 0;
}

}  // namespace

TEST_CASE("inside a node each GPU's link carries what it sends, and what it receives") {
  const Topology topology(switched_nodes(2, 4));
  PathTable paths(topology);
  const GroupLinks links = group_links(paths, 0, 4);
  CHECK(links.between.empty());
  CHECK(share_of(topology, links.inside, "node0.gpu2>node0.switch") == doctest::Approx(1.0));
  CHECK(share_of(topology, links.inside, "node0.switch>node0.gpu2") == doctest::Approx(1.0));
}

TEST_CASE("a group over two leaves sends the part for the other leaf over the spine") {
  // 8 nodes of 2, 4 a leaf. Of what GPU 0 sends to the 7 other nodes 4/7 go to the other leaf; 8 GPUs a leaf: 32/7 over each uplink.
  const Topology topology(switched_nodes(8, 2));
  PathTable paths(topology);
  const GroupLinks links = group_links(paths, 0, 16);
  CHECK(share_of(topology, links.between, "node3.nic1>leaf0") == doctest::Approx(1.0));
  CHECK(share_of(topology, links.between, "leaf0>spine") == doctest::Approx(8 * 4.0 / 7.0));
  CHECK(share_of(topology, links.between, "spine>leaf0") == doctest::Approx(8 * 4.0 / 7.0));
  CHECK(share_of(topology, links.inside, "node5.gpu0>node5.switch") == doctest::Approx(1.0));
  // Under one leaf nothing climbs.
  CHECK(share_of(topology, group_links(paths, 0, 8).between, "leaf0>spine") == 0);
}

TEST_CASE("replicas are placed in order, and none straddles nodes while there is room") {
  const Topology topology(switched_nodes(4, 8));
  CHECK(place_replicas(topology, 4, 2) == std::vector<int>{0, 2, 4, 6});
  CHECK(place_replicas(topology, 2, 16) == std::vector<int>{0, 16});
  CHECK(place_replicas(topology, 4, 6) == std::vector<int>{0, 8, 16, 24});
  CHECK(place_replicas(topology, 5, 6) == std::vector<int>{0, 6, 12, 18, 24});  // five do not fit otherwise
  CHECK(place_replicas(topology, 2, 12) == std::vector<int>{0, 16});
}
