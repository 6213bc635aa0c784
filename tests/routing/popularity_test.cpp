#include "routing/popularity.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "routing/choice_weights.hpp"

using namespace moeplan;

namespace {

MoeSpec router(int experts, int top_k) {
  MoeSpec moe;
  moe.experts = experts;
  moe.top_k = top_k;
  return moe;
}

}  // namespace

TEST_CASE("shares of every kind sum to one and stay below what distinct choices allow") {
  for (const PopularityKind kind : {PopularityKind::kUniform, PopularityKind::kLognormal, PopularityKind::kZipf, PopularityKind::kDirichlet,
                                    PopularityKind::kPowerLaw}) {
    RoutingConfig config;
    config.popularity = kind;
    config.sigma = 2.5;
    config.exponent = 1.2;
    config.alpha = 0.1;
    for (int layer = 0; layer < 5; ++layer) {
      const auto shares = expert_shares(config, router(64, 8), layer, 1);
      CHECK(std::accumulate(shares.begin(), shares.end(), 0.0) == doctest::Approx(1.0));
      CHECK(*std::max_element(shares.begin(), shares.end()) <= 0.125);
      CHECK(*std::min_element(shares.begin(), shares.end()) > 0);
    }
  }
}

TEST_CASE("a lognormal popularity has the sigma asked for, other layers other experts, and the same seed the same shares") {
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.sigma = 0.5;
  double square = 0;
  for (int layer = 0; layer < 40; ++layer) {
    const auto shares = expert_shares(config, router(64, 1), layer, 1);
    double mean = 0;
    for (const double s : shares) mean += std::log(s) / 64;
    for (const double s : shares) square += (std::log(s) - mean) * (std::log(s) - mean) / 63 / 40;
  }
  CHECK(std::sqrt(square) == doctest::Approx(0.5).epsilon(0.03));
  CHECK(expert_shares(config, router(64, 1), 0, 1) == expert_shares(config, router(64, 1), 0, 1));
  CHECK(expert_shares(config, router(64, 1), 0, 1) != expert_shares(config, router(64, 1), 1, 1));
  CHECK(expert_shares(config, router(64, 1), 0, 1) != expert_shares(config, router(64, 1), 0, 2));
}

TEST_CASE("zipf shares fall with the rank, in an order of experts drawn per layer") {
  RoutingConfig config;
  config.popularity = PopularityKind::kZipf;
  config.exponent = 1.0;
  auto shares = expert_shares(config, router(4, 1), 0, 1);
  std::sort(shares.begin(), shares.end(), std::greater<>());
  // 1 : 1/2 : 1/3 : 1/4, sum 25/12
  CHECK(shares[0] == doctest::Approx(12.0 / 25));
  CHECK(shares[3] == doctest::Approx(3.0 / 25));
}

TEST_CASE("router noise flattens and a collapse starves experts") {
  RoutingConfig config;
  config.popularity = PopularityKind::kZipf;
  config.exponent = 1.0;
  config.noise = 1.0;
  for (const double s : expert_shares(config, router(4, 1), 0, 1)) CHECK(s == doctest::Approx(0.25));
  RoutingConfig collapsed;
  collapsed.collapsed = 0.5;  // of 8 uniform experts 4 share (almost) everything
  const auto shares = expert_shares(collapsed, router(8, 1), 0, 1);
  CHECK(std::count_if(shares.begin(), shares.end(), [](double s) { return s > 0.24; }) == 4);
}

TEST_CASE("drawing two of three without replacement has the inclusion worked by hand") {
  // weights 1/2, 1/4, 1/4: expert 0 first 1/2; second after expert 1 (1/4 x 2/3) or after expert 2: 1/2 + 2 x 1/6 = 5/6
  const auto included = inclusion_probabilities(std::vector<double>{0.5, 0.25, 0.25}, 2);
  CHECK(included[0] == doctest::Approx(5.0 / 6).epsilon(1e-4));
  CHECK(included[1] == doctest::Approx(7.0 / 12).epsilon(1e-4));
}

TEST_CASE("weights for wanted shares give those shares back") {
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.sigma = 1.0;
  for (const auto& [experts, top_k] : {std::pair{8, 2}, std::pair{64, 6}, std::pair{16, 12}, std::pair{256, 8}}) {
    const auto shares = expert_shares(config, router(experts, top_k), 0, 5);
    const auto included = inclusion_probabilities(choice_weights(shares, top_k), top_k);
    for (std::size_t e = 0; e < shares.size(); ++e) CHECK(included[e] == doctest::Approx(top_k * shares[e]).epsilon(0.004));
  }
}

TEST_CASE("expected distinct experts: shares and closed form agree for uniform routing") {
  const std::vector<double> shares(64, 1.0 / 64);
  CHECK(expected_distinct_experts(shares, 16, 8) == doctest::Approx(expected_distinct_experts(64, 16, 8)));
  CHECK(expected_distinct_experts(64, 1, 8) == doctest::Approx(8));
  CHECK(expected_distinct_experts(8, 3, 8) == doctest::Approx(8));
}
