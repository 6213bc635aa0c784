#include "suite/statistics.hpp"

#include <doctest/doctest.h>

namespace moeplan::bench {
namespace {

std::vector<Sample> samples(std::initializer_list<double> seconds) {
  std::vector<Sample> all;
  for (const double s : seconds) all.push_back({s, false});
  return all;
}

}  // namespace

TEST_CASE("the median, the fastest and the quartiles of known numbers") {
  const Summary s = summarise(samples({5, 1, 3, 2, 4}));
  CHECK(s.median == doctest::Approx(3));
  CHECK(s.fastest == doctest::Approx(1));
  CHECK(s.spread == doctest::Approx(2.0 / 3));  // quartiles 2 and 4 over 3
  CHECK(s.runs == 5);
}

TEST_CASE("the confidence interval narrows with more samples") {
  std::vector<Sample> few, many;
  for (int i = 0; i < 400; ++i) {
    const double x = 1 + 0.001 * ((i * 37) % 100);  // even from 1 to 1.099
    if (i < 16) few.push_back({x, false});
    many.push_back({x, false});
  }
  CHECK(summarise(many).ci95 < 0.5 * summarise(few).ci95);
  // 400 even samples: ranks 200 -+ 19.6 of 400 lie 0.04 of the width of 0.1 apart; half of that over 1.05.
  CHECK(summarise(many).ci95 == doctest::Approx(0.5 * 0.01 / 1.0495).epsilon(0.15));
}

TEST_CASE("outliers are counted and kept") {
  const Summary s = summarise(samples({10, 11, 10, 12, 10, 11, 90}));
  CHECK(s.outliers == 1);
  CHECK(s.runs == 7);
  CHECK(s.median == doctest::Approx(11));
}

TEST_CASE("equal samples have neither spread nor outliers") {
  const Summary s = summarise(samples({2, 2, 2, 2}));
  CHECK(s.spread == 0);
  CHECK(s.outliers == 0);
  CHECK(mark_of(s, 0.05).empty());
}

TEST_CASE("disturbed samples are left out while enough others remain") {
  std::vector<Sample> all = samples({1, 1.01, 0.99});
  all.push_back({9, true});
  const Summary s = summarise(all);
  CHECK(s.median == doctest::Approx(1));
  CHECK(s.disturbed == 1);
  CHECK(s.runs == 3);
  CHECK(mark_of(s, 0.05).empty());
}

TEST_CASE("a median of disturbed samples is marked, and so is a wide interval") {
  CHECK(mark_of(summarise({{1, true}, {1, false}, {1, true}, {1, true}}), 0.05) == "disturbed");
  CHECK(mark_of(summarise(samples({1, 2, 3, 4, 5})), 0.05) == "unstable");
}

}  // namespace moeplan::bench
