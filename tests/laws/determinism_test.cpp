// Inline stepping is an optimisation, not a model: every step as an event of one queue gives the same bytes.
#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(0.1, 0.01, 0.0003, 0.05, 0.2);

std::string open_loop(ClusterConfig config, const StepCost& cost, std::uint64_t seed) {
  PoissonSource source(0.3 * config.replicas, 250, {1, 30}, {1, 40}, seed);
  return run(config, cost, source, seed).text();
}

std::string closed_loop(ClusterConfig config, const StepCost& cost, std::uint64_t seed, SimTime turnaround) {
  ClosedSource source(4 * config.replicas, 250, turnaround, {1, 30}, {1, 40}, seed);
  return run(config, cost, source, seed).text();
}

ClusterConfig cluster(int replicas, RequestRouting routing, PrefillMode mode) {
  ClusterConfig config = small_cluster(30);
  config.replicas = replicas;
  config.routing = routing;
  config.replica.scheduler.prefill_mode = mode;
  return config;
}

}  // namespace

TEST_CASE("stepping inline gives the bytes of stepping one by one through the queue") {
  const AffineStepCost lockstep(1, 0, 0, 0);  // replicas whose steps end at the same instants
  for (const int replicas : {1, 2, 5}) {
    for (const RequestRouting routing : {RequestRouting::kRoundRobin, RequestRouting::kLeastOutstandingTokens}) {
      for (const PrefillMode mode : {PrefillMode::kMixed, PrefillMode::kSeparate}) {
        const ClusterConfig inline_steps = cluster(replicas, routing, mode);
        ClusterConfig single_steps = inline_steps;
        single_steps.step_by_step = true;
        CAPTURE(replicas);
        CAPTURE(static_cast<int>(routing));
        CAPTURE(static_cast<int>(mode));
        for (const StepCost* cost : {static_cast<const StepCost*>(&kCost), static_cast<const StepCost*>(&lockstep)}) {
          CHECK(open_loop(inline_steps, *cost, 5) == open_loop(single_steps, *cost, 5));
          for (const SimTime turnaround : {SimTime{0}, seconds(1)}) {
            CHECK(closed_loop(inline_steps, *cost, 5, turnaround) == closed_loop(single_steps, *cost, 5, turnaround));
          }
        }
      }
    }
  }
}

TEST_CASE("requests that all arrive at once run alike inline and one by one") {
  ClusterConfig config = cluster(3, RequestRouting::kLeastOutstandingTokens, PrefillMode::kMixed);
  std::string text[2];
  for (const bool single : {false, true}) {
    config.step_by_step = single;
    ListSource source(std::vector<ListedRequest>(200, {seconds(0), 9, 17}));
    text[single ? 1 : 0] = run(config, kCost, source).text();
  }
  CHECK(text[0] == text[1]);
}

TEST_CASE("the same seed gives the same bytes and another seed others") {
  const ClusterConfig config = cluster(3, RequestRouting::kLeastOutstandingTokens, PrefillMode::kMixed);
  CHECK(open_loop(config, kCost, 1) == open_loop(config, kCost, 1));
  CHECK(open_loop(config, kCost, 1) != open_loop(config, kCost, 2));
  CHECK(closed_loop(config, kCost, 1, seconds(1)) == closed_loop(config, kCost, 1, seconds(1)));
}

TEST_CASE("a replica's steps do not depend on what other replicas draw") {
  // Round-robin over two replicas: replica 0 serves requests 0, 2, 4, ... as a lone replica serves them.
  std::vector<ListedRequest> both;
  std::vector<ListedRequest> even;
  for (int i = 0; i < 200; ++i) {
    both.push_back({seconds(2 * i), 1 + i % 13, 1 + i % 7});
    if (i % 2 == 0) even.push_back(both.back());
  }
  ListSource all(both);
  ListSource half(even);
  const auto two = run(cluster(2, RequestRouting::kRoundRobin, PrefillMode::kMixed), kCost, all);
  const auto one = run(cluster(1, RequestRouting::kRoundRobin, PrefillMode::kMixed), kCost, half);
  std::vector<RecordingObserver::Step> first;
  for (const auto& s : two.steps) {
    if (s.replica == 0) first.push_back(s);
  }
  CHECK(first.size() > 100);
  CHECK(first == one.steps);
}
