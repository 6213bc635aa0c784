#include "suite/grid.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "calibration/measured_rows.hpp"
#include "support/input_error.hpp"

namespace moeplan::bench {
namespace {

const Abilities kGpu{{{Op::kCopy, {"bf16"}}, {Op::kLaunch, {"bf16"}}, {Op::kGemm, {"bf16", "fp8", "nvfp4"}}, {Op::kMoe, {"bf16", "fp8", "nvfp4"}}, {Op::kRouter, {"bf16"}},
                      {Op::kAttentionDecode, {"bf16", "fp8"}}, {Op::kMlaDecode, {"bf16"}}, {Op::kAttentionPrefill, {"bf16"}}, {Op::kCollective, {"bf16"}}},
                     false, 4, 80e9};
const Abilities kHost{{{Op::kGemm, {"bf16", "fp32"}}, {Op::kMoe, {"bf16"}}, {Op::kAttentionDecode, {"bf16"}}, {Op::kElementwise, {"bf16"}}}, true, 1, 1e9};

std::vector<Op> all_ops() {
  std::vector<Op> ops;
  for (const OpInfo& op : operations()) ops.push_back(op.op);
  return ops;
}

int count_of(const std::vector<Case>& cases, Op op) {
  return static_cast<int>(std::count_if(cases.begin(), cases.end(), [op](const Case& c) { return c.op == op; }));
}

}  // namespace

TEST_CASE("every operation that a backend offers has cases, without duplicates, and no other has") {
  for (const Extent extent : {Extent::kQuick, Extent::kFull}) {
    const std::vector<Case> cases = make_grid(kGpu, all_ops(), extent, 1);
    std::set<std::string> keys;
    for (const Case& c : cases) keys.insert(std::string(info(c.op).name) + " " + c.key());
    CHECK(keys.size() == cases.size());
    for (const Op op : all_ops()) CHECK((count_of(cases, op) > 0) == kGpu.formats.contains(op));
    CHECK(count_of(make_grid(kHost, all_ops(), extent, 1), Op::kElementwise) > 0);
    CHECK(count_of(make_grid(kHost, all_ops(), extent, 1), Op::kCollective) == 0);
  }
  CHECK(make_grid(kGpu, {Op::kGemm}, Extent::kFull, 1).size() > 4 * make_grid(kGpu, {Op::kGemm}, Extent::kQuick, 1).size());
}

TEST_CASE("the grid repeats") {
  const auto once = make_grid(kGpu, all_ops(), Extent::kFull, 5), again = make_grid(kGpu, all_ops(), Extent::kFull, 5);
  REQUIRE(once.size() == again.size());
  for (std::size_t i = 0; i < once.size(); ++i) CHECK(once[i].key() == again[i].key());
}

TEST_CASE("products reach the memory-bound and the compute-bound side, with tile edges") {
  const std::vector<Case> cases = make_grid(kGpu, {Op::kGemm}, Extent::kFull, 1);
  double least = 1e9, most = 0;
  std::set<std::int64_t> rows;
  for (const Case& c : cases) {
    const Workload work = work_of(c);
    least = std::min(least, work.flops / work.bytes);
    most = std::max(most, work.flops / work.bytes);
    rows.insert(c.integer("m"));
  }
  CHECK(least < 2);     // one row: a multiply-add per weight
  CHECK(most > 1000);   // beyond the ridge of any GPU
  for (const std::int64_t m : {63, 64, 65, 127, 128, 129}) CHECK(rows.contains(m));
}

TEST_CASE("what does not fit into memory is left out") {
  Abilities small = kGpu;
  small.memory_bytes = 1e8;
  for (const Case& c : make_grid(small, all_ops(), Extent::kFull, 1)) CHECK(work_of(c).bytes <= 0.4e8);
}

TEST_CASE("balanced experts get equal shares, uneven ones do not, and no token chooses an expert twice") {
  const std::vector<int> even = assign_experts(16, 2, 8, true, 1);
  for (int e = 0; e < 8; ++e) CHECK(std::count(even.begin(), even.end(), e) == 4);
  const std::vector<int> few = assign_experts(2, 2, 8, true, 1);
  CHECK(std::set<int>(few.begin(), few.end()).size() == 4);  // as many experts as pairs
  CHECK(assign_experts(2, 2, 8, true, 1, 1) != few);         // the next call touches others

  const std::vector<int> skewed = assign_experts(200, 4, 16, false, 1);
  std::vector<int> load(16, 0);
  for (std::size_t t = 0; t < 200; ++t) {
    std::set<int> own;
    for (std::size_t k = 0; k < 4; ++k) {
      own.insert(skewed[4 * t + k]);
      ++load[static_cast<std::size_t>(skewed[4 * t + k])];
    }
    CHECK(own.size() == 4);
  }
  CHECK(*std::max_element(load.begin(), load.end()) > 2 * 800 / 16);
}

TEST_CASE("expert cases state the pairs, touched experts and evenness of their assignment") {
  for (const Case& c : make_grid(kHost, {Op::kMoe}, Extent::kQuick, 3)) {
    const auto pairs = c.integer("tokens") * c.integer("top_k");
    CHECK(c.integer("pairs") == pairs);
    if (c.text("routing") == "balanced") {
      CHECK(c.integer("touched") == std::min(pairs, c.integer("experts")));
      CHECK(c.number("load_cv") == 0);
    } else {
      CHECK(c.integer("touched") <= std::min(pairs, c.integer("experts")));
      CHECK(c.number("load_cv") > 0);
    }
  }
}

TEST_CASE("bytes and operations of known shapes") {
  // 4 x 8 x 16 in bf16: 2 (4 x 16 + 8 x 16) + 2 x 4 x 8 bytes, 2 x 4 x 8 x 16 operations
  const Workload gemm = work_of({Op::kGemm, {"4", "8", "16", "bf16"}});
  CHECK(gemm.bytes == doctest::Approx(448));
  CHECK(gemm.flops == doctest::Approx(1024));
  // 2 sequences of 10 keys, 4 of 8 heads, 16 elements: keys and values 2 x 2 x 10 x 4 x 16 x 2 bytes, queries and output 4 x 2 x 8 x 16
  const Workload decode = work_of({Op::kAttentionDecode, {"2", "10", "8", "4", "16", "bf16", "bf16"}});
  CHECK(decode.bytes == doctest::Approx(5120 + 1024));
  CHECK(decode.flops == doctest::Approx(4 * 2 * 10 * 8 * 16));
  // 3 touched experts of 3 x 8 x 4 weights
  const Workload moe = work_of({Op::kMoe, {"5", "8", "4", "2", "16", "1", "1", "10", "3", "0", "balanced", "bf16"}});
  CHECK(moe.bytes == doctest::Approx(3 * 96 * 2 + 5 * 8 * 4));
  CHECK(moe.flops == doctest::Approx(2 * 10 * 96));
}

TEST_CASE("operations are chosen by name, in the suite's order") {
  CHECK(parse_operations("moe,gemm") == std::vector<Op>{Op::kGemm, Op::kMoe});
  CHECK(test::complaint_of([] { parse_operations("gem"); }) == "--ops: unknown operation 'gem' (did you mean 'gemm'?); --list shows them");
  CHECK_FALSE(test::complaint_of([] { parse_operations(""); }).empty());
}

}  // namespace moeplan::bench
