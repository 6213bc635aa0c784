// Several copies of attention: prompts wait for each other, so that no copy idles while another prefills.
#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

/// First tokens in ms, steps of 10 ms: one request per copy decodes from the start, the others arrive at `arrivals`; those of the first copy's
/// request and of the others.
std::vector<double> first_tokens(int group, int wait, std::initializer_list<std::int64_t> arrivals) {
  ClusterConfig config = small_cluster();
  config.replica.scheduler.prefill_group = group;
  config.replica.scheduler.prefill_wait_steps = wait;
  std::vector<ListedRequest> requests(static_cast<std::size_t>(group), {SimTime(0), 2, 40});
  for (const std::int64_t ms : arrivals) requests.push_back({SimTime(ms * 1'000'000), 2, 3});
  ListSource source(requests);
  const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
  std::vector<double> out(requests.size());
  for (const FinishedRequest& f : seen.finished) out[f.spec.id] = to_seconds(f.first_token).value() * 1e3;
  out.erase(out.begin() + 1, out.begin() + group);
  return out;
}

}  // namespace

TEST_CASE("a prompt starts in the next step where none is held back") {
  // Arrives at 15 ms, in the step from 20 to 30.
  CHECK(first_tokens(1, 5, {15})[1] == doctest::Approx(30));
  CHECK(first_tokens(2, 0, {15})[1] == doctest::Approx(30));
}

TEST_CASE("a lone prompt is held back until so many decode steps have passed, counted from the last that let prompts in") {
  // The steps from 10 to 40 let nobody in, the fifth, from 50, does; the next from 100.
  CHECK(first_tokens(2, 5, {15})[1] == doctest::Approx(60));
  CHECK(first_tokens(2, 5, {45})[1] == doctest::Approx(60));
  CHECK(first_tokens(2, 5, {55})[1] == doctest::Approx(110));
}

TEST_CASE("as many prompts as copies start at once") {
  // The second arrives at 35: both are computed from 40 to 50.
  const std::vector<double> both = first_tokens(2, 5, {15, 35});
  CHECK(both[1] == doctest::Approx(50));
  CHECK(both[2] == doctest::Approx(50));
  // Nothing decodes: nothing to protect.
  CHECK(first_tokens(2, 5, {})[0] == doctest::Approx(10));
}

TEST_CASE("copies of attention compute long prompts side by side, whole or in parts of their own budgets") {
  // Two prompts of 20 tokens at 0, a budget of 8 tokens for each of two copies, steps of 10 ms.
  const auto both = [](bool chunked) {
    ClusterConfig config = small_cluster();
    config.replica.scheduler.prefill_group = 2;
    config.replica.scheduler.max_batch_tokens = 16;
    config.replica.scheduler.chunked_prefill = chunked;
    ListSource source({{SimTime(0), 20, 2}, {SimTime(0), 20, 2}});
    const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
    std::vector<double> out(2);
    for (const FinishedRequest& f : seen.finished) out[f.spec.id] = to_seconds(f.first_token).value() * 1e3;
    return out;
  };
  // Whole: both in the first step. In parts: 8, 8 and 4 tokens each.
  CHECK(both(false)[0] == doctest::Approx(10));
  CHECK(both(false)[1] == doctest::Approx(10));
  CHECK(both(true)[0] == doctest::Approx(30));
  CHECK(both(true)[1] == doctest::Approx(30));
}

TEST_CASE("copies of attention wait for a prompt each, not for as many prompts as copies") {
  // Six requests of 2 tokens at 0, three on each of two copies; two of the first copy end at 30 ms (ids 0 and 2: 3 tokens), the others run on.
  // Two prompts at 55 both go to the first copy, which has fewest requests: the second has none to compute, so they are held until the fifth
  // step from 60 on, that from 100.
  ClusterConfig config = small_cluster();
  config.replica.scheduler.prefill_group = 2;
  config.replica.scheduler.prefill_wait_steps = 5;
  config.replica.scheduler.max_batch_tokens = 16;
  std::vector<ListedRequest> requests;
  for (const std::int32_t tokens : {3, 40, 3, 40, 40, 40}) requests.push_back({SimTime(0), 2, tokens});
  for (int i = 0; i < 2; ++i) requests.push_back({SimTime(55'000'000), 2, 3});
  ListSource source(requests);
  const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
  for (const FinishedRequest& f : seen.finished) {
    if (f.spec.id >= 6) CHECK(to_seconds(f.first_token).value() == doctest::Approx(0.110));
  }
  CHECK(seen.finished.size() == 8);
}

TEST_CASE("a copy of attention computes one long prompt at a time") {
  // A budget of 8 tokens for each of two copies, prompts of 6. Three at 0: two on the first copy, one on the second; the third takes a step of its own.
  ClusterConfig config = small_cluster();
  config.replica.scheduler.prefill_group = 2;
  config.replica.scheduler.prefill_wait_steps = 5;
  config.replica.scheduler.max_batch_tokens = 16;
  config.replica.scheduler.chunked_prefill = false;
  ListSource source({{SimTime(0), 6, 1}, {SimTime(0), 6, 1}, {SimTime(0), 6, 1}});
  const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
  std::vector<double> first(3);
  for (const FinishedRequest& f : seen.finished) first[f.spec.id] = to_seconds(f.first_token).value();
  CHECK(first[0] == doctest::Approx(0.010));
  CHECK(first[1] == doctest::Approx(0.010));
  CHECK(first[2] == doctest::Approx(0.020));
}

TEST_CASE("no prompt is held back while a copy of attention has nothing to decode") {
  // Request 0 runs on the first copy alone; the prompt at 15 goes to the second, that at 35 to the first: then both decode.
  ClusterConfig config = small_cluster();
  config.replica.scheduler.prefill_group = 2;
  config.replica.scheduler.prefill_wait_steps = 5;
  ListSource source({{SimTime(0), 2, 40}, {SimTime(15'000'000), 2, 40}, {SimTime(35'000'000), 2, 3}});
  const RecordingObserver seen = run(config, AffineStepCost(0.010, 0, 0, 0), source);
  std::vector<double> first(3);
  for (const FinishedRequest& f : seen.finished) first[f.spec.id] = to_seconds(f.first_token).value();
  CHECK(first[1] == doctest::Approx(0.030));
  // Steps from 30, 40, 50 and 60 let nobody in, that from 70 does.
  CHECK(first[2] == doctest::Approx(0.080));
}
