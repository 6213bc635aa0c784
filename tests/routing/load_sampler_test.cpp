#include "routing/load_sampler.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "routing/popularity.hpp"

using namespace moeplan;

namespace {

MoeSpec router(int experts, int top_k) {
  MoeSpec moe;
  moe.experts = experts;
  moe.top_k = top_k;
  return moe;
}

RoutingConfig lognormal(double sigma) {
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.sigma = sigma;
  return config;
}

}  // namespace

TEST_CASE("every pair lands on one expert and on one rank") {
  for (const std::int64_t tokens : {1, 7, 64, 300, 5000}) {
    for (const RoutingPhase phase : {RoutingPhase::kDecode, RoutingPhase::kPrefill}) {
      const auto sampler = make_load_sampler(router(64, 6), 2, lognormal(0.7), {.ranks = 8}, 1);
      RandomStream random(1, "test");
      LayerLoad load;
      sampler->sample(1, tokens, phase, random, load);
      CHECK(load.pairs == tokens * 6);
      CHECK(std::accumulate(load.tokens_per_expert.begin(), load.tokens_per_expert.end(), std::int64_t{0}) == load.pairs);
      double pairs = 0;
      double experts = 0;
      for (const RankLoad& rank : load.ranks) {
        pairs += rank.pairs;
        experts += rank.experts;
        CHECK(rank.pairs <= load.ranks[load.hottest()].pairs);
      }
      CHECK(pairs == static_cast<double>(load.pairs));
      CHECK(experts == load.distinct_experts);
      for (const auto count : load.tokens_per_expert) CHECK(count <= tokens);
    }
  }
}

TEST_CASE("uniform routing touches E (1 - (1 - k/E)^T) experts") {
  // E = 64, k = 8, T = 8: 64 (1 - 0.875^8) = 42.009
  CHECK(expected_distinct_experts(64, 8, 8) == doctest::Approx(42.009).epsilon(1e-4));
  const auto sampler = make_load_sampler(router(64, 8), 1, {}, {.ranks = 4}, 1);
  for (const std::int64_t tokens : {1, 8, 20, 60, 120}) {
    RandomStream random(1, "test");
    LayerLoad load;
    double sum = 0;
    for (int i = 0; i < 2000; ++i) {
      sampler->sample(0, tokens, RoutingPhase::kDecode, random, load);
      sum += load.distinct_experts;
    }
    CHECK(sum / 2000 == doctest::Approx(expected_distinct_experts(64, static_cast<double>(tokens), 8)).epsilon(0.004));
  }
}
