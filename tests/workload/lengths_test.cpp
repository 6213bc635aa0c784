#include "workload/lengths.hpp"

#include <cmath>
#include <map>

#include "workload_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

struct Moments {
  double mean = 0;
  double sd = 0;
  std::int32_t least = kMaxTokens;
  std::int32_t most = 0;
};

Moments moments(const LengthConfig& config, int n = 200'000) {
  const LengthSampler sampler(config);
  RandomStream random(1, "test");
  Moments m;
  double squares = 0;
  for (int i = 0; i < n; ++i) {
    const std::int32_t x = sampler.draw(random);
    m.mean += x;
    squares += static_cast<double>(x) * x;
    m.least = std::min(m.least, x);
    m.most = std::max(m.most, x);
  }
  m.mean /= n;
  m.sd = std::sqrt(squares / n - m.mean * m.mean);
  return m;
}

}  // namespace

TEST_CASE("a fixed length is always the same") {
  const Moments m = moments(LengthConfig::fixed(256), 100);
  CHECK(m.least == 256);
  CHECK(m.most == 256);
}

TEST_CASE("a uniform length has the mean and spread of a discrete uniform, and reaches both ends") {
  // [10, 20]: mean 15, variance (11^2 - 1) / 12 = 10, standard deviation 3.1623. Standard error of the mean 3.16 / sqrt(2e5) = 0.0071.
  const Moments m = moments(LengthConfig::uniform(10, 20));
  CHECK(m.mean == doctest::Approx(15).epsilon(0.002));
  CHECK(m.sd == doctest::Approx(std::sqrt(10.0)).epsilon(0.01));
  CHECK(m.least == 10);
  CHECK(m.most == 20);
}

TEST_CASE("a lognormal length has the mean that its median and sigma give") {
  // mean = median exp(sigma^2 / 2) = 1000 exp(0.125) = 1133.1; sd = mean sqrt(exp(0.25) - 1) = 603.9.
  const Moments m = moments(LengthConfig::lognormal(1000, 0.5));
  CHECK(m.mean == doctest::Approx(1133.1).epsilon(0.01));
  CHECK(m.sd == doctest::Approx(603.9).epsilon(0.03));
}

TEST_CASE("a lognormal length is clamped at both ends") {
  const Moments m = moments(LengthConfig::lognormal(1000, 1.0, 800, 1200));
  CHECK(m.least == 800);
  CHECK(m.most == 1200);
}

TEST_CASE("an empirical length comes as often as its weight says") {
  const LengthSampler sampler(LengthConfig::empirical({{100, 1}, {200, 0}, {300, 3}}));
  RandomStream random(1, "test");
  std::map<std::int32_t, int> seen;
  for (int i = 0; i < 40'000; ++i) ++seen[sampler.draw(random)];
  // 1/4 of 40,000: standard deviation sqrt(40,000 x 3/16) = 87.
  CHECK(seen[100] == doctest::Approx(10'000).epsilon(0.04));
  CHECK(seen.count(200) == 0);
  CHECK(seen[100] + seen[300] == 40'000);
}

TEST_CASE("the share of long draws is the distribution's tail") {
  CHECK(share_of_at_least(LengthConfig::fixed(10), 10) == 1.0);
  CHECK(share_of_at_least(LengthConfig::fixed(10), 11) == 0.0);
  CHECK(share_of_at_least(LengthConfig::uniform(1, 10), 8) == doctest::Approx(0.3));  // 8, 9, 10 of ten
  CHECK(share_of_at_least(LengthConfig::lognormal(100, 1.0, 1, 10000), 100) == doctest::Approx(0.5));
  CHECK(share_of_at_least(LengthConfig::lognormal(100, 1.0, 1, 10000), 272) == doctest::Approx(0.1587).epsilon(0.01));  // e sigma above: one sigma
  CHECK(share_of_at_least(LengthConfig::lognormal(100, 1.0, 1, 200), 201) == 0.0);
  CHECK(share_of_at_least(LengthConfig::empirical({{5, 1.0}, {50, 3.0}}), 6) == doctest::Approx(0.75));
}

TEST_CASE("length distributions that make no sense are refused") {
  CHECK(contains(refusal([] { check_lengths(LengthConfig::fixed(0), "here"); }), "here: value is 0; accepted: 1 to"));
  CHECK(contains(refusal([] { check_lengths(LengthConfig::uniform(20, 10), "here"); }), "low 20 is above high 10"));
  CHECK(contains(refusal([] { check_lengths(LengthConfig::lognormal(-5, 1), "here"); }), "positive"));
  CHECK(contains(refusal([] { check_lengths(LengthConfig::lognormal(5, -1), "here"); }), "sigma"));
  CHECK(contains(refusal([] { check_lengths(LengthConfig::empirical({}), "here"); }), "at least one"));
  CHECK(contains(refusal([] { check_lengths(LengthConfig::empirical({{5, 0}}), "here"); }), "positive"));
}
