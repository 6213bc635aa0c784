#include <cmath>

#include "support/temporary_folder.hpp"
#include "workload_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

std::string workload(const std::string& arrivals, const std::string& more = "") {
  return R"({"arrivals": )" + arrivals +
         R"(, "prompt_tokens": {"distribution": "fixed", "value": 100}, "output_tokens": {"distribution": "fixed", "value": 10})" + more +
         "}";
}

std::string lengths(const std::string& prompt) {
  return R"({"arrivals": {"process": "batch"}, "prompt_tokens": )" + prompt +
         R"(, "output_tokens": {"distribution": "fixed", "value": 10}})";
}

}  // namespace

TEST_CASE("each arrival process is read with its units") {
  WorkloadConfig c = parse(workload(R"({"process": "poisson", "rate": "480 /min"})", R"(, "requests": 2000, "warmup_requests": 100)"));
  CHECK(c.arrivals.process == ArrivalProcess::kPoisson);
  CHECK(c.arrivals.rate == doctest::Approx(8));
  CHECK(c.requests == 2000);
  CHECK(c.warmup_requests == 100);
  c = parse(workload(R"({"process": "gamma", "rate": "8 /s", "cv": 2.5})"));
  CHECK(c.arrivals.cv == 2.5);
  CHECK(c.requests == 1000);
  c = parse(workload(R"({"process": "closed", "concurrency": 64})"));
  CHECK(c.arrivals.concurrency == 64);
  CHECK(c.arrivals.turnaround == SimTime(1'000'000));
  CHECK(c.requests == 640);
  c = parse(workload(R"({"process": "closed", "concurrency": 64, "turnaround": "20 ms"})"));
  CHECK(c.arrivals.turnaround == SimTime(20'000'000));
  c = parse(workload(R"({"process": "batch"})", R"(, "requests": 5)"));
  CHECK(c.arrivals.process == ArrivalProcess::kBatch);
}

TEST_CASE("a trace is found relative to the scenario and gives the requests and lengths that are not stated") {
  const TemporaryFolder folder;
  folder.write("t.csv", "arrival_s,prompt_tokens,output_tokens\n1,10,1\n2,20,2\n");
  const std::string arrivals = R"({"process": "trace", "file": "t.csv", "speedup": 2})";
  WorkloadConfig c = parse(R"({"arrivals": )" + arrivals + "}", folder.path());
  CHECK(c.requests == 2);
  CHECK(c.arrivals.speedup == 2);
  CHECK(c.classes[0].prompt_tokens.kind == LengthKind::kTrace);
  REQUIRE(c.arrivals.trace);
  CHECK(c.arrivals.trace->longest_prompt == 20);
  c = parse(workload(arrivals), folder.path());
  CHECK(requests_of(c)[1].prompt_tokens == 100);
}

TEST_CASE("each length distribution is read") {
  CHECK(parse(lengths(R"({"distribution": "uniform", "low": 819, "high": 1024})")).classes[0].prompt_tokens.high == 1024);
  // Mean 1000 at sigma 1: median 1000 exp(-1/2) = 606.5.
  const auto mean = parse(lengths(R"({"distribution": "lognormal", "mean": 1000, "sigma": 1, "high": 4096})")).classes[0].prompt_tokens;
  CHECK(mean.median == doctest::Approx(606.53).epsilon(0.0001));
  CHECK(mean.low == 1);
  CHECK(mean.high == 4096);
  const auto inline_bins = parse(lengths(R"({"distribution": "empirical", "histogram": [[100, 1], [200, 2.5]]})")).classes[0].prompt_tokens;
  REQUIRE(inline_bins.bins.size() == 2);
  CHECK(inline_bins.bins[1].weight == 2.5);
  const TemporaryFolder folder;
  folder.write("weighted.csv", "tokens,weight\n5,1\n6,3\n");
  folder.write("plain.csv", "tokens\n5\n6\n7\n");
  folder.write("bad.csv", "tokens\n5\n0\n");
  const auto weighted = parse(lengths(R"({"distribution": "empirical", "file": "weighted.csv"})"), folder.path()).classes[0].prompt_tokens;
  CHECK(weighted.bins[1].tokens == 6);
  CHECK(weighted.bins[1].weight == 3);
  CHECK(parse(lengths(R"({"distribution": "empirical", "file": "plain.csv"})"), folder.path()).classes[0].prompt_tokens.bins.size() == 3);
  CHECK(contains(refusal([&] { parse(lengths(R"({"distribution": "empirical", "file": "bad.csv"})"), folder.path()); }), "bad.csv:3"));
}

