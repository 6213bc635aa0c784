// The host's kernels against the float64 reference, and the parts they are made of.
#include <doctest/doctest.h>

#include <cmath>

#include "host/host_backend.hpp"
#include "host/host_device.hpp"
#include "host/memory_loops.hpp"
#include "host/buffer.hpp"
#include "host/experts.hpp"
#include "host/vector_math.hpp"
#include "suite/verify.hpp"

namespace moeplan::bench {

TEST_CASE("every operation and format of the host backend agrees with the float64 reference") {
  const auto backend = make_host_backend({.threads = 1, .seed = 1, .arena_bytes = 1 << 20});
  const Abilities abilities = backend->abilities();
  std::vector<Case> one_of_each;
  for (const auto& [op, formats] : abilities.formats) {
    for (const std::string& format : formats) {
      const auto cases = verification_cases(op, format);
      if (!cases.empty()) one_of_each.push_back(cases.front());
    }
  }
  REQUIRE(one_of_each.size() >= 8);
  const std::vector<Verification> results = verify(*backend, one_of_each, 11);
  CHECK(results.size() > one_of_each.size());
  for (const Verification& v : results) {
    CAPTURE(info(v.shape.op).name);
    CAPTURE(v.shape.key());
    CHECK(v.error <= v.tolerance);
  }
}

TEST_CASE("verification notices a wrong kernel") {
  struct Wrong final : Backend {
    DeviceFacts facts() const override { return {}; }
    Abilities abilities() const override { return {}; }
    std::unique_ptr<Work> prepare(const Case&) override { return nullptr; }
    double shortest_sample() const override { return 0; }
    std::vector<float> compute(const Problem& p) override {
      const std::vector<double> right = reference_result(p);
      std::vector<float> result(right.begin(), right.end());
      result[result.size() / 2] += broken * 3;  // one element of many
      return result;
    }
    float broken = 0;
  };
  Wrong backend;
  const std::vector<Case> cases = {{Op::kGemm, {"4", "8", "16", "fp32"}}};
  for (const Verification& v : verify(backend, cases, 1)) CHECK(v.passed());
  backend.broken = 1;
  for (const Verification& v : verify(backend, cases, 1)) CHECK_FALSE(v.passed());
  backend.broken = std::nanf("");
  for (const Verification& v : verify(backend, cases, 1)) CHECK_FALSE(v.passed());
}

TEST_CASE("an operation that computes wrongly in one format is left out in that format alone, and said so") {
  std::vector<Case> cases = {{Op::kGemm, {"4", "8", "16", "fp32"}}, {Op::kGemm, {"4", "8", "16", "bf16"}}, {Op::kGemm, {"8", "8", "16", "fp32"}}};
  const std::vector<std::string> lines = leave_out_wrong({{cases[0], 0.5, 0.01}, {cases[1], 0.001, 0.01}}, cases);
  REQUIRE(cases.size() == 1);
  CHECK(cases[0].text("dtype") == "bf16");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "gemm in fp32 is left out: 4,8,16,fp32 differs from the float64 reference by 0.5, allowed is 0.01");
  CHECK(verification_text({{cases[0], 0.5, 0.01}}).find("WRONG") != std::string::npos);
}

TEST_CASE("the vector exponential is within 3e-7 of the true one and never infinite") {
  for (float first = -100; first < 90; first += 3.7F) {
    Floats x;
    for (int i = 0; i < kLanes; ++i) x[i] = first + 0.21F * static_cast<float>(i);
    Floats y = x;
    exponential(y);
    for (int i = 0; i < kLanes; ++i) {
      const double wanted = x[i] < -87 ? 0 : std::exp(std::min(87.0, static_cast<double>(x[i])));
      CHECK(std::abs(static_cast<double>(y[i]) - wanted) <= 3e-7 * wanted);
    }
  }
}

TEST_CASE("rows are padded to the steps that products are made for") {
  CHECK(MatrixProduct::rows(1) == 4);
  CHECK(MatrixProduct::rows(4) == 4);
  CHECK(MatrixProduct::rows(5) == 8);
  CHECK(MatrixProduct::rows(33) == 36);
  CHECK(MatrixProduct::rows(257) == 320);
}

TEST_CASE("a permutation puts every pair into a row of its expert, and experts nobody chose get none") {
  const ExpertDims dims{16, 16, 4, 2};
  Permutation p;
  permute(3, dims, {2, 0, 2, 3, 0, 2}, p);
  CHECK(p.load == std::vector<int>{2, 0, 3, 1});
  // Loads of 2, 3 and 1 take 4 rows each.
  CHECK(p.rows == 12);
  CHECK(p.start[0] == 0);
  CHECK(p.start[2] == 4);
  CHECK(p.start[3] == 8);
  CHECK(p.place == std::vector<int>{4, 0, 5, 8, 1, 6});
}

TEST_CASE("reading memory sees all of it and copying copies all of it") {
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{100'000}, std::size_t{1} << 20}) {
    const Buffer from(bytes), to(bytes);
    fill_random(from.data(), bytes, 3);
    const std::uint64_t before = read_memory(from.data(), bytes);
    copy_memory(from.data(), to.data(), bytes);
    CHECK(std::memcmp(from.data(), to.data(), bytes) == 0);
    from.data()[bytes / 2 / 64 * 64] ^= std::byte{1};
    CHECK(read_memory(from.data(), bytes) != before);
  }
}

TEST_CASE("random operands are finite in both formats and not zero") {
  const Buffer buffer(4096);
  fill_random(buffer.data(), 4096, 1);
  int zeros = 0;
  for (int i = 0; i < 1024; ++i) {
    CHECK(std::isfinite(buffer.as<float>()[i]));
    zeros += buffer.as<float>()[i] == 0;
  }
  CHECK(zeros == 0);
}

TEST_CASE("a device's name becomes an id that profiles accept") {
  CHECK(id_from("AMD EPYC 9354 32-Core Processor ") == "amd-epyc-9354-32-core-processor");
  CHECK(id_from("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3");
  CHECK(id_from("  ") == "device");
}

}  // namespace moeplan::bench
