#include "base/units.hpp"

#include <doctest/doctest.h>

#include <type_traits>

using namespace moeplan;
using namespace moeplan::literals;

namespace {
template <class A, class B>
concept Addable = requires(A a, B b) { a + b; };
}  // namespace

TEST_CASE("quantities of one kind add, scale and compare; different kinds do not mix") {
  CHECK((2_GB + 3_GB).value() == 5'000'000'000);
  CHECK((1_GiB - 1_MiB).value() == 1023LL * 1024 * 1024);
  CHECK((3 * 2_GB) == 6_GB);
  CHECK(6_GB / 2_GB == 3.0);
  CHECK(1_GB < 1_GiB);
  CHECK((-1_GB).value() == -1'000'000'000);
  static_assert(Addable<Bytes, Bytes>);
  static_assert(!Addable<Bytes, Flops>);
  static_assert(!Addable<Bytes, int>);
  static_assert(!Addable<BytesPerSecond, FlopsPerSecond>);
  static_assert(!std::is_convertible_v<double, Seconds>);
}

TEST_CASE("work divided by a rate is a time") {
  // 80 GB at 2 TB/s: 80e9 / 2e12 = 0.04 s. 1e15 FLOP at 500 TFLOPS: 2 s.
  CHECK((80_GB / BytesPerSecond(2e12)).value() == doctest::Approx(0.04));
  CHECK((Flops(1e15) / FlopsPerSecond(500e12)).value() == doctest::Approx(2.0));
}

TEST_CASE("seconds become nanoseconds rounded up, never down") {
  CHECK(to_sim_time(Seconds(0.0)).count() == 0);
  CHECK(to_sim_time(Seconds(1e-10)).count() == 1);
  CHECK(to_sim_time(1.5_us).count() == 1500);
  CHECK(to_sim_time(2.0_s).count() == 2'000'000'000);
  CHECK(to_seconds(SimTime(2'500'000'000)).value() == doctest::Approx(2.5));
  for (const double s : {0.1, 0.3, 1.7, 123.456789}) CHECK(to_seconds(to_sim_time(Seconds(s))).value() == doctest::Approx(s).epsilon(1e-9));
}
