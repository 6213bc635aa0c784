#include "suite/options.hpp"

#include <doctest/doctest.h>

#include "suite/measure.hpp"
#include "support/input_error.hpp"

namespace moeplan::bench {
namespace {

std::string complaint(std::vector<std::string> words) {
  return test::complaint_of([&] { parse_options(words); });
}

}  // namespace

TEST_CASE("a full command line") {
  const Options o = parse_options({"--backend", "host", "--out=results", "--full", "--ops", "gemm,copy", "--seed", "9", "--threads=3"});
  CHECK(o.backend == BackendKind::kHost);
  CHECK(o.out == "results");
  CHECK(o.extent == Extent::kFull);
  CHECK(o.seconds == 1200);
  CHECK(o.ops == std::vector<Op>{Op::kCopy, Op::kGemm});
  CHECK(o.seed == 9);
  CHECK(o.threads == 3);
  CHECK(parse_options({"--backend", "cuda", "--out", "x"}).seconds == 120);
  CHECK(parse_options({"--backend", "cuda", "--dry-run"}).dry_run);
  CHECK(parse_options({"--backend", "cuda", "--check"}).check);
  CHECK(parse_options({"--list"}).list);
}

TEST_CASE("wrong command lines are refused in one line") {
  CHECK(complaint({"--backend", "gpu", "--out", "x"}) == "--backend: found 'gpu', accepted: host, cuda");
  CHECK(complaint({"--out", "x"}) == "--backend is missing, accepted: host, cuda; see moeplan-microbench --help");
  CHECK(complaint({"--backend", "host"}) == "--out is missing: the folder that the tables go to");
  CHECK(complaint({"--quik"}) == "unknown option '--quik' (did you mean '--quick'?); see moeplan-microbench --help");
  CHECK(complaint({"--quick", "--full"}) == "--quick and --full exclude each other");
  CHECK(complaint({"--backend", "host", "--out", "x", "--threads", "0"}) == "--threads: found '0', accepted: a whole number from 1 to 4096");
  CHECK(complaint({"--backend", "cuda", "--out", "x", "--threads", "2"}) == "--threads is of the host backend");
  CHECK(complaint({"--out"}) == "--out needs a value");
  CHECK(complaint({"--quick=yes"}) == "--quick takes no value");
}

TEST_CASE("a dry run shows shapes, bytes, operations and totals") {
  const std::string text = dry_run_text({{Op::kGemm, {"1024", "1024", "1024", "bf16"}}, {Op::kGemm, {"1024", "1024", "2048", "bf16"}}});
  CHECK(text.find("m=1024 n=1024 k=1024 dtype=bf16") != std::string::npos);
  CHECK(text.find("6.29 MB") != std::string::npos);      // three matrices of 2 MiB
  CHECK(text.find("2.15 GFLOP") != std::string::npos);
  CHECK(text.find("2 cases") != std::string::npos);
}

TEST_CASE("durations in words") {
  CHECK(duration_text(59.4) == "59 s");
  CHECK(duration_text(200) == "3 min 20 s");
  CHECK(duration_text(-1) == "0 s");
}

}  // namespace moeplan::bench
