#include "metrics/network_metrics.hpp"
#include "metrics/pool_network.hpp"
#include "metrics_support.hpp"
#include "network/network_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

/// A decode step of `replica` from `start` to `end` seconds, whose GPUs send `inside` and `between` bytes.
struct Sent {
  PreparedStep prepared;
  StepOutcome outcome;
  StepRecord record;

  Sent(std::int32_t replica, double start, double end, double inside, double between) {
    prepared.fixed_parts[static_cast<std::size_t>(StepPart::kAllReduce)] = 1;
    prepared.fixed_traffic = {inside, between, 0.5};
    outcome.seconds = end - start;
    outcome.all_to_all_seconds = 2;
    outcome.hidden_seconds = 1.5;
    outcome.contention_seconds = 0.25;
    record.replica = replica;
    record.start = at(start);
    record.end = at(end);
    record.prepared = &prepared;
    record.outcome = &outcome;
  }
  Sent(const Sent&) = delete;
  Sent& operator=(const Sent&) = delete;
};

std::vector<GroupLinks> two_replicas(const Topology& topology) {
  PathTable paths(topology);
  return {group_links(paths, 0, 4), group_links(paths, 4, 4)};
}

const LinkUtilisation* find(const std::vector<LinkUtilisation>& all, const Topology& topology, const std::string& name) {
  for (const LinkUtilisation& u : all) {
    if (topology.links()[static_cast<std::size_t>(u.link)].name == name) return &u;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("exposed communication is what overlap leaves, contention included") {
  NetworkMetrics m({});
  const Sent step(0, 0, 10, 0, 0);
  m.on_step(step.record);
  m.on_end(at(10));
  // 1 s of all-reduce, 2 s of all-to-all, 0.25 s more by others, 1.5 s of it hidden.
  CHECK(m.decode().exposed == doctest::Approx(1.75));
  CHECK(m.decode().exposed_share() == doctest::Approx(0.175));
  CHECK(m.decode().hidden == doctest::Approx(1.5));
  CHECK(m.slowdown() == doctest::Approx(1.5));  // 0.25 s on 0.5 s of the cards
  CHECK(m.prefill().steps == 0);
}

TEST_CASE("a link carries what the GPUs above it send, over the time of the run") {
  // Two nodes of two GPUs a replica: cards of 20 GB/s. Each GPU sends 40 GB between nodes in 4 of 10 s.
  const Topology topology(switched_nodes(4, 2));
  NetworkMetrics m(two_replicas(topology));
  const Sent first(0, 0, 4, 30e9, 40e9);
  m.on_step(first.record);
  m.on_end(at(10));
  const auto links = m.busiest(topology, 100);
  const LinkUtilisation* card = find(links, topology, "node0.nic1>leaf0");
  REQUIRE(card != nullptr);
  CHECK(card->mean == doctest::Approx(40.0 / 200.0));
  CHECK(card->p50 == 0);                                     // idle for six of ten seconds
  CHECK(card->p99 == doctest::Approx(0.5).epsilon(0.02));    // 10 of 20 GB/s while it sends
  const LinkUtilisation* inside = find(links, topology, "node1.gpu0>node1.switch");
  REQUIRE(inside != nullptr);
  CHECK(inside->mean == doctest::Approx(30.0 / 3000.0));
  CHECK(find(links, topology, "node2.nic0>leaf0") == nullptr);  // the other replica was idle
  CHECK(m.busiest(topology, 3).size() == 3);
  CHECK(m.busiest(topology, 3).front().mean >= m.busiest(topology, 3).back().mean);
}

TEST_CASE("KV that goes from pool to pool is on its links while it is sent, beside the prefill and after it") {
  // Prefill on node 0, decode on node 1, two GPUs each with cards of 20 GB/s: of 80 GB each card carries half.
  const Topology topology(switched_nodes(2, 2));
  PoolNetworkMetrics m({PoolPlace{{0}, 2}, PoolPlace{{2}, 2}}, &topology);
  const Sent prefill(0, 0, 4, 0, 0);
  const Sent decode(1, 8, 10, 0, 0);
  m.on_step(prefill.record);
  m.on_step(decode.record);
  // 20 GB from 0 to 4 s, 60 GB from 5 to 8.
  m.on_kv_transfer({7, 0, 1, at(4), at(5), at(8), Bytes(80'000'000'000), Bytes(20'000'000'000), at(0)});
  m.on_end(at(10));
  const auto links = m.all().busiest(topology, 100);
  const LinkUtilisation* card = find(links, topology, "node0.nic1>leaf0");
  REQUIRE(card != nullptr);
  CHECK(card->mean == doctest::Approx(40.0 / 200.0));
  CHECK(card->p50 == doctest::Approx(2.5 / 20.0).epsilon(0.05));  // 10 GB in 4 s; 10 GB/s in three of ten seconds
  CHECK(card->p99 == doctest::Approx(10.0 / 20.0).epsilon(0.05));
  CHECK(find(links, topology, "leaf0>node0.nic0") == nullptr);
  CHECK(m.pool(0).prefill().steps + m.pool(0).decode().steps == 1);
  CHECK(m.all().prefill().steps + m.all().decode().steps == 2);
}

TEST_CASE("a long run keeps a bounded number of stretches and every byte") {
  const Topology topology(switched_nodes(2, 2));
  PathTable paths(topology);
  NetworkMetrics m({group_links(paths, 0, 4)});
  for (int i = 0; i < 5000; ++i) {
    const Sent step(0, i, i + 0.5, 0, 1e9);
    m.on_step(step.record);
  }
  m.on_end(at(5000));
  const auto links = m.busiest(topology, 100);
  const LinkUtilisation* card = find(links, topology, "node0.nic0>leaf0");
  REQUIRE(card != nullptr);
  CHECK(card->mean == doctest::Approx(1.0 / 20.0));
  CHECK(card->p50 == doctest::Approx(1.0 / 20.0).epsilon(0.1));
}

TEST_CASE("offload adds up lookups, hits and bytes") {
  NetworkMetrics m({});
  Sent step(0, 0, 10, 0, 0);
  step.outcome.offload_bytes = 5e9;
  step.outcome.offload_seconds = 2;
  step.outcome.expert_lookups = 64;
  step.outcome.expert_hits = 48;
  m.on_step(step.record);
  m.on_step(step.record);
  CHECK(m.offload().bytes == 10e9);
  CHECK(m.offload().hits / m.offload().lookups == doctest::Approx(0.75));
}
