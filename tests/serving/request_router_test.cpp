#include "serving/request_router.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

TEST_CASE("round-robin goes round whatever the load") {
  RequestRouter router(RequestRouting::kRoundRobin, 1);
  const std::vector<std::int64_t> load{9, 0, 0};
  CHECK(!router.reads_state());
  CHECK(router.pick(load) == 0);
  CHECK(router.pick(load) == 1);
  CHECK(router.pick(load) == 2);
  CHECK(router.pick(load) == 0);
}

TEST_CASE("least outstanding tokens takes the emptiest replica and goes round among equals") {
  RequestRouter router(RequestRouting::kLeastOutstandingTokens, 1);
  CHECK(router.reads_state());
  CHECK(router.pick(std::vector<std::int64_t>{5, 3, 4}) == 1);
  CHECK(router.pick(std::vector<std::int64_t>{2, 2, 2}) == 2);
  CHECK(router.pick(std::vector<std::int64_t>{2, 2, 2}) == 0);
  CHECK(router.pick(std::vector<std::int64_t>{7, 2, 1}) == 2);
}

TEST_CASE("a router that reads state sees the tokens done up to the arrival's instant") {
  // Steps take 10 s + 1 s per sequence or prompt token. Request 0 (4 + 1) goes to replica 0 and is done at 14; request 1 (8 + 8) to
  // replica 1. Request 2 arrives at 14: replica 0 owes nothing, replica 1 its 16 tokens less none (its prompt step runs until 18). Request
  // 3 arrives at 18: replica 0 owes 20 + 1, replica 1 has done 8 + 1 of 16.
  const AffineStepCost cost(10, 1, 0, 1);
  ListSource source({{seconds(0), 4, 1}, {seconds(0), 8, 8}, {seconds(14), 20, 1}, {seconds(18), 1, 1}});
  ClusterConfig config = small_cluster();
  config.replicas = 2;
  config.routing = RequestRouting::kLeastOutstandingTokens;
  const auto requests = run(config, cost, source).by_id();
  CHECK(requests.at(0).replica == 0);
  CHECK(requests.at(1).replica == 1);
  CHECK(requests.at(2).replica == 0);
  CHECK(requests.at(3).replica == 1);
}
