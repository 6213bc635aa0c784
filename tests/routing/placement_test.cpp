#include "routing/placement.hpp"

#include <doctest/doctest.h>

#include <numeric>

using namespace moeplan;

TEST_CASE("contiguous placement covers every expert once") {
  const Placement placement = contiguous_placement(8, 4);
  for (int e = 0; e < 8; ++e) {
    REQUIRE(placement.ranks_of(e).size() == 1);
    CHECK(placement.ranks_of(e)[0] == e / 2);
  }
}

TEST_CASE("balanced placement pairs the hottest expert with the coldest") {
  // 40 + 10 | 30 + 20 on two ranks of two slots
  const std::vector<double> shares = {0.4, 0.3, 0.2, 0.1};
  const Placement placement = balanced_placement(shares, 2, 0);
  CHECK(placement.ranks_of(0)[0] == placement.ranks_of(3)[0]);
  CHECK(placement.ranks_of(1)[0] == placement.ranks_of(2)[0]);
  CHECK(rank_imbalance(placement, shares) == doctest::Approx(1.0));
  // contiguous: 70 | 30
  CHECK(rank_imbalance(contiguous_placement(4, 2), shares) == doctest::Approx(1.4));
}

TEST_CASE("redundant slots go to the hottest experts and no rank holds one twice") {
  // 4 experts + 2 extra slots on 2 ranks: experts 0 and 1 are split (30 + 10 on each rank), 2 and 3 get one rank each
  const std::vector<double> shares = {0.6, 0.2, 0.1, 0.1};
  const Placement placement = balanced_placement(shares, 2, 2);
  CHECK(placement.ranks_of(0).size() == 2);
  CHECK(placement.ranks_of(1).size() == 2);
  CHECK(placement.ranks_of(2).size() + placement.ranks_of(3).size() == 2);
  CHECK(rank_imbalance(placement, shares) == doctest::Approx(1.0));
}

TEST_CASE("replicas share the tokens of their expert and none is lost") {
  const Placement placement(3, {{0, 1, 2}, {1}});
  LayerLoad load;
  load.tokens_per_expert = {10, 5};
  placement.spread(load);
  CHECK(load.distinct_experts == 2);
  CHECK(load.ranks[0].pairs + load.ranks[1].pairs + load.ranks[2].pairs == 15);
  CHECK(load.ranks[1].pairs >= 8);  // 5 + a third of 10
  CHECK(load.ranks[1].experts == 2);
  CHECK(load.ranks[0].experts == 1);
  CHECK(load.hottest() == 1);
  load.tokens_per_expert = {1, 0};  // one token runs on one replica only
  placement.spread(load);
  CHECK(load.ranks[0].experts + load.ranks[1].experts + load.ranks[2].experts == 1);
}
