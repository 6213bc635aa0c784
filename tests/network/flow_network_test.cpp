#include "network/flow_network.hpp"

#include <doctest/doctest.h>

#include "base/error.hpp"
#include "network/network_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

constexpr SimTime ms(std::int64_t n) { return SimTime(n * 1'000'000); }

std::vector<TransferId> ended_by(FlowNetwork& network, SimTime now) {
  std::vector<TransferId> ended;
  network.advance(now, ended);
  return ended;
}

}  // namespace

TEST_CASE("a transfer alone takes bytes over the narrowest link on its way") {
  const Topology topology(switched_nodes(2, 2));
  FlowNetwork network(topology);
  // 20 GB/s cards: 2 GB take 100 ms. Inside the node 300 GB/s: 3 GB take 10 ms.
  const TransferId across = network.start(SimTime(0), 0, 2, Bytes(2'000'000'000));
  CHECK(network.rate(across) == 20e9);
  CHECK(network.next_completion() == ms(100));
  const TransferId inside = network.start(SimTime(0), 0, 1, Bytes(3'000'000'000));
  CHECK(network.next_completion() == ms(10));
  CHECK(ended_by(network, ms(10)) == std::vector<TransferId>{inside});
  CHECK(ended_by(network, ms(100)) == std::vector<TransferId>{across});
  CHECK(network.next_completion() == kNever);
}

TEST_CASE("transfers into one GPU share its card, and the last one speeds up when the others have ended") {
  const Topology topology(switched_nodes(3, 2));
  FlowNetwork network(topology);
  // Into GPU 0: 1 GB from GPU 2 and 3 GB from GPU 4, 20 GB/s in all. Until 100 ms at 10 GB/s each; then 2 GB are left at 20 GB/s: 200 ms.
  const TransferId small = network.start(SimTime(0), 2, 0, Bytes(1'000'000'000));
  const TransferId large = network.start(SimTime(0), 4, 0, Bytes(3'000'000'000));
  CHECK(network.rate(small) == 10e9);
  CHECK(network.next_completion() == ms(100));
  CHECK(ended_by(network, ms(100)) == std::vector<TransferId>{small});
  CHECK(network.rate(large) == 20e9);
  CHECK(network.next_completion() == ms(200));
  CHECK(ended_by(network, ms(200)) == std::vector<TransferId>{large});
}

TEST_CASE("every byte arrives: transfers that come and go end when their integral of rates is their size") {
  const Topology topology(switched_nodes(2, 2));
  FlowNetwork network(topology);
  const TransferId a = network.start(SimTime(0), 0, 2, Bytes(4'000'000'000));
  // a: 20 GB/s to 50 ms = 1 GB; with b 10 GB/s to 150 ms = 1 GB more; then 2 GB at 20 GB/s: 250 ms. b: 1 GB at 10 GB/s.
  CHECK(ended_by(network, ms(50)).empty());
  const TransferId b = network.start(ms(50), 1, 2, Bytes(1'000'000'000));
  CHECK(network.next_completion() == ms(150));
  CHECK(ended_by(network, ms(150)) == std::vector<TransferId>{b});
  CHECK(network.next_completion() == ms(250));
  CHECK(ended_by(network, ms(250)) == std::vector<TransferId>{a});
}

TEST_CASE("a limited, a cancelled and an empty-handed transfer") {
  const Topology topology(switched_nodes(2, 2));
  FlowNetwork network(topology);
  const TransferId slow = network.start(SimTime(0), 0, 2, Bytes(1'000'000'000), 5e9);
  const TransferId fast = network.start(SimTime(0), 1, 2, Bytes(3'000'000'000));
  CHECK(network.rate(slow) == 5e9);
  CHECK(network.rate(fast) == 15e9);
  CHECK(network.cancel(ms(100), fast));
  CHECK_FALSE(network.cancel(ms(100), fast));
  CHECK(network.next_completion() == ms(200));
  const TransferId nowhere = network.start(ms(100), 1, 1, Bytes(7));
  CHECK(network.next_completion() == ms(100));
  CHECK(ended_by(network, ms(100)) == std::vector<TransferId>{nowhere});
  CHECK_THROWS_AS(ended_by(network, ms(300)), InternalError);  // past a completion
}

TEST_CASE("transfers that share no link cost no solve") {
  const Topology topology(switched_nodes(4, 2));
  FlowNetwork network(topology);
  (void)network.start(SimTime(0), 0, 2, Bytes(1'000'000));
  (void)network.start(SimTime(0), 1, 5, Bytes(1'000'000));
  CHECK(network.next_completion() == SimTime(50'000));
  CHECK(network.solves() == 0);
}

TEST_CASE("a load alone is not slowed, two loads over one link are by what the other takes on average") {
  const Topology topology(switched_nodes(2, 2));
  FlowNetwork network(topology);
  const auto way = network.paths().between(0, 2);
  const LoadId a = network.add_load({way.begin(), way.end()});
  const LoadId b = network.add_load({way.begin(), way.end()});
  network.set_load(SimTime(0), a, true, 5e9, 20e9);
  CHECK(network.slowdown(a) == 1.0);
  CHECK(network.solves() == 0);
  network.set_load(SimTime(0), b, true, 5e9, 20e9);
  // a bursts to 20 of 20 GB/s; b takes 5 on average: 15 remain.
  CHECK(network.slowdown(a) == doctest::Approx(20.0 / 15.0));
  CHECK(network.slowdown(b) == doctest::Approx(20.0 / 15.0));
  network.set_load(SimTime(0), b, false, 5e9, 20e9);
  CHECK(network.slowdown(a) == 1.0);
}

TEST_CASE("a slow-down is solved again only when something that shares a link changes") {
  const Topology topology(switched_nodes(4, 2));
  FlowNetwork network(topology);
  const auto way = network.paths().between(0, 2);
  const LoadId a = network.add_load({way.begin(), way.end()});
  const LoadId b = network.add_load({way.begin(), way.end()});
  network.set_load(SimTime(0), a, true, 5e9, 20e9);
  network.set_load(SimTime(0), b, true, 5e9, 20e9);
  (void)network.slowdown(a);
  const std::uint64_t before = network.solves();
  for (int i = 0; i < 100; ++i) (void)network.slowdown(a);
  network.set_load(SimTime(0), b, true, 5e9, 20e9);
  (void)network.slowdown(a);
  CHECK(network.solves() == before);
  // A transfer over the same card halves what is left: 20 - 5 = 15, 7.5 each.
  (void)network.start(SimTime(0), 0, 2, Bytes(1'000'000'000));
  CHECK(network.slowdown(a) == doctest::Approx(20.0 / 7.5));
  CHECK(network.solves() > before);
}

TEST_CASE("a transfer leaves a running load its mean rate") {
  const Topology topology(switched_nodes(2, 2));
  FlowNetwork network(topology);
  const auto way = network.paths().between(0, 2);
  const LoadId load = network.add_load({way.begin(), way.end()});
  network.set_load(SimTime(0), load, true, 4e9, 20e9);
  const TransferId id = network.start(SimTime(0), 0, 2, Bytes(1'600'000'000));
  CHECK(network.rate(id) == 16e9);
  CHECK(network.next_completion() == ms(100));
}
