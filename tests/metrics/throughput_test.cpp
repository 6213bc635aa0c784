#include <algorithm>

#include "metrics/throughput_metrics.hpp"
#include "metrics_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

/// Sends `count` requests at `load` per second (Poisson) through one server that takes 1 s for each, first come first served.
Throughput single_server(double load, std::uint64_t count, std::uint64_t warmup, std::uint64_t seed) {
  ThroughputMetrics m({.total = count, .warmup = warmup});
  RandomStream random(seed, "test");
  double now = 0;
  double free = 0;
  for (std::uint64_t id = 0; id < count; ++id) {
    now += random.exponential() / load;
    free = std::max(free, now) + 1.0;
    m.on_arrival(arriving(id, now));
    m.on_finished(finished(arriving(id, now), free - 1.0, free, free));
  }
  m.on_end(at(free));
  return m.result();
}

}  // namespace

TEST_CASE("throughput counts what falls between the first measured and the last arrival") {
  // Arrivals at 0, 10, 20, 30; the first is warm-up: the window is (10, 30], 20 s.
  ThroughputMetrics m({.total = 4, .warmup = 1});
  m.on_arrival(arriving(0, 0, 3));
  m.on_token_gaps(at(9), at(1), 1);
  m.on_token_gaps(at(12), at(3), 1);  // in, told before the arrival at 10
  m.on_arrival(arriving(1, 10, 2));
  m.on_finished(finished(arriving(0, 0, 3), 0, 8, 12));  // finished in; its first token and prompt out
  m.on_arrival(arriving(2, 20, 2));
  m.on_token_gaps(at(15), at(1), 1);                        // in
  m.on_finished(finished(arriving(1, 10, 2), 10, 14, 15));  // all in
  m.on_token_gaps(at(30), at(1), 1);                        // in: the window includes its end
  m.on_token_gaps(at(35), at(1), 1);                        // drain
  m.on_arrival(arriving(3, 30, 2));
  m.on_finished(finished(arriving(2, 20, 2), 20, 29, 30));  // all in
  m.on_finished(finished(arriving(3, 30, 2), 30, 34, 35));  // drain
  m.on_end(at(35));
  const Throughput& t = m.result();
  CHECK(t.window_s == doctest::Approx(20));
  // Requests 0, 1, 2 end in it. Output tokens: gaps at 12, 15, 30, first tokens at 14, 29: 5. Prompts of 1 and 2: 200.
  CHECK(t.requests_per_s == doctest::Approx(3.0 / 20));
  CHECK(t.output_tokens_per_s == doctest::Approx(5.0 / 20));
  CHECK(t.total_tokens_per_s == doctest::Approx(205.0 / 20));
  // The arrival at 10 opens the window; two more come in 20 s.
  REQUIRE(t.offered_per_s);
  CHECK(*t.offered_per_s == doctest::Approx(0.1));
}

TEST_CASE("a batch is measured from zero to its last token") {
  ThroughputMetrics m({.total = 2, .warmup = 1, .closed = false, .batch = true});
  m.on_arrival(arriving(0, 0, 2));
  m.on_arrival(arriving(1, 0, 2));
  m.on_token_gaps(at(2), at(1), 1);
  m.on_token_gaps(at(4), at(2), 1);
  m.on_finished(finished(arriving(0, 0, 2), 0, 1, 2));
  m.on_finished(finished(arriving(1, 0, 2), 0, 2, 4));
  m.on_end(at(4));
  CHECK(m.result().window_s == doctest::Approx(4));
  CHECK(m.result().requests_per_s == doctest::Approx(0.5));
  CHECK(m.result().output_tokens_per_s == doctest::Approx(1));
  CHECK(m.result().total_tokens_per_s == doctest::Approx(51));
  CHECK_FALSE(m.result().offered_per_s);
  CHECK_FALSE(m.result().saturated());
}

