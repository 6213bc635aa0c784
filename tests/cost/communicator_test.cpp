#include "cost/communicator.hpp"

#include <doctest/doctest.h>

#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("a group of one communicates in no time") {
  const CostBench bench(dense_model());
  const Communicator comm(bench.inputs);
  CHECK(comm.all_reduce(1e6, comm.group(1, 1), true).seconds == 0);
  CHECK(comm.all_to_all(1e6, comm.group(1, 8), false).seconds == 0);
  CHECK(comm.hand_over(1e6).seconds == 0);
}

TEST_CASE("groups span as many nodes as their places do") {
  const CostBench bench(dense_model(), layout(4, 1, 1, 8));  // 32 GPUs on four nodes of eight
  const Communicator comm(bench.inputs);
  CHECK(comm.group(4, 1).nodes == 1);
  CHECK(comm.group(8, 4).nodes == 4);
  CHECK(comm.group(8, 4).per_node() == 2);
  CHECK(comm.group(16, 1).nodes == 2);
}

TEST_CASE("across nodes an all-reduce adds each GPU's share over its own link") {
  const CostBench bench(dense_model(), layout(16, 1, 1, 1));
  const Communicator comm(bench.inputs);
  const RankGroup two_nodes = comm.group(16, 1);
  REQUIRE(two_nodes.nodes == 2);
  const double bytes = 85e6;
  // 2 x (2 - 1) / 2 x 85 MB / 8 GPUs = 10.625 MB at 50 GB/s x 0.85 = 250 us, and two dependent messages of 10 us
  const double inside = bench.kernels->collective({CollectiveKind::kAllReduce, bytes, 8, 1, true}).seconds;
  CHECK(comm.all_reduce(bytes, two_nodes, true).seconds == doctest::Approx(inside + 250e-6 + 20e-6));
  CHECK(comm.all_reduce(bytes, two_nodes, true).origin == Origin::kDatasheet);
}

TEST_CASE("outside a graph the better of the custom and the library's all-reduce runs") {
  const CostBench bench(dense_model(), layout(8, 1, 1, 1));
  const Communicator comm(bench.inputs);
  const RankGroup group = comm.group(8, 1);
  for (double bytes = 1e3; bytes < 1e9; bytes *= 10) {
    const double custom = bench.kernels->collective({CollectiveKind::kAllReduce, bytes, 8, 1, true}).seconds;
    const double library = bench.kernels->collective({CollectiveKind::kAllReduce, bytes, 8, 1, false}).seconds;
    CHECK(comm.all_reduce(bytes, group, false).seconds == std::min(custom, library));
    CHECK(comm.all_reduce(bytes, group, true).seconds == custom);
  }
}

TEST_CASE("a hand-over leaves the node where a stage boundary does") {
  const double bytes = 42.5e6;
  // inside: 8 us + 42.5 MB / (400 GB/s x 0.7); outside: 10 us + 42.5 MB / (50 GB/s x 0.85) = 1010 us
  const double inside = 8e-6 + 42.5e6 / 280e9;
  const CostBench one_node(dense_model(), layout(4, 2, 1, 1));
  CHECK(Communicator(one_node.inputs).hand_over(bytes).seconds == doctest::Approx(inside));
  // four stages of four GPUs: boundaries 1 and 3 stay inside a node, 2 and the return from the last stage do not
  const CostBench two_nodes(dense_model(), layout(4, 4, 1, 1));
  CHECK(Communicator(two_nodes.inputs).hand_over(bytes).seconds == doctest::Approx(0.5 * inside + 0.5 * 1010e-6));
}
