#include <algorithm>
#include <array>
#include <vector>

#include "metrics/throughput_metrics.hpp"
#include "metrics_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

/// Sends requests at `arrivals` through one server that takes 1 s for each, first come first served; a twentieth is warm-up.
Throughput single_server(const std::vector<double>& arrivals) {
  ThroughputMetrics m({.total = arrivals.size(), .warmup = arrivals.size() / 20});
  double free = 0;
  for (std::uint64_t id = 0; id < arrivals.size(); ++id) {
    const double now = arrivals[id];
    free = std::max(free, now) + 1.0;
    m.on_arrival(arriving(id, now));
    m.on_finished(finished(arriving(id, now), free - 1.0, free, free));
  }
  m.on_end(at(free));
  return m.result();
}

std::vector<double> poisson(double load, std::size_t count, std::uint64_t seed) {
  RandomStream random(seed, "test");
  std::vector<double> arrivals;
  double now = 0;
  while (arrivals.size() < count) arrivals.push_back(now += random.exponential() / load);
  return arrivals;
}

/// Quiet times at half the mean load `load` and bursts at five times it, of 100 mean gaps in the mean: a ninth of the time is burst.
std::vector<double> bursts(double load, std::size_t count, std::uint64_t seed) {
  RandomStream random(seed, "test");
  std::vector<double> arrivals;
  bool high = false;
  double now = 0;
  double turn = random.exponential() * 800.0 / load;
  while (arrivals.size() < count) {
    const double next = now + random.exponential() / (high ? 5.0 * load : 0.5 * load);
    if (next < turn) {
      arrivals.push_back(now = next);
    } else {
      now = turn;
      high = !high;
      turn += random.exponential() * (high ? 100.0 : 800.0) / load;
    }
  }
  return arrivals;
}

}  // namespace

TEST_CASE("a deployment that keeps up serves what arrives between the first measured and the last arrival") {
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
  // The arrival at 10 opens the window; 2 and 3 arrive in it, of two output tokens each, and end, one of them in the drain.
  CHECK(t.requests_per_s == doctest::Approx(2.0 / 20));
  CHECK(t.output_tokens_per_s == doctest::Approx(4.0 / 20));
  CHECK(t.total_tokens_per_s == doctest::Approx(204.0 / 20));
  // A client sees the gaps at 12, 15, 30 and the first tokens at 14, 29.
  CHECK(t.output_tokens_seen_per_s == doctest::Approx(5.0 / 20));
  REQUIRE(t.offered_per_s);
  CHECK(*t.offered_per_s == doctest::Approx(0.1));
}

TEST_CASE("a machine that is still filling up serves what arrives") {
  // 61 requests, one a second, each 20 s in service however many there are: the window (0, 60] sees 40 end, 40 / 60 of the load.
  ThroughputMetrics m({.total = 61});
  for (std::uint64_t id = 0; id < 61; ++id) {
    const auto t = static_cast<double>(id);
    m.on_arrival(arriving(id, t, 3));
    m.on_finished(finished(arriving(id, t, 3), t, t + 1, t + 20));
  }
  m.on_end(at(80));
  CHECK_FALSE(m.result().saturated());
  CHECK(m.result().requests_per_s == doctest::Approx(1));
  CHECK(m.result().output_tokens_per_s == doctest::Approx(3));
  CHECK(m.result().total_tokens_per_s == doctest::Approx(103));
}

TEST_CASE("an overloaded machine serves at its capacity though all has arrived before the first request ends") {
  // 400 requests within 0.4 s, 1 s each, one after the other: nothing ends before the last arrival, and one a second until the last.
  std::vector<double> arrivals;
  for (int i = 0; i < 400; ++i) arrivals.push_back(0.001 * i);
  const Throughput t = single_server(arrivals);
  CHECK(t.saturated());
  CHECK(t.requests_per_s == doctest::Approx(1));
  CHECK(t.output_tokens_per_s == doctest::Approx(1));
}

