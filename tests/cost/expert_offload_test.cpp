#include "cost/expert_offload.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "cost/deployment_cost.hpp"
#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

/// Eight experts, two a token; half of them resident, 25 GB/s to the host.
CostBench offloading(double resident, ExpertCachePolicy policy = ExpertCachePolicy::kLru) {
  CostBench bench(moe_model(8, 2, 14336));
  bench.inputs.offload = OffloadConfig{.resident_share = resident, .cache = policy, .link = 25e9, .cpu_bandwidth = 50e9};
  return bench;
}

double mean(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()); }

double miss_share(const CostBench& bench, std::int64_t tokens, RoutingPhase phase = RoutingPhase::kDecode) {
  RandomStream random(1, "test", 0);
  return mean(ExpertOffload(bench.inputs).misses(phase, tokens, 512, random));
}

/// Seconds and offload of one decode step of one sequence at the mean of the draws.
StepOutcome batch_one(const CostBench& bench) {
  const DeploymentCost cost(bench.inputs);
  PreparedStep step;
  cost.prepare(1, {}, step);
  return cost.expected(step, 500);
}

}  // namespace

TEST_CASE("least recently used makes room, in order of use") {
  ExpertCache cache(ExpertCachePolicy::kLru, 4, 2);
  CHECK(cache.use({0, 1}) == 2);
  CHECK(cache.use({0}) == 0);
  CHECK(cache.use({2}) == 1);  // 1 goes
  CHECK(cache.use({0, 2}) == 0);
  CHECK(cache.use({1}) == 1);
}

TEST_CASE("least often used makes room, and what is pinned stays") {
  ExpertCache often(ExpertCachePolicy::kLfu, 4, 2);
  for (int i = 0; i < 3; ++i) (void)often.use({0});
  CHECK(often.use({1}) == 1);
  CHECK(often.use({1}) == 0);
  CHECK(often.use({2}) == 1);  // used once, 1 twice and 0 three times: 2 finds no room
  CHECK(often.use({0, 1}) == 0);
  ExpertCache pinned(ExpertCachePolicy::kPinnedHot, 4, 2);
  pinned.pin({3, 1, 0});
  CHECK(pinned.use({1, 3}) == 0);
  CHECK(pinned.use({0}) == 1);
  CHECK(pinned.use({0}) == 1);
}

TEST_CASE("with independent uniform choices a cache of half the experts finds about half of them, whatever its policy") {
  for (const auto policy : {ExpertCachePolicy::kLru, ExpertCachePolicy::kLfu, ExpertCachePolicy::kPinnedHot}) {
    CHECK(miss_share(offloading(0.5, policy), 1) == doctest::Approx(0.5).epsilon(0.12));
  }
  CHECK(miss_share(offloading(1.0), 1) == 0);
  CHECK(miss_share(offloading(0.0), 1) == 1);
}

TEST_CASE("locality and popularity help the cache: repeated choices hit, pinned hot experts hit") {
  CostBench local = offloading(0.5);
  local.inputs.locality = {.copy = 0.5, .decay = 0.5, .reach = 4};
  // Half of the tokens repeat one of the last few, which are still there; the others miss half of theirs.
  CHECK(miss_share(local, 1) < 0.38);
  RoutingConfig skewed;
  skewed.popularity = PopularityKind::kZipf;
  skewed.exponent = 1.5;
  CostBench hot(moe_model(8, 2, 14336), {}, skewed);
  hot.inputs.offload = OffloadConfig{.resident_share = 0.5, .cache = ExpertCachePolicy::kPinnedHot, .link = 25e9};
  CHECK(miss_share(hot, 1) < 0.35);
}

TEST_CASE("locality moves no expert's share of all lookups: what is pinned is hit as often as it is popular") {
  CostBench pinned = offloading(0.5, ExpertCachePolicy::kPinnedHot);
  pinned.inputs.locality = measured_locality();  // reaches back 64 tokens: short stretches of a request would be off by a tenth
  for (const std::uint64_t seed : {1, 2, 3}) {
    RandomStream random(seed, "test", 0);
    CHECK(std::abs(mean(ExpertOffload(pinned.inputs).misses(RoutingPhase::kDecode, 1, 64, random)) - 0.5) < 0.03);
  }
}

