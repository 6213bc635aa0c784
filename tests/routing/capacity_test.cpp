#include "routing/capacity.hpp"

#include <doctest/doctest.h>

#include <numeric>

using namespace moeplan;

namespace {

LayerLoad load_of(std::vector<std::int32_t> counts) {
  LayerLoad load;
  load.pairs = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  load.tokens_per_expert = std::move(counts);
  return load;
}

using Counts = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("the capacity is the factor times an even share, rounded up") {
  // 100 tokens x 2 / 8 experts = 25 pairs each
  CHECK(expert_capacity(1.0, 100, 2, 8) == 25);
  CHECK(expert_capacity(1.25, 100, 2, 8) == 32);  // 31.25
  CHECK(expert_capacity(0.5, 1, 1, 8) == 1);      // never nothing
}

TEST_CASE("tokens beyond the capacity are dropped and counted") {
  // 40 tokens, top-1, 4 experts, factor 1: 10 each; 25 leaves 15 without their expert
  LayerLoad load = load_of({25, 10, 5, 0});
  limit_to_capacity({1.0, Overflow::kDrop}, std::vector<double>(4, 0.25), 40, load);
  CHECK(load.tokens_per_expert == Counts{10, 10, 5, 0});
  CHECK(load.dropped == 15);
  CHECK(load.pairs == 25);
  CHECK(load.degraded == doctest::Approx(15.0 / 40));
}

TEST_CASE("with two choices a token is degraded when it loses either") {
  // 40 tokens, top-2: 20 each. Experts 0 and 1 lose 10 pairs each: a token keeps both with (1 - 10/40)^2 = 0.5625
  LayerLoad load = load_of({30, 30, 10, 10});
  limit_to_capacity({1.0, Overflow::kDrop}, std::vector<double>(4, 0.5), 40, load);
  CHECK(load.dropped == 20);
  CHECK(load.degraded == doctest::Approx(0.4375));
}

TEST_CASE("rerouted tokens fill the experts with room, the popular ones first, and nothing is lost while there is room") {
  // 15 over; room 5 at expert 2 and 10 at expert 3
  LayerLoad load = load_of({25, 10, 5, 0});
  limit_to_capacity({1.0, Overflow::kReroute}, std::vector<double>{0.4, 0.3, 0.2, 0.1}, 40, load);
  CHECK(load.tokens_per_expert == Counts{10, 10, 10, 10});
  CHECK(load.dropped == 0);
  CHECK(load.degraded == 0);
  CHECK(load.pairs == 40);
  // 6 over with plenty of room: in proportion 2 : 1
  LayerLoad few = load_of({26, 2, 6, 6});
  limit_to_capacity({2.0, Overflow::kReroute}, std::vector<double>{0.7, 0.0, 0.2, 0.1}, 40, few);
  CHECK(few.tokens_per_expert == Counts{20, 2, 10, 8});
  CHECK(few.dropped == 0);
}

TEST_CASE("what finds no room anywhere is dropped") {
  // factor 0.5: 5 each, 20 in all
  LayerLoad load = load_of({25, 10, 5, 0});
  limit_to_capacity({0.5, Overflow::kReroute}, std::vector<double>(4, 0.25), 40, load);
  CHECK(load.tokens_per_expert == Counts{5, 5, 5, 5});
  CHECK(load.dropped == 20);
  CHECK(load.pairs == 20);
  CHECK(load.degraded == doctest::Approx(0.5));
}

TEST_CASE("nothing happens below the capacity, and a sampler with one caps every expert") {
  LayerLoad load = load_of({12, 10, 10, 8});
  limit_to_capacity({1.25, Overflow::kDrop}, std::vector<double>(4, 0.25), 40, load);
  CHECK(load.dropped == 0);
  CHECK(load.tokens_per_expert == Counts{12, 10, 10, 8});
  MoeSpec moe;
  moe.experts = 32;
  moe.top_k = 1;
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.sigma = 1.0;
  config.capacity_factor = 1.0;
  const auto sampler = make_load_sampler(moe, 1, config, {.ranks = 4}, 1);
  RandomStream random(1, "test");
  LayerLoad drawn;
  sampler->sample(0, 3200, RoutingPhase::kDecode, random, drawn);
  for (const auto count : drawn.tokens_per_expert) CHECK(count <= 100);
  CHECK(drawn.dropped > 0);
  CHECK(drawn.pairs + drawn.dropped == 3200);
  double on_ranks = 0;
  for (const RankLoad& rank : drawn.ranks) on_ranks += rank.pairs;
  CHECK(on_ranks == static_cast<double>(drawn.pairs));
}
