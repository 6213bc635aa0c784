// Classes with arrivals of their own, conversations, shared prefixes, bursts, and projections to more traffic.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "support/temporary_folder.hpp"
#include "workload/lengths.hpp"
#include "workload_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

ArrivalConfig poisson_arrivals(double rate) {
  ArrivalConfig arrivals;
  arrivals.rate = rate;
  return arrivals;
}

WorkloadClass plain(const std::string& name, std::int32_t prompt, std::int32_t output) {
  WorkloadClass c;
  c.name = name;
  c.prompt_tokens = LengthConfig::fixed(prompt);
  c.output_tokens = LengthConfig::fixed(output);
  return c;
}

/// Sessions of `turns` turns that think for `seconds` on average, one new session a second.
WorkloadConfig conversations(std::int32_t turns, double seconds, std::uint64_t requests) {
  WorkloadConfig config = poisson(1, requests);
  config.classes[0].sessions.on = true;
  config.classes[0].sessions.turns = LengthConfig::fixed(turns);
  config.classes[0].sessions.think_seconds = seconds;
  return config;
}

/// Answers every request `after` seconds after it arrives, in order of time.
std::vector<RequestSpec> served(RequestSource& source, double after) {
  std::vector<RequestSpec> all;
  std::map<std::pair<SimTime, std::uint64_t>, RequestSpec> arriving;
  std::map<std::pair<SimTime, std::uint64_t>, std::uint64_t> finishing;
  const auto draw = [&] {
    while (const auto spec = source.next()) arriving.emplace(std::pair{spec->arrival, spec->id}, *spec);
  };
  draw();
  while (!arriving.empty() || !finishing.empty()) {
    if (finishing.empty() || (!arriving.empty() && arriving.begin()->first.first < finishing.begin()->first.first)) {
      const RequestSpec spec = arriving.begin()->second;
      arriving.erase(arriving.begin());
      source.on_arrived(spec.id);
      all.push_back(spec);
      finishing.emplace(std::pair{spec.arrival + to_sim_time(Seconds(after)), spec.id}, spec.id);
    } else {
      const auto [key, id] = *finishing.begin();
      finishing.erase(finishing.begin());
      source.on_finished(id, key.first);
    }
    draw();
  }
  return all;
}

}  // namespace