TEST_CASE("a batch of one takes misses x bytes / bandwidth longer than with all experts resident") {
  const CostBench resident(moe_model(8, 2, 14336));
  const double base = batch_one(resident).seconds;
  for (const double share : {0.0, 0.25, 0.5, 0.75}) {
    const CostBench bench = offloading(share);
    const StepOutcome step = batch_one(bench);
    // 32 layers x 2 experts; 3 x 4096 x 14336 x 2 bytes each.
    const double expert = 3.0 * 4096 * 14336 * 2;
    const double misses = step.expert_lookups - step.expert_hits;
    CHECK(step.expert_lookups == doctest::Approx(64));
    CHECK(misses / 64 == doctest::Approx(1 - share).epsilon(0.15));
    CHECK(step.offload_bytes == doctest::Approx(misses * expert));
    CHECK(step.seconds - base == doctest::Approx(misses * expert / 25e9).epsilon(1e-6));
  }
}

TEST_CASE("twice the link halves the waiting; guessing right hides it behind computation, guessing wrong costs the link") {
  CostBench bench = offloading(0.5);
  const double waiting = batch_one(bench).offload_seconds;
  bench.inputs.offload->link = 50e9;
  CHECK(batch_one(bench).offload_seconds == doctest::Approx(waiting / 2).epsilon(1e-6));
  bench.inputs.offload->link = 25e9;
  const ExpertOffload plain(bench.inputs);
  bench.inputs.offload->prefetch_hit_rate = 1.0;
  const ExpertOffload sure(bench.inputs);
  // Two experts of 352 MB, one missing: 14.1 ms. A layer computes for 10 ms meanwhile: 4.1 ms remain.
  CHECK(plain.time(0.5, 2, 10e-3, 1, false).seconds == doctest::Approx(14.09e-3).epsilon(0.01));
  CHECK(sure.time(0.5, 2, 10e-3, 1, false).seconds == doctest::Approx(4.09e-3).epsilon(0.01));
  bench.inputs.offload->prefetch_hit_rate = 0.5;
  const OffloadDraw half = ExpertOffload(bench.inputs).time(0.5, 2, 10e-3, 1, false);
  CHECK(half.seconds == doctest::Approx((4.09 + 7.05) * 1e-3).epsilon(0.01));
  CHECK(half.bytes == doctest::Approx(1.5 * 352321536));
}

TEST_CASE("the CPU computes missing experts where that is faster than streaming them") {
  CostBench bench = offloading(0.5);
  bench.inputs.offload->cpu_execution = true;
  const OffloadDraw fast = ExpertOffload(bench.inputs).time(0.5, 2, 1e-3, 1, false);
  // 352 MB at 50 GB/s are 7.05 ms, of which the GPU's own millisecond runs beside.
  CHECK(fast.seconds == doctest::Approx(6.05e-3).epsilon(0.01));
  CHECK(fast.bytes < 1e6);
  bench.inputs.offload->cpu_bandwidth = 10e9;
  CHECK(ExpertOffload(bench.inputs).time(0.5, 2, 1e-3, 1, false).seconds == doctest::Approx(14.09e-3).epsilon(0.01));
}

TEST_CASE("prefill streams nearly all experts that are not there, once a layer, behind its own computation") {
  const CostBench bench = offloading(0.5);
  CHECK(miss_share(bench, 1000, RoutingPhase::kPrefill) == doctest::Approx(0.5).epsilon(0.05));
  const OffloadDraw draw = ExpertOffload(bench.inputs).time(0.5, 8, 20e-3, 4000, true);
  // Four experts, 56.4 ms; 20 ms of it run beside the kernel.
  CHECK(draw.seconds == doctest::Approx(36.4e-3).epsilon(0.01));
}
