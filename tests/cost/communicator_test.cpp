#include "cost/communicator.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "input/csv.hpp"
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
  const double bytes = 95e6;
  // 2 x (2 - 1) / 2 x 95 MB / 8 GPUs = 11.875 MB at 50 GB/s x 0.95 = 250 us, and two dependent messages of 10 us
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
  const double bytes = 47.5e6;
  // inside: 8 us + 47.5 MB / (400 GB/s x 0.7); outside: 10 us + 47.5 MB / (50 GB/s x 0.95) = 1010 us
  const double inside = 8e-6 + 47.5e6 / 280e9;
  const CostBench one_node(dense_model(), layout(4, 2, 1, 1));
  CHECK(Communicator(one_node.inputs).hand_over(bytes).seconds == doctest::Approx(inside));
  // four stages of four GPUs: boundaries 1 and 3 stay inside a node, 2 and the return from the last stage do not
  const CostBench two_nodes(dense_model(), layout(4, 4, 1, 1));
  CHECK(Communicator(two_nodes.inputs).hand_over(bytes).seconds == doctest::Approx(0.5 * inside + 0.5 * 1010e-6));
}

TEST_CASE("NCCL's all-to-all over EFA meets what was published of 16 to 256 GPUs within 15 % at the median") {
  CsvReader csv(std::filesystem::path(MOEPLAN_SOURCE_DIR) / "hardware_profiles/networks/all_to_all.csv");
  const auto number = [&](const char* name) { return csv.number(csv.column(name)); };
  std::vector<double> errors;
  while (csv.next()) {
    if (csv.text(csv.column("library")) != "nccl") continue;
    const int nodes = static_cast<int>(number("nodes"));
    CostBench bench(moe_model(), layout(8 * nodes, 1, 1, 1));
    bench.inputs.node.transport = NetworkTransport::kEfa;
    bench.inputs.node.scale_out_bandwidth = BytesPerSecond(number("scale_out_gbps") * 1e9);
    const Communicator comm(bench.inputs);
    // "peak": of the largest messages; 4 GiB stands for them. Bus bandwidth counts (n - 1) / n of the bytes.
    const double bytes = csv.empty(csv.column("latency_us")) ? 4.0 * 1073741824 : 64.0 * 1048576;
    const double ranks = number("ranks");
    const double seconds = comm.all_to_all(bytes, comm.group(8 * nodes, 1), false).seconds;
    errors.push_back(std::abs(bytes * (ranks - 1) / ranks / seconds / (number("published") * 1e9) - 1));
  }
  CHECK(errors.size() == 14);
  std::sort(errors.begin(), errors.end());
  MESSAGE("NCCL all-to-all over EFA: median error " << errors[7] * 100 << " %, largest " << errors.back() * 100 << " %");
  CHECK(errors[7] <= 0.15);
}

TEST_CASE("eight into one: the receiver of all pairs costs eight times what an even exchange does") {
  // Incast of an all-to-all: the busiest rank receives everything that eight ranks would share evenly.
  const CostBench bench(moe_model(), layout(8, 1, 1, 1));
  const Communicator comm(bench.inputs);
  const RankGroup group = comm.group(8, 1);
  const double even = comm.all_to_all(100e6, group, false).seconds;
  const double incast = comm.all_to_all(800e6, group, false).seconds;
  CHECK(incast > 7.5 * even);
  CHECK(incast < 8.0 * even);
}