TEST_CASE("classes with arrivals of their own come together in order of time, each at its rate") {
  WorkloadConfig config;
  config.classes = {plain("chat", 100, 10), plain("batch", 2000, 1)};
  config.classes[0].arrivals = poisson_arrivals(3);
  config.classes[1].arrivals = poisson_arrivals(1);
  config.requests = 40'000;
  const auto requests = requests_of(config);
  REQUIRE(requests.size() == 40'000);
  double chat = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CHECK(requests[i].id == i);
    if (i > 0) CHECK(requests[i].arrival >= requests[i - 1].arrival);
    CHECK(requests[i].prompt_tokens == (requests[i].class_id == 0 ? 100 : 2000));
    chat += requests[i].class_id == 0 ? 1 : 0;
  }
  // three quarters; standard error 0.2 %
  CHECK(chat / 40'000 == doctest::Approx(0.75).epsilon(0.015));
  // 4 a second
  CHECK(to_seconds(requests.back().arrival).value() == doctest::Approx(10'000).epsilon(0.02));
}

TEST_CASE("classes without arrivals of their own share the workload's by weight") {
  WorkloadConfig config = poisson(4, 20'000);
  config.classes = {plain("a", 1, 1), plain("b", 2, 1), plain("own", 3, 1)};
  config.classes[0].weight = 3;
  config.classes[2].arrivals = poisson_arrivals(4);
  const auto requests = requests_of(config);
  std::array<double, 3> share{};
  for (const RequestSpec& r : requests) share[static_cast<std::size_t>(r.class_id)] += 1.0 / 20'000;
  CHECK(share[0] == doctest::Approx(0.375).epsilon(0.03));
  CHECK(share[1] == doctest::Approx(0.125).epsilon(0.06));
  CHECK(share[2] == doctest::Approx(0.5).epsilon(0.03));
  const auto means = class_means(config);
  CHECK(means[0].request_share == doctest::Approx(0.375));
  CHECK(means[2].request_share == doctest::Approx(0.5));
  CHECK(means[1].prompt_tokens == 2);
}

TEST_CASE("a conversation's turn comes after the answer and carries all that was said") {
  // prompts of 100, answers of 10: turns have 100, 100 + 10 + 100 = 210, 320 prompt tokens
  const auto source = make_request_source(conversations(3, 5.0, 300), 1);
  CHECK(source->closed());
  const auto requests = served(*source, 2.0);
  REQUIRE(requests.size() == 300);
  std::map<std::int64_t, std::vector<RequestSpec>> sessions;
  for (const RequestSpec& r : requests) sessions[r.session_id].push_back(r);
  double thought = 0;
  double gaps = 0;
  for (const auto& [id, turns] : sessions) {
    CHECK(id >= 0);
    CHECK(turns.size() <= 3);
    for (std::size_t t = 0; t < turns.size(); ++t) {
      CHECK(turns[t].prompt_tokens == 100 + 110 * static_cast<std::int32_t>(t));
      if (t == 0) continue;
      const double gap = to_seconds(turns[t].arrival - turns[t - 1].arrival).value();
      CHECK(gap > 2.0);
      thought += gap - 2.0;
      gaps += 1;
    }
  }
  // exponential of mean 5 s, some 190 of them: standard error 7 %
  CHECK(thought / gaps == doctest::Approx(5.0).epsilon(0.25));
}

TEST_CASE("conversations end at the longest context, and the same seed tells the same ones") {
  WorkloadConfig config = conversations(50, 1.0, 400);
  config.classes[0].sessions.max_context = 400;  // 100, 210, 320; the next would be 430
  const auto source = make_request_source(config, 1);
  const auto requests = served(*source, 1.0);
  std::int32_t longest = 0;
  for (const RequestSpec& r : requests) longest = std::max(longest, r.prompt_tokens);
  CHECK(longest == 320);
  const auto again = make_request_source(config, 1);
  const auto same = served(*again, 1.0);
  REQUIRE(same.size() == requests.size());
  for (std::size_t i = 0; i < same.size(); ++i) CHECK(same[i].arrival == requests[i].arrival);
}

TEST_CASE("shared prefixes come before the prompt's own tokens, the popular ones more often") {
  WorkloadConfig config = poisson(8, 30'000);
  config.classes[0].prefix = {1200, 4, 1.0};
  std::map<std::int64_t, double> used;
  for (const RequestSpec& r : requests_of(config)) {
    CHECK(r.prompt_tokens == 1300);
    CHECK(r.prefix_tokens == 1200);
    used[r.prefix_id] += 1.0 / 30'000;
  }
  REQUIRE(used.size() == 4);
  // 1, 1/2, 1/3, 1/4 of a sum of 2.0833
  CHECK(used.begin()->second == doctest::Approx(0.48).epsilon(0.03));
  CHECK(used.rbegin()->second == doctest::Approx(0.12).epsilon(0.06));
  // two classes never share one
  WorkloadConfig two = poisson(8, 100);
  two.classes = {plain("a", 10, 1), plain("b", 10, 1)};
  two.classes[0].prefix = two.classes[1].prefix = {64, 1, 0};
  std::map<std::int64_t, std::int32_t> owner;
  for (const RequestSpec& r : requests_of(two)) CHECK(owner.emplace(r.prefix_id, r.class_id).first->second == r.class_id);
}

TEST_CASE("modulated arrivals keep the mean rate and come in bursts") {
  // 2 /s for 90 s, 20 /s for 10 s on average: 380 requests in 100 s
  WorkloadConfig config = poisson(1, 200'000);
  config.arrivals.process = ArrivalProcess::kMarkovModulated;
  config.arrivals.states = {{2, 90}, {20, 10}};
  CHECK(mean_rate(config.arrivals) == doctest::Approx(3.8));
  const auto requests = requests_of(config);
  CHECK(200'000 / to_seconds(requests.back().arrival).value() == doctest::Approx(3.8).epsilon(0.08));
  // Counts of 10 s: variance over mean is 1 for Poisson; here the rate's variance of 0.1 x 0.9 x 18^2 = 29 adds 10^2 x 29 / 38, less what
  // states shorter than the window take
  std::map<std::int64_t, double> count;
  for (const RequestSpec& r : requests) count[r.arrival.count() / 10'000'000'000] += 1;
  const double windows = static_cast<double>(count.rbegin()->first + 1);
  double squares = 0;
  for (const auto& [window, n] : count) squares += n * n;
  const double mean = 200'000 / windows;
  const double dispersion = (squares / windows - mean * mean) / mean;
  CHECK(dispersion > 20);
  CHECK(dispersion < 77);
}

TEST_CASE("a silent state brings nothing") {
  WorkloadConfig config = poisson(1, 1000);
  config.arrivals.process = ArrivalProcess::kMarkovModulated;
  config.arrivals.states = {{0, 50}, {10, 50}};
  CHECK(requests_of(config).size() == 1000);
  config.arrivals.states = {{0, 50}, {0, 50}};
  CHECK(contains(refusal([&] { requests_of(config); }), "states"));
}

TEST_CASE("twice the traffic is twice the requests in the same time") {
  WorkloadConfig config = poisson(4, 10'000);
  config.warmup_requests = 100;
  const double before = to_seconds(requests_of(config).back().arrival).value();
  scale_workload(config, 2.5, "--scale");
  CHECK(config.requests == 25'000);
  CHECK(config.warmup_requests == 250);
  CHECK(to_seconds(requests_of(config).back().arrival).value() == doctest::Approx(before).epsilon(0.03));
  CHECK(contains(refusal([&] { scale_workload(config, 0, "--scale"); }), "--scale"));
}

TEST_CASE("rates scale for every class and count the turns of sessions") {
  // 2 sessions of 3 turns and 1 request a second: 7 requests
  WorkloadConfig config = conversations(3, 1.0, 100);
  config.arrivals.rate = 2;
  config.classes.push_back(plain("own", 10, 1));
  config.classes[1].arrivals = poisson_arrivals(1);
  resolve_workload(config);
  CHECK(mixes(config));
  CHECK(request_rate(config) == doctest::Approx(7));
  scale_rates(config, 3);
  CHECK(request_rate(config) == doctest::Approx(21));
  CHECK(config.requests == 100);
  CHECK_FALSE(mixes(poisson(1, 10)));
}

TEST_CASE("a trace projected to more traffic keeps its day: copies arrive with their row or up to a minute later") {
  const TemporaryFolder folder;
  std::string text = "arrival_s,prompt_tokens,output_tokens\n";
  for (int i = 0; i < 1000; ++i) text += std::to_string(i * 10) + "," + std::to_string(i + 1) + ",5\n";
  WorkloadConfig config = trace(folder.write("t.csv", text));
  resolve_workload(config);
  scale_workload(config, 2.5, "--scale");
  CHECK(config.requests == 2500);
  const auto requests = requests_of(config);
  REQUIRE(requests.size() == 2500);
  std::map<std::int32_t, int> copies;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CHECK(requests[i].id == i);
    if (i > 0) CHECK(requests[i].arrival >= requests[i - 1].arrival);
    const double late = to_seconds(requests[i].arrival).value() - 10.0 * (requests[i].prompt_tokens - 1);
    CHECK(late >= 0);
    CHECK(late <= 60);
    ++copies[requests[i].prompt_tokens];
  }
  REQUIRE(copies.size() == 1000);
  for (const auto& [row, times] : copies) CHECK((times == 2 || times == 3));
  // and to less: every fourth row
  WorkloadConfig quarter = trace(folder.path() / "t.csv");
  resolve_workload(quarter);
  scale_workload(quarter, 0.25, "--scale");
  CHECK(requests_of(quarter).size() == 250);
}

TEST_CASE("mean lengths follow from the distributions") {
  CHECK(mean_tokens(LengthConfig::fixed(7)) == 7);
  CHECK(mean_tokens(LengthConfig::uniform(10, 20)) == 15);
  CHECK(mean_tokens(LengthConfig::empirical({{10, 1}, {40, 2}})) == doctest::Approx(30));
  const LengthConfig clamped = LengthConfig::lognormal(500, 1.0, 100, 2000);
  LengthSampler sampler(clamped);
  RandomStream random(1, "test");
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) sum += sampler.draw(random) / 1e5;
  CHECK(mean_tokens(clamped) == doctest::Approx(sum).epsilon(0.01));
}

TEST_CASE("classes with all their features are read, and wrong ones refused") {
  const std::string lengths = R"("prompt_tokens": {"distribution": "fixed", "value": 10}, "output_tokens": {"distribution": "fixed", "value": 5})";
  const auto one = [&](const std::string& more) { return R"({"classes": [{"name": "x", )" + lengths + ", " + more + "}]}"; };
  const WorkloadConfig c = parse(one(R"("arrivals": {"process": "markov_modulated", "states": [{"rate": "1 /s", "duration": "1 min"}, {"rate": "9 /s", "duration": "5 s"}]},
      "prefix": {"tokens": 500, "count": 3}, "sessions": {"turns": {"distribution": "uniform", "low": 1, "high": 9}, "think_time": "20 s", "max_context": 4096},
      "priority": 2)"));
  REQUIRE(c.classes.size() == 1);
  CHECK(c.classes[0].arrivals->states[1].rate == 9);
  CHECK(c.classes[0].prefix.count == 3);
  CHECK(c.classes[0].sessions.think_seconds == 20);
  CHECK(c.classes[0].priority == 2);
  CHECK(contains(refusal([&] { parse(R"({"classes": [{"name": "x", )" + lengths + "}]}"); }), "arrivals"));
  CHECK(contains(refusal([&] { parse(one(R"("arrivals": {"process": "closed", "concurrency": 4})")); }), "arrivals"));
  CHECK(contains(refusal([&] { parse(one(R"("arrivals": {"process": "poisson", "rate": "1 /s"}, "sesions": {})")); }), "sessions"));
  CHECK(contains(refusal([&] { parse(one(R"("arrivals": {"process": "poisson", "rate": "1 /s"}, "prefix": {"tokens": 0})")); }), "tokens"));
  CHECK(contains(refusal([&] {
                   parse(R"({"arrivals": {"process": "closed", "concurrency": 2}, "sessions": {"turns": {"distribution": "fixed", "value": 2}}, )" + lengths + "}");
                 }),
                 "closed loop"));
}
