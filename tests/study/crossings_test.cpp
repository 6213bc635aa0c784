// Where lines cross, worked by hand.
#include "study/crossings.hpp"

#include <doctest/doctest.h>

using namespace moeplan;
using doctest::Approx;
using Line = std::vector<std::optional<double>>;

TEST_CASE("lines cross where their ratio is one, on logarithmic axes") {
  // Ratios 4 and 1/4 at 1 and 16: one half way in the logarithm, at 4.
  const auto found = line_crossings({1, 16}, Line{4, 4}, Line{1, 16}, true);
  REQUIRE(found.size() == 1);
  CHECK(found[0].at == Approx(4));
  CHECK_FALSE(found[0].second_lower_above);
  CHECK(line_crossings({1, 16}, Line{1, 16}, Line{4, 4}, true)[0].second_lower_above);
  // The same in plain x: half way between 1 and 16.
  CHECK(line_crossings({1, 16}, Line{4, 4}, Line{1, 16}, false)[0].at == Approx(8.5));
}

TEST_CASE("lines that touch, run together or lack points do not cross there") {
  CHECK(line_crossings({1, 2, 3}, Line{2, 1, 2}, Line{1, 1, 1}, false).empty());
  CHECK(line_crossings({1, 2}, Line{1, 1}, Line{1, 1}, true).empty());
  CHECK(line_crossings({1, 2, 3}, Line{2, std::nullopt, 2}, Line{1, 5, 1}, true).empty());
  CHECK(line_crossings({1, 2, 4}, Line{2, std::nullopt, 1}, Line{1, 5, 2}, true).size() == 1);
}

TEST_CASE("lines that differ by noise alone do not cross") {
  // 1 % up, 1 % down, 1 % up.
  CHECK(line_crossings({1, 2, 3}, Line{1.01, 0.99, 1.01}, Line{1, 1, 1}, false).size() == 2);
  CHECK(line_crossings({1, 2, 3}, Line{1.01, 0.99, 1.01}, Line{1, 1, 1}, false, 0.02).empty());
  // Beyond it on both sides: one crossing, whatever lies between.
  CHECK(line_crossings({1, 2, 3, 4}, Line{1.1, 1.01, 0.99, 0.9}, Line{1, 1, 1, 1}, false, 0.02).size() == 1);
}

TEST_CASE("two crossings are two") {
  const auto found = line_crossings({1, 2, 3}, Line{1, 4, 1}, Line{2, 2, 2}, false);
  REQUIRE(found.size() == 2);
  CHECK(found[0].second_lower_above);
  CHECK_FALSE(found[1].second_lower_above);
}

TEST_CASE("a load takes whole deployments") {
  const Staircase s{10, 2};
  CHECK(s.deployments(0.1) == 1);
  CHECK(s.deployments(2) == 1);
  CHECK(s.deployments(2.1) == 2);
  CHECK(s.usd_per_hour_at(5) == 30);
}

TEST_CASE("the larger deployment that is cheaper per request wins for good above a load") {
  // Small: 3 USD for 1 request/s. Large: 10 USD for 5. Up to 3 requests/s small costs 3, 6, 9 and is cheaper; from 4 on 12 against 10.
  // Above 5 large costs 20 up to 10 requests/s, small 18 for the 6th, 21 for the 7th: small is cheaper up to 6. Above 10: 30 against 33.
  const auto found = staircase_crossing({3, 1}, {10, 5});
  REQUIRE(found.has_value());
  CHECK(found->at == Approx(6));
  CHECK(found->second_lower_above);
  const auto turned = staircase_crossing({10, 5}, {3, 1});
  CHECK(turned->at == Approx(6));
  CHECK_FALSE(turned->second_lower_above);
}

TEST_CASE("no crossing where one is never dearer, or both are worth the same") {
  CHECK_FALSE(staircase_crossing({3, 2}, {3, 1}).has_value());
  CHECK_FALSE(staircase_crossing({3, 1}, {6, 2}).has_value());
}
