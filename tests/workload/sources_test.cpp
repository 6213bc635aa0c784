#include <algorithm>
#include <array>
#include <cmath>

#include "workload_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

struct Gaps {
  double mean = 0;
  double cv = 0;
};

Gaps gaps_of(const std::vector<RequestSpec>& requests) {
  double sum = 0;
  double squares = 0;
  SimTime last{0};
  for (const RequestSpec& r : requests) {
    const double gap = to_seconds(r.arrival - last).value();
    last = r.arrival;
    sum += gap;
    squares += gap * gap;
  }
  const double n = static_cast<double>(requests.size());
  const double mean = sum / n;
  return {mean, std::sqrt(squares / n - mean * mean) / mean};
}

bool in_order(const std::vector<RequestSpec>& requests) {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].id != i || (i > 0 && requests[i].arrival < requests[i - 1].arrival)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("Poisson gaps have the mean 1/rate and as much spread as mean") {
  const auto requests = requests_of(poisson(8, 200'000));
  REQUIRE(requests.size() == 200'000);
  CHECK(in_order(requests));
  // Standard error of the mean: 0.125 / sqrt(2e5), 0.22 %.
  CHECK(gaps_of(requests).mean == doctest::Approx(0.125).epsilon(0.01));
  CHECK(gaps_of(requests).cv == doctest::Approx(1.0).epsilon(0.01));
}

TEST_CASE("gamma gaps keep the rate and have the spread asked for") {
  for (const double cv : {0.5, 2.0}) {
    WorkloadConfig config = poisson(8, 200'000);
    config.arrivals.process = ArrivalProcess::kGamma;
    config.arrivals.cv = cv;
    const Gaps gaps = gaps_of(requests_of(config));
    CHECK(gaps.mean == doctest::Approx(0.125).epsilon(0.02));
    CHECK(gaps.cv == doctest::Approx(cv).epsilon(0.02));
  }
}

TEST_CASE("hourly factors give each hour of simulated time its share of Poisson arrivals") {
  // 1 /s times 1 in the first 12 hours, 0 in the next 6, 3 in the last 6: 43,200 + 0 + 64,800 = 108,000 requests a day on average.
  WorkloadConfig config = poisson(1, 216'000);
  config.arrivals.hourly_factors.assign(24, 1.0);
  std::fill_n(config.arrivals.hourly_factors.begin() + 12, 6, 0.0);
  std::fill_n(config.arrivals.hourly_factors.begin() + 18, 6, 3.0);
  const auto requests = requests_of(config);
  CHECK(in_order(requests));
  std::array<int, 48> hours{};
  for (const RequestSpec& r : requests) {
    const auto hour = static_cast<std::size_t>(to_seconds(r.arrival).value() / 3600);
    if (hour < hours.size()) ++hours[hour];
  }
  // Standard deviation of an hour's count: 60 of 3,600 and 104 of 10,800; six of them allowed.
  for (std::size_t h = 0; h < 42; ++h) {
    const std::size_t of_day = h % 24;
    if (of_day < 12) CHECK(std::abs(hours[h] - 3600) < 360);
    if (of_day >= 12 && of_day < 18) CHECK(hours[h] == 0);
    if (of_day >= 18) CHECK(std::abs(hours[h] - 10'800) < 624);
  }
}

TEST_CASE("a batch arrives at time zero") {
  WorkloadConfig config = poisson(1, 5);
  config.arrivals.process = ArrivalProcess::kBatch;
  const auto requests = requests_of(config);
  REQUIRE(requests.size() == 5);
  for (const RequestSpec& r : requests) CHECK(r.arrival == SimTime(0));
}

TEST_CASE("a closed loop starts with a burst and sends one request a turnaround after each completion") {
  WorkloadConfig config = poisson(1, 5);
  config.arrivals.process = ArrivalProcess::kClosed;
  config.arrivals.concurrency = 3;
  const auto source = make_request_source(config, 1);
  CHECK(source->closed());
  CHECK(source->total() == 5);
  CHECK(source->turnaround() == SimTime(1'000'000));
  CHECK(drain(*source).size() == 3);
  source->on_finished(2, SimTime(7'000'000));
  const auto fourth = source->next();
  REQUIRE(fourth);
  CHECK(fourth->id == 3);
  CHECK(fourth->arrival == SimTime(8'000'000));
  CHECK_FALSE(source->next());
  // Two completions told late and in reverse: the earlier one still arrives first, and after five requests in all there are no more.
  source->on_finished(1, SimTime(9'500'000));
  source->on_finished(0, SimTime(9'000'000));
  const auto fifth = source->next();
  REQUIRE(fifth);
  CHECK(fifth->arrival == SimTime(10'500'000));
  CHECK_FALSE(source->next());
}

TEST_CASE("a closed loop that hears late of a completion goes on in order of time") {
  WorkloadConfig config = poisson(1, 4);
  config.arrivals.process = ArrivalProcess::kClosed;
  config.arrivals.concurrency = 2;
  const auto source = make_request_source(config, 1);
  source->next();
  source->next();
  source->on_finished(0, SimTime(5'000'000));
  CHECK(source->next()->arrival == SimTime(6'000'000));
  source->on_finished(1, SimTime(2'000'000));  // ended before, told after
  CHECK(source->next()->arrival == SimTime(6'000'000));
}

TEST_CASE("a closed loop of fewer requests than clients stops at its requests") {
  WorkloadConfig config = poisson(1, 2);
  config.arrivals.process = ArrivalProcess::kClosed;
  config.arrivals.concurrency = 3;
  const auto source = make_request_source(config, 1);
  CHECK(drain(*source).size() == 2);
  source->on_finished(0, SimTime(5));
  CHECK_FALSE(source->next());
}

TEST_CASE("the same seed gives the same requests, another seed gives others") {
  WorkloadConfig config = poisson(8, 100);
  config.classes[0].prompt_tokens = LengthConfig::uniform(1, 1000);
  const auto a = requests_of(config, 7);
  const auto b = requests_of(config, 7);
  const auto c = requests_of(config, 8);
  int same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].arrival == b[i].arrival);
    CHECK(a[i].prompt_tokens == b[i].prompt_tokens);
    if (a[i].arrival == c[i].arrival) ++same;
  }
  CHECK(same == 0);
}

TEST_CASE("a change of the rate or of the prompts leaves every other draw alone") {
  WorkloadConfig config = poisson(8, 100);
  config.classes[0].prompt_tokens = LengthConfig::uniform(1, 1000);
  config.classes[0].output_tokens = LengthConfig::lognormal(100, 1.0);
  const auto before = requests_of(config);
  config.arrivals.rate = 16;
  const auto faster = requests_of(config);
  config.classes[0].prompt_tokens = LengthConfig::fixed(5);
  const auto shorter = requests_of(config);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(faster[i].prompt_tokens == before[i].prompt_tokens);
    CHECK(faster[i].output_tokens == before[i].output_tokens);
    // Twice the rate: every arrival at half its time, to the rounding of a nanosecond.
    CHECK(std::abs(2 * faster[i].arrival.count() - before[i].arrival.count()) <= 2);
    CHECK(shorter[i].arrival == faster[i].arrival);
    CHECK(shorter[i].output_tokens == before[i].output_tokens);
  }
}

TEST_CASE("classes come by weight and each has its own lengths and streams") {
  WorkloadConfig config = poisson(8, 40'000);
  config.classes = {WorkloadClass{"chat", 3, LengthConfig::uniform(100, 199), LengthConfig::fixed(1)},
                    WorkloadClass{"code", 1, LengthConfig::uniform(1000, 1999), LengthConfig::fixed(2)}};
  const auto requests = requests_of(config);
  int chat = 0;
  for (const RequestSpec& r : requests) {
    CHECK(r.output_tokens == r.class_id + 1);
    CHECK((r.class_id == 0) == (r.prompt_tokens < 200));
    if (r.class_id == 0) ++chat;
  }
  CHECK(chat == doctest::Approx(30'000).epsilon(0.02));
  // Other prompts for `chat` do not shift those of `code`, nor who is which.
  config.classes[0].prompt_tokens = LengthConfig::fixed(7);
  const auto changed = requests_of(config);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CHECK(changed[i].class_id == requests[i].class_id);
    if (requests[i].class_id == 1) CHECK(changed[i].prompt_tokens == requests[i].prompt_tokens);
  }
}

TEST_CASE("a counting source counts what was really issued") {
  const auto source = make_request_source(poisson(8, 3), 1);
  CountingSource counted(*source);
  CHECK(counted.issued() == 0);
  CHECK(drain(counted).size() == 3);
  CHECK_FALSE(counted.next());
  CHECK(counted.issued() == 3);
}

TEST_CASE("workloads that make no sense are refused") {
  const auto refused = [](auto change) {
    WorkloadConfig config = poisson(8, 100);
    change(config);
    return refusal([&] { make_request_source(config, 1); });
  };
  CHECK(refused([](WorkloadConfig&) {}).empty());
  CHECK(contains(refused([](WorkloadConfig& c) { c.arrivals.rate = 0; }), "arrivals/rate"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.arrivals.rate = 1e-12; }), "95 years"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.requests = 0; }), "requests"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.warmup_requests = 100; }), "warmup_requests"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.classes.clear(); }), "lengths"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.classes.push_back(c.classes[0]); }), "listed twice"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.classes[0].prompt_tokens = LengthConfig::from_trace(); }), "trace"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.arrivals.hourly_factors = {1, 2}; }), "24"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.arrivals.hourly_factors.assign(24, 0.0); }), "not all zero"));
  CHECK(contains(refused([](WorkloadConfig& c) { c.arrivals.process = ArrivalProcess::kClosed; }), "concurrency"));
  CHECK(contains(refused([](WorkloadConfig& c) {
                   c.arrivals.process = ArrivalProcess::kGamma;
                   c.arrivals.cv = -1;
                 }),
                 "cv"));
}
