#include "metrics/goodput_metrics.hpp"
#include "metrics/latency_metrics.hpp"
#include "metrics_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("latencies are measured as defined") {
  // Arrival 10 s, scheduled 10.5, first token 11, last of 5 tokens 13: TTFT 1, queue 0.5, E2E 3, TPOT (13 - 11) / 4 = 0.5.
  LatencyMetrics m({.total = 1});
  m.on_arrival(arriving(0, 10, 5));
  m.on_finished(finished(arriving(0, 10, 5), 10.5, 11, 13));
  CHECK(m.of(LatencyMetric::kTtft).mean() == doctest::Approx(1));
  CHECK(m.of(LatencyMetric::kQueue).mean() == doctest::Approx(0.5));
  CHECK(m.of(LatencyMetric::kE2e).mean() == doctest::Approx(3));
  CHECK(m.of(LatencyMetric::kTpot).mean() == doctest::Approx(0.5));
}

TEST_CASE("a request of one token has no time per output token") {
  LatencyMetrics m({.total = 1});
  m.on_arrival(arriving(0, 0));
  m.on_finished(finished(arriving(0, 0), 0, 1, 1));
  CHECK(m.of(LatencyMetric::kTpot).count() == 0);
  CHECK(m.of(LatencyMetric::kTtft).count() == 1);
}

TEST_CASE("the first requests to arrive do not count, whenever they finish") {
  LatencyMetrics m({.total = 3, .warmup = 2});
  for (std::uint64_t id = 0; id < 3; ++id) m.on_arrival(arriving(id, static_cast<double>(id)));
  m.on_finished(finished(arriving(2, 2), 2, 6, 6));
  m.on_finished(finished(arriving(0, 0), 0, 9, 9));
  CHECK(m.of(LatencyMetric::kTtft).count() == 1);
  CHECK(m.of(LatencyMetric::kTtft).mean() == doctest::Approx(4));
}

TEST_CASE("a batch counts whole") {
  LatencyMetrics m({.total = 3, .warmup = 2, .closed = false, .batch = true});
  for (std::uint64_t id = 0; id < 3; ++id) m.on_finished(finished(arriving(id, 0), 0, 1, 1));
  CHECK(m.of(LatencyMetric::kTtft).count() == 3);
}

TEST_CASE("token gaps are pooled over tokens, from the first measured arrival on") {
  LatencyMetrics m({.total = 2, .warmup = 1});
  m.on_arrival(arriving(0, 0));
  m.on_token_gaps(at(1), at(7), 100);  // before the window
  m.on_token_gaps(at(5.5), at(2), 1);  // the step that spans the arrival at 5 may be told before it
  m.on_token_gaps(at(4.5), at(7), 100);
  m.on_arrival(arriving(1, 5));
  m.on_token_gaps(at(4.9), at(7), 100);  // told late, but before the window
  m.on_token_gaps(at(6), at(1), 3);
  const Samples& itl = m.of(LatencyMetric::kItl);
  CHECK(itl.count() == 4);
  CHECK(itl.mean() == doctest::Approx(1.25));
  CHECK(itl.quantile(0.75) == doctest::Approx(1));
  CHECK(itl.max() == doctest::Approx(2));
}

TEST_CASE("statistics are named as objectives spell them") {
  const auto p999 = latency_statistic("ttft_p99.9");
  REQUIRE(p999);
  CHECK(p999->metric == LatencyMetric::kTtft);
  CHECK(p999->quantile == doctest::Approx(0.999));
  CHECK(to_string(*p999) == "ttft_p99.9");
  for (const char* name : {"tpot_mean", "itl_max", "e2e_p50", "queue_p95", "ttft_p29"}) {
    REQUIRE(latency_statistic(name));
    CHECK(to_string(*latency_statistic(name)) == name);
  }
  for (const char* name :
       {"", "ttft", "ttft_", "ttft_p", "ttft_p0", "ttft_p100", "ttft_p-5", "ttft_p99x", "ttft_q99", "ttl_p99", "ttft_p1e1", "ttft_pnan"}) {
    CAPTURE(name);
    CHECK_FALSE(latency_statistic(name));
  }
}

TEST_CASE("a statistic gives its value") {
  LatencyMetrics m({.total = 4});
  for (std::uint64_t id = 0; id < 4; ++id) m.on_finished(finished(arriving(id, 0), 0, static_cast<double>(id + 1), 9));
  CHECK(m.value(*latency_statistic("ttft_p50")) == doctest::Approx(2));
  CHECK(m.value(*latency_statistic("ttft_mean")) == doctest::Approx(2.5));
  CHECK(m.value(*latency_statistic("ttft_max")) == doctest::Approx(4));
}

TEST_CASE("goodput of a closed loop is no more than its clients over their latency") {
  // Two clients, 1 s a request, one 10 ms behind the other; the window (1, 1.01] sees one end. First tokens of odd requests are late.
  GoodputMetrics m({.total = 4, .warmup = 2, .closed = true}, {{LatencyMetric::kTtft, 0.5}});
  const double arrivals[] = {0, 0.01, 1, 1.01};
  m.on_arrival(arriving(0, arrivals[0]));
  m.on_arrival(arriving(1, arrivals[1]));
  for (std::uint64_t id = 0; id < 4; ++id) {
    m.on_finished(finished(arriving(id, arrivals[id]), arrivals[id], arrivals[id] + (id % 2 == 0 ? 0.1 : 0.6), arrivals[id] + 1));
    if (id < 2) m.on_arrival(arriving(id + 2, arrivals[id + 2]));
  }
  m.on_end(at(2.01));
  CHECK(m.requests_per_s(2) == doctest::Approx(1));
}

TEST_CASE("goodput is the share of what is served that meets every limit") {
  // Three of five, whether they end before the last arrival at 10 s or after it. TTFT limit 1 s, TPOT limit 0.1 s.
  GoodputMetrics m({.total = 5}, {{LatencyMetric::kTtft, 1.0}, {LatencyMetric::kTpot, 0.1}});
  for (std::uint64_t id = 0; id < 4; ++id) m.on_arrival(arriving(id, 0, 11));
  m.on_finished(finished(arriving(0, 0, 11), 0, 1, 2));     // both exactly met
  m.on_finished(finished(arriving(1, 0, 11), 0, 1.1, 2));   // first token late
  m.on_finished(finished(arriving(2, 0, 11), 0, 0.5, 2));   // (2 - 0.5) / 10 = 0.15 s a token: too slow
  m.on_finished(finished(arriving(3, 0, 1), 0, 0.5, 0.5));  // one token: no time per token to miss
  m.on_arrival(arriving(4, 10, 11));
  m.on_finished(finished(arriving(4, 10, 11), 10, 10.5, 11));  // good, but in the drain
  m.on_end(at(11));
  CHECK(m.requests_per_s(0.4) == doctest::Approx(0.24));
  CHECK(m.share() == doctest::Approx(0.6));
}