TEST_CASE("an overloaded machine is seen neither filling nor draining") {
  // Four at a time, 10 s each, 2 arrive a second, 0.4 a second are served; at both ends of the time in which somebody waits four are in service.
  ThroughputMetrics m({.total = 200});
  for (std::uint64_t id = 0; id < 200; ++id) {
    const double arrival = 0.5 * static_cast<double>(id);
    const double in = 10.0 * static_cast<double>(id / 4) + 1.5;  // the fourth arrives at 1.5 s
    m.on_arrival(arriving(id, arrival, 5));
    m.on_finished(finished(arriving(id, arrival, 5), in, in + 1, in + 10));
  }
  m.on_end(at(501.5));
  CHECK(m.result().saturated());
  // 196 of 200 end by 491.5 s, when the last four enter; counted by ends in (0, 99.5] it would be 36 / 99.5.
  CHECK(m.result().requests_per_s == doctest::Approx(196 / 491.5));
  CHECK(m.result().output_tokens_per_s == doctest::Approx(5 * 196 / 491.5));
}

TEST_CASE("a run shorter than one mean latency is measured like a batch") {
  // Ten requests in a second, 20 s each: that shows neither ten requests a second nor none.
  ThroughputMetrics m({.total = 10});
  for (std::uint64_t id = 0; id < 10; ++id) {
    const double t = static_cast<double>(id) / 9.0;
    m.on_arrival(arriving(id, t));
    m.on_finished(finished(arriving(id, t), t, t + 1, t + 20));
  }
  m.on_end(at(21));
  CHECK(m.result().requests_per_s == doctest::Approx(10.0 / 21));
  CHECK(m.result().shorter_than(1));
}

TEST_CASE("what the warm-up gets done within a run that is measured to its end is not counted") {
  // Two requests of warm-up, then ten in a second, 20 s each: the twelve have ended 21 s after the third arrived, and ten of them count.
  ThroughputMetrics m({.total = 12, .warmup = 2});
  const auto serve = [&](std::uint64_t id, double t) {
    m.on_arrival(arriving(id, t, 5));
    m.on_finished(finished(arriving(id, t, 5), t, t + 1, t + 20));
  };
  serve(0, 0);
  serve(1, 0.5);
  for (std::uint64_t id = 2; id < 12; ++id) serve(id, 1 + static_cast<double>(id - 2) / 9.0);
  m.on_end(at(22));
  CHECK(m.result().requests_per_s == doctest::Approx(10.0 / 21));
  CHECK(m.result().output_tokens_per_s == doctest::Approx(50.0 / 21));
  CHECK(m.result().total_tokens_per_s == doctest::Approx(1050.0 / 21));
  // All at once: four requests in 4 s, one of them warm-up.
  ThroughputMetrics burst({.total = 4, .warmup = 1, .closed = true});
  for (std::uint64_t id = 0; id < 4; ++id) burst.on_arrival(arriving(id, 0));
  for (std::uint64_t id = 0; id < 4; ++id) burst.on_finished(finished(arriving(id, 0), 0, 4, 4));
  burst.on_end(at(4));
  CHECK(burst.result().requests_per_s == doctest::Approx(0.75));
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

TEST_CASE("a closed loop's rate is clients over latency, however short the window is") {
  // Two clients, 1 s a request of 10 prompt and 4 output tokens, one 10 ms behind the other. The window (1, 1.01] sees one request end, which
  // would be 100 a second; each of the two in the system then spends a hundredth of its time there.
  ThroughputMetrics m({.total = 4, .warmup = 2, .closed = true});
  const auto spec = [](std::uint64_t id, double t) {
    RequestSpec s = arriving(id, t);
    s.prompt_tokens = 10;
    s.output_tokens = 4;
    return s;
  };
  const std::array<double, 4> arrivals = {0, 0.01, 1, 1.01};
  m.on_arrival(spec(0, arrivals[0]));
  m.on_arrival(spec(1, arrivals[1]));
  for (std::uint64_t id = 0; id < 4; ++id) {
    m.on_finished(finished(spec(id, arrivals[id]), arrivals[id], arrivals[id] + 0.1, arrivals[id] + 1));
    if (id < 2) m.on_arrival(spec(id + 2, arrivals[id + 2]));
  }
  m.on_end(at(2.01));
  CHECK(m.result().window_s == doctest::Approx(0.01));
  CHECK(m.result().requests_per_s == doctest::Approx(2));
  CHECK(m.result().output_tokens_per_s == doctest::Approx(8));
  CHECK(m.result().total_tokens_per_s == doctest::Approx(28));
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
  for (const double load : {0.2, 0.5, 0.8, 0.95}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(load);
      CAPTURE(seed);
      const Throughput t = single_server(poisson(load, 2000, seed));
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
      const Throughput t = single_server(poisson(load, 2000, seed));
      CHECK(t.saturated());
      CHECK(t.requests_per_s == doctest::Approx(1).epsilon(0.01));
    }
  }
}

