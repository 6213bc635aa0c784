// What a plan is sized for: load factors. All numbers by hand.
#include "study/plan_load.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace moeplan;

namespace {

WorkloadConfig poisson(double rate) {
  WorkloadConfig w;
  w.arrivals.rate = rate;
  w.classes = {{}};
  w.classes[0].prompt_tokens = LengthConfig::fixed(100);
  w.classes[0].output_tokens = LengthConfig::fixed(10);
  w.requests = 1000;
  return w;
}

}  // namespace

TEST_CASE("the peak is the busiest hour of the last month, the mean and the trough those of that month, too") {
  LoadGrowth load;
  load.hourly.assign(24, 0.5);
  load.hourly[14] = 2.0;
  load.hourly[3] = 0.1;
  load.growth_per_month = 0.1;
  load.months = 2;
  load.peak_factor = 1.5;
  const LoadFactors f = load_factors(load, poisson(1));
  // growth 1.1^2 = 1.21; mean hour (22 x 0.5 + 2 + 0.1) / 24 = 13.1 / 24
  CHECK(f.peak == doctest::Approx(2.0 * 1.5 * 1.21));
  CHECK(f.mean == doctest::Approx(13.1 / 24 * 1.21));
  CHECK(f.trough == doctest::Approx(0.1 * 1.21));
  CHECK(peak_in_month(load, poisson(1), 1) == doctest::Approx(2.0 * 1.5 * 1.1));
}

TEST_CASE("without a profile of its own a search takes the workload's hours, and a load that shrinks is sized for today") {
  WorkloadConfig w = poisson(1);
  w.arrivals.hourly_factors.assign(24, 1.0);
  w.arrivals.hourly_factors[0] = 3.0;
  CHECK(load_factors({}, w).peak == 3.0);
  LoadGrowth shrinking;
  shrinking.growth_per_month = -0.5;
  shrinking.months = 1;
  CHECK(load_factors(shrinking, poisson(1)).peak == 1.0);
  CHECK(load_factors(shrinking, poisson(1)).mean == 0.5);
  CHECK(load_factors(shrinking, poisson(1)).trough == 1.0);  // nodes are in maintenance today, too
}

TEST_CASE("more load is a higher rate, a faster trace or more clients, without the hours of the day") {
  WorkloadConfig w = poisson(4);
  w.arrivals.hourly_factors.assign(24, 1.0);
  CHECK(scaled_workload(w, 2.5).arrivals.rate == 10);
  CHECK(scaled_workload(w, 2.5).arrivals.hourly_factors.empty());
  w.arrivals.process = ArrivalProcess::kTrace;
  w.arrivals.speedup = 2;
  CHECK(scaled_workload(w, 1.5).arrivals.speedup == 3);
  w.arrivals.process = ArrivalProcess::kClosed;
  w.arrivals.concurrency = 3;
  CHECK(scaled_workload(w, 1.1).arrivals.concurrency == 4);
}

TEST_CASE("the mean of the period is over its months, from the first to the last") {
  LoadGrowth load;
  load.growth_per_month = 1;  // 1, 2, 4
  load.months = 2;
  CHECK(load_factors(load, poisson(1)).mean == 4);
  CHECK(load_factors(load, poisson(1)).period_mean == doctest::Approx(7.0 / 3));
  CHECK(load_factors({}, poisson(1)).period_mean == 1);
}

TEST_CASE("what clients offer is their rate; a closed loop offers none") {
  const auto offered = offered_load(poisson(4), 1);
  REQUIRE(offered.has_value());
  CHECK(offered->requests_per_s == 4);
  CHECK(offered->output_tokens_per_s == 40);
  WorkloadConfig closed = poisson(0);
  closed.arrivals.process = ArrivalProcess::kClosed;
  closed.arrivals.concurrency = 2;
  CHECK_FALSE(offered_load(closed, 1).has_value());
}