TEST_CASE("a closed loop is measured to the last request it issues, and offers no load") {
  // One client, 1 s a request, no turnaround: requests at 0, 1, 2, 3; the window (1, 3] sees those of 1 and 2 end.
  ThroughputMetrics m({.total = 4, .warmup = 1, .closed = true});
  for (std::uint64_t id = 0; id < 4; ++id) {
    const auto t = static_cast<double>(id);
    m.on_arrival(arriving(id, t));
    m.on_finished(finished(arriving(id, t), t, t + 1, t + 1));
  }
  m.on_end(at(4));
  CHECK(m.result().window_s == doctest::Approx(2));
  CHECK(m.result().requests_per_s == doctest::Approx(1));
  CHECK_FALSE(m.result().offered_per_s);
  CHECK_FALSE(m.result().saturated());
}

TEST_CASE("requests that all come at once are measured to the last token") {
  ThroughputMetrics m({.total = 2, .warmup = 0, .closed = true});
  m.on_arrival(arriving(0, 0));
  m.on_arrival(arriving(1, 0));
  m.on_finished(finished(arriving(0, 0), 0, 1, 1));
  m.on_finished(finished(arriving(1, 0), 1, 4, 4));
  m.on_end(at(4));
  CHECK(m.result().window_s == doctest::Approx(4));
  CHECK(m.result().requests_per_s == doctest::Approx(0.5));
}

TEST_CASE("a run in which nothing arrives has no throughput") {
  ThroughputMetrics m({.total = 10, .warmup = 5});
  m.on_arrival(arriving(0, 0));
  m.on_end(at(4));
  CHECK(m.result().requests_per_s == 0);
  CHECK_FALSE(m.result().saturated());
}

TEST_CASE("a server that keeps up is not called saturated") {
  for (const double load : {0.2, 0.5, 0.8}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(load);
      CAPTURE(seed);
      const Throughput t = single_server(load, 2000, 100, seed);
      CHECK_FALSE(t.saturated());
      CHECK(t.requests_per_s == doctest::Approx(*t.offered_per_s).epsilon(0.05));
    }
  }
}

TEST_CASE("a server that does not keep up is called saturated, and delivers its capacity") {
  for (const double load : {1.3, 2.0, 10.0}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(load);
      CAPTURE(seed);
      const Throughput t = single_server(load, 2000, 100, seed);
      CHECK(t.saturated());
      CHECK(t.requests_per_s == doctest::Approx(1).epsilon(0.01));
    }
  }
}

TEST_CASE("a machine that shares itself between ever more requests is saturated though the late ones are not the slow ones") {
  // All 200 arrive over 20 s and all end together at 100 s: latency falls from 100 to 80 s, and nothing has finished by the last arrival.
  ThroughputMetrics m({.total = 200});
  for (std::uint64_t id = 0; id < 200; ++id) m.on_arrival(arriving(id, 0.1 * static_cast<double>(id)));
  for (std::uint64_t id = 0; id < 200; ++id) {
    const double arrival = 0.1 * static_cast<double>(id);
    m.on_finished(finished(arriving(id, arrival), arrival, 100, 100));
  }
  m.on_end(at(100));
  CHECK(m.result().saturation == Saturation::kBacklogGrows);
  CHECK(m.result().short_window);
}

TEST_CASE("a queue that turns requests away is saturated") {
  ThroughputMetrics m({.total = 100});
  for (std::uint64_t id = 0; id < 100; ++id) {
    const auto t = static_cast<double>(id);
    m.on_arrival(arriving(id, t));
    if (id % 10 == 0) {
      m.on_rejected(arriving(id, t), RejectReason::kQueueFull, at(t));
    } else {
      m.on_finished(finished(arriving(id, t), t, t + 0.5, t + 0.5));
    }
  }
  m.on_end(at(100));
  CHECK(m.result().saturation == Saturation::kQueueFull);
}

TEST_CASE("a prompt too long for the model says nothing about the load") {
  ThroughputMetrics m({.total = 100});
  for (std::uint64_t id = 0; id < 100; ++id) {
    const auto t = static_cast<double>(id);
    m.on_arrival(arriving(id, t));
    if (id % 10 == 0) {
      m.on_rejected(arriving(id, t), RejectReason::kTooLong, at(t));
    } else {
      m.on_finished(finished(arriving(id, t), t, t + 0.5, t + 0.5));
    }
  }
  m.on_end(at(100));
  CHECK_FALSE(m.result().saturated());
}
