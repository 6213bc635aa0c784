#include "routing/load_draws.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

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

bool same(const LoadDraws::Layers& a, const LoadDraws::Layers& b) {
  if (a.per_layer != b.per_layer || a.draws.size() != b.draws.size()) return false;
  for (std::size_t i = 0; i < a.draws.size(); ++i) {
    if (a.draws[i].hottest.pairs != b.draws[i].hottest.pairs || a.draws[i].widest.experts != b.draws[i].widest.experts) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a layer's draw names the rank with most pairs and the one with most experts") {
  LayerLoad load;
  load.ranks = {{.pairs = 6, .experts = 1}, {.pairs = 4, .experts = 3}, {.pairs = 6, .experts = 2}, {.pairs = 0, .experts = 0}};
  load.pairs = 16;
  load.distinct_experts = 6;
  const LayerDraw draw(load);
  CHECK(draw.hottest.pairs == 6);
  CHECK(draw.hottest.experts == 2);  // the heavier of two equally loaded ranks
  CHECK(draw.widest.experts == 3);
  CHECK(draw.widest.pairs == 4);
  CHECK(draw.mean_pairs == 4);  // 16 / 4
  CHECK(draw.distinct == 6);
}

TEST_CASE("draws do not depend on what was drawn before, nor on the thread") {
  const auto sampler = make_load_sampler(router(16, 2), 3, lognormal(0.5), {.ranks = 4}, 1);
  const LoadDraws forward(*sampler, 6, 1);
  const LoadDraws backward(*sampler, 6, 1);
  const LoadDraws threaded(*sampler, 6, 1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&threaded] {
      for (const std::int64_t tokens : {64, 1, 1000}) (void)threaded.at(RoutingPhase::kDecode, tokens);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::int64_t tokens : {1, 64, 1000}) (void)forward.at(RoutingPhase::kDecode, tokens);
  for (const std::int64_t tokens : {1000, 64, 1}) {
    const LoadDraws::Layers& layers = backward.at(RoutingPhase::kDecode, tokens);
    CHECK(layers.draws.size() == 6 * layers.per_layer);
    CHECK(same(layers, forward.at(RoutingPhase::kDecode, tokens)));
    CHECK(same(layers, threaded.at(RoutingPhase::kDecode, tokens)));
  }
  CHECK_FALSE(same(forward.at(RoutingPhase::kDecode, 64), forward.at(RoutingPhase::kPrefill, 1000)));
}

TEST_CASE("a library prepares a router once, and another one when anything that routes differs") {
  RoutingLibrary library;
  const PlacementConfig two{.ranks = 2};
  const LoadDraws& first = library.find(router(16, 2), 4, lognormal(0.5), two, 1);
  CHECK(&library.find(router(16, 2), 4, lognormal(0.5), two, 1) == &first);
  MoeSpec wider = router(16, 2);
  wider.expert_inter = 4096;  // costs time, but routes nothing
  CHECK(&library.find(wider, 4, lognormal(0.5), two, 1) == &first);
  CHECK(&library.find(router(16, 4), 4, lognormal(0.5), two, 1) != &first);
  CHECK(&library.find(router(16, 2), 5, lognormal(0.5), two, 1) != &first);
  CHECK(&library.find(router(16, 2), 4, lognormal(0.6), two, 1) != &first);
  CHECK(&library.find(router(16, 2), 4, lognormal(0.5), {.ranks = 4}, 1) != &first);
  CHECK(&library.find(router(16, 2), 4, lognormal(0.5), two, 2) != &first);
  CHECK(same(library.find(router(16, 2), 4, lognormal(0.5), two, 1).at(RoutingPhase::kDecode, 32), first.at(RoutingPhase::kDecode, 32)));
}
