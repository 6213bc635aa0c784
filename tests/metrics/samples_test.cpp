#include "metrics/samples.hpp"

#include "metrics_support.hpp"

using namespace moeplan;

TEST_CASE("percentiles are nearest-rank") {
  // 1 ... 100 in no order: the N-th percentile is exactly N.
  Samples s;
  for (int i = 0; i < 100; ++i) s.add((i * 37) % 100 + 1);
  CHECK(s.quantile(0.5) == 50);
  CHECK(s.quantile(0.9) == 90);
  CHECK(s.quantile(0.95) == 95);
  CHECK(s.quantile(0.99) == 99);
  CHECK(s.quantile(0.999) == 100);
  CHECK(s.quantile(1.0) == 100);
  CHECK(s.quantile(0.001) == 1);
  CHECK(s.mean() == doctest::Approx(50.5));
  CHECK(s.max() == 100);
  CHECK(s.count() == 100);
}

TEST_CASE("a percentile of few samples is one of them") {
  Samples s;
  CHECK(s.quantile(0.99) == 0);
  s.add(3);
  s.add(7);
  CHECK(s.quantile(0.5) == 3);
  CHECK(s.quantile(0.51) == 7);
}

TEST_CASE("a weight counts as that many samples") {
  // Nine of 1 and one of 5: the 90th percentile is 1, anything above is 5; mean 14 / 10.
  Samples s;
  s.add(5, 1);
  s.add(1, 9);
  CHECK(s.quantile(0.9) == 1);
  CHECK(s.quantile(0.91) == 5);
  CHECK(s.mean() == doctest::Approx(1.4));
  CHECK(s.count() == 10);
}

TEST_CASE("many samples keep their percentiles within 0.1 % and their mean and maximum exactly") {
  // i ms for i = 1 ... 300,000: the N-th percentile is N x 3 s.
  Samples s;
  for (int i = 300'000; i >= 1; --i) s.add(i * 1e-3);
  CHECK(s.quantile(0.5) == doctest::Approx(150).epsilon(0.001));
  CHECK(s.quantile(0.99) == doctest::Approx(297).epsilon(0.001));
  CHECK(s.max() == doctest::Approx(300).epsilon(1e-12));
  CHECK(s.mean() == doctest::Approx(150.0005).epsilon(1e-9));
  CHECK(s.count() == 300'000);
}