TEST_CASE("a burst at the end of the run is no saturation where the machine keeps up with the mean load") {
  // 1900 requests at 0.5 /s, then 100 within 10 s: 90 wait at the end, and leave at 1 /s though the mean load is 0.52 /s.
  std::vector<double> arrivals;
  for (int i = 0; i < 1900; ++i) arrivals.push_back(2.0 * i);
  for (int i = 0; i < 100; ++i) arrivals.push_back(3800.0 + 0.1 * i);
  CHECK_FALSE(single_server(arrivals).saturated());
  // The same requests four times as fast: 2.1 /s in the mean.
  for (double& arrival : arrivals) arrival /= 4.0;
  CHECK(single_server(arrivals).saturated());
}

TEST_CASE("a lull in the middle of the run makes no backlog of what is in flight at its end") {
  // 500 requests at 5 /s, a minute of silence, 500 more; each takes 50 s, however many there are. At the middle arrival nothing else is in flight, at the
  // end 250: of a mean load of 3.9 /s, 190 would be, and the arrivals since the silence exceed it by 110.
  ThroughputMetrics m({.total = 1000});
  const auto arrival = [](std::uint64_t id) { return 0.2 * static_cast<double>(id) + (id < 500 ? 0.0 : 60.0); };
  for (std::uint64_t id = 0; id < 1000; ++id) {
    m.on_arrival(arriving(id, arrival(id)));
    m.on_finished(finished(arriving(id, arrival(id)), arrival(id), arrival(id) + 50, arrival(id) + 50));
  }
  m.on_end(at(310));
  CHECK_FALSE(m.result().saturated());
}

TEST_CASE("bursts are told from saturation wherever in the run they fall") {
  int kept_up = 0;
  int too_much = 0;
  for (const double load : {0.3, 0.45, 0.6, 1.3, 2.0}) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      CAPTURE(load);
      CAPTURE(seed);
      const Throughput t = single_server(bursts(load, 2000, seed));
      // What counts is the load of the run as it was drawn: few bursts fall into it.
      if (*t.offered_per_s < 0.9) {
        ++kept_up;
        CHECK_FALSE(t.saturated());
      } else if (*t.offered_per_s > 1.2) {
        // With bursts of some hundred requests, runs of 2000 do not always tell.
        too_much += t.saturated() ? 1 : 0;
      }
    }
  }
  CHECK(kept_up > 100);
  CHECK(too_much > 60);
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
  CHECK(m.result().shorter_than(3));
  CHECK(m.result().requests_per_s == doctest::Approx(2));  // 200 in the 100 s to the last token
}

TEST_CASE("a queue that grows is saturation though latency flattens out as the machine drains") {
  // 2000 requests at 10 /s, a tenth too many: who comes at t waits t / 10. Service takes 20 s, and as the end comes near less, down to 12 s with fewer
  // prompts beside it, so that latency grows by 0.1 - 8 / 100 = 2 % of the time and 300 requests are in flight at the end, 273 in the middle.
  ThroughputMetrics m({.total = 2000});
  const auto arrival = [](std::uint64_t id) { return 0.1 * static_cast<double>(id); };
  for (std::uint64_t id = 0; id < 2000; ++id) {
    const double t = arrival(id);
    const double last = 1.1 * t + 20 - std::max(0.0, 0.08 * (t - 100));
    m.on_arrival(arriving(id, t));
    m.on_finished(finished(arriving(id, t), 1.1 * t, last, last));
  }
  m.on_end(at(232));
  CHECK(m.result().saturation == Saturation::kQueueGrows);
  CHECK(m.result().requests_per_s == doctest::Approx(10 / 1.1).epsilon(0.03));
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
