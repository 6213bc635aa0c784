#include "base/log_histogram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"

using moeplan::LogHistogram;

namespace {

// The nearest-rank quantile of all samples, kept whole.
double exact_quantile(std::vector<double> samples, double q) {
  std::sort(samples.begin(), samples.end());
  return samples[std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(q * static_cast<double>(samples.size())))) - 1];
}

}  // namespace

TEST_CASE("quantiles of lognormal and exponential samples are within the stated error") {
  for (const double error : {0.001, 0.01}) {
    for (const int shape : {0, 1}) {
      moeplan::RandomStream random(7, "test/histogram", static_cast<std::uint64_t>(shape));
      LogHistogram histogram(error);
      std::vector<double> samples;
      for (int i = 0; i < 20'000; ++i) {
        samples.push_back(shape == 0 ? std::exp(2.0 * random.normal()) : 0.05 * random.exponential() + 1e-5);
        histogram.add(samples.back());
      }
      for (const double q : {0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        CAPTURE(q);
        const double exact = exact_quantile(samples, q);
        CHECK(std::abs(histogram.quantile(q) - exact) <= error * exact * (1 + 1e-9));
      }
    }
  }
}

TEST_CASE("mean, sum, minimum and maximum are exact") {
  LogHistogram histogram;
  for (const double x : {1.0, 2.0, 4.0, 9.0}) histogram.add(x);
  CHECK(histogram.mean() == 4.0);
  CHECK(histogram.sum() == 16.0);
  CHECK(histogram.min() == 1.0);
  CHECK(histogram.max() == 9.0);
  CHECK(histogram.count() == 4);
}

TEST_CASE("a single value is its own quantile, and no samples give zero") {
  LogHistogram histogram;
  CHECK(histogram.quantile(0.5) == 0.0);
  CHECK(histogram.mean() == 0.0);
  CHECK(histogram.max() == 0.0);
  histogram.add(0.123);
  for (const double q : {0.01, 0.5, 1.0}) CHECK(histogram.quantile(q) == 0.123);
}

TEST_CASE("the nearest rank is used, not an interpolation") {
  // Ten samples 1..10: the 50 % quantile is the 5th, the 51 % the 6th, the 90 % the 9th.
  LogHistogram histogram;
  for (int i = 1; i <= 10; ++i) histogram.add(i);
  CHECK(histogram.quantile(0.50) == doctest::Approx(5).epsilon(0.002));
  CHECK(histogram.quantile(0.51) == doctest::Approx(6).epsilon(0.002));
  CHECK(histogram.quantile(0.90) == doctest::Approx(9).epsilon(0.002));
}

TEST_CASE("a weight counts like that many samples, and merging counts like adding") {
  LogHistogram weighted;
  weighted.add(1.0, 3);
  weighted.add(5.0, 1);
  LogHistogram first;
  LogHistogram second;
  for (int i = 0; i < 3; ++i) first.add(1.0);
  second.add(5.0);
  first.merge(second);
  CHECK(first.count() == 4);
  CHECK(first.mean() == weighted.mean());
  CHECK(first.max() == 5.0);
  for (const double q : {0.25, 0.75, 0.76, 1.0}) CHECK(first.quantile(q) == weighted.quantile(q));
  LogHistogram coarse(0.01);
  CHECK_THROWS_AS(first.merge(coarse), moeplan::InternalError);
}

TEST_CASE("zero, negative and huge samples go to the outermost bins and stay within minimum and maximum") {
  LogHistogram histogram(0.01, 1e-6, 1e3);
  histogram.add(0.0);
  histogram.add(-1.0);
  histogram.add(1e9);
  CHECK(histogram.count() == 3);
  CHECK(histogram.quantile(0.3) <= 1e-6);
  CHECK(histogram.quantile(1.0) <= 1e9);
  CHECK(histogram.max() == 1e9);
}