TEST_CASE("classes have their own lengths or the workload's") {
  const WorkloadConfig c = parse(workload(
      R"({"process": "batch"})",
      R"(, "classes": [{"name": "chat", "weight": 3}, {"name": "code", "prompt_tokens": {"distribution": "fixed", "value": 7}}])"));
  REQUIRE(c.classes.size() == 2);
  CHECK(c.classes[0].weight == 3);
  CHECK(c.classes[0].prompt_tokens.value == 100);
  CHECK(c.classes[1].weight == 1);
  CHECK(c.classes[1].prompt_tokens.value == 7);
  CHECK(c.classes[1].output_tokens.value == 10);
}

TEST_CASE("wrong workloads are refused at their place") {
  const auto refused = [](const std::string& json) { return refusal([&] { parse(json); }); };
  CHECK(contains(refused(workload(R"({"process": "poison", "rate": "8 /s"})")), "/arrivals/process"));
  CHECK(contains(refused(workload(R"({"process": "poisson", "rate": "8"})")), "/arrivals/rate"));
  CHECK(contains(refused(workload(R"({"process": "poisson", "rate": "0 /s"})")), "/arrivals/rate"));
  CHECK(contains(refused(workload(R"({"process": "poisson", "rate": "8 /s", "cv": 2})")), "unknown key 'cv'"));
  CHECK(contains(refused(workload(R"({"process": "gamma", "rate": "8 /s"})")), "cv"));
  CHECK(contains(refused(workload(R"({"process": "closed", "concurrency": 0})")), "/arrivals/concurrency"));
  CHECK(contains(refused(workload(R"({"process": "closed", "concurrency": 99999999999})")), "/arrivals/concurrency"));
  CHECK(contains(refused(workload(R"({"process": "batch"})", R"(, "requests": 0)")), "/requests"));
  CHECK(contains(refused(workload(R"({"process": "batch"})", R"(, "requests": -5)")), "/requests"));
  CHECK(contains(refused(workload(R"({"process": "batch"})", R"(, "requests": 5, "warmup_requests": 5)")), "/warmup_requests"));
  CHECK(contains(refused(workload(R"({"process": "poisson", "rate": "8 /s", "diurnal": [1, 2]})")), "24"));
  CHECK(contains(refused(workload(R"({"process": "batch"})", R"(, "classes": [])")), "/classes"));
  CHECK(contains(refused(R"({"arrivals": {"process": "batch"}})"), "prompt_tokens"));
  CHECK(contains(refused(lengths(R"({"distribution": "unifrom", "low": 1, "high": 2})")), "/prompt_tokens/distribution"));
  CHECK(contains(refused(lengths(R"({"distribution": "uniform", "low": 2, "high": 1})")), "low 2 is above high 1"));
  CHECK(contains(refused(lengths(R"({"distribution": "lognormal", "median": 5, "mean": 5, "sigma": 1})")), "either median or mean"));
  CHECK(contains(refused(lengths(R"({"distribution": "empirical", "histogram": [[1]]})")), "/prompt_tokens/histogram/0"));
  CHECK(contains(refused(lengths(R"({"distribution": "empirical"})")), "either file or histogram"));
  CHECK(contains(refused(lengths(R"({"distribution": "trace"})")), "trace"));
  CHECK(contains(refused(lengths(R"({"distribution": "fixed", "value": 3000000000})")), "/prompt_tokens/value"));
}
