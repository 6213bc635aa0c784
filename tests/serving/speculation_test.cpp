// Speculative decoding against timelines worked by hand and its laws. A step takes 10 s + 1 s per decoding sequence + 1 s per prompt token.
#include "serving/speculation.hpp"

#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(10, 1, 0, 1);

ClusterConfig drafting(std::vector<double> acceptance, std::int64_t blocks = 1000) {
  ClusterConfig config = small_cluster(blocks);
  config.replica.speculation.acceptance = std::move(acceptance);
  return config;
}

struct Outcome final : Observer {
  void on_replica_end(const ReplicaReport& r) override {
    if (r.speculation != nullptr) total += *r.speculation;
  }
  SpeculationReport total;
};

SpeculationReport report_of(const ClusterConfig& config, RequestSource& source, const StepCost& cost = kCost) {
  Outcome seen;
  simulate(config, cost, source, seen, 1);
  return seen.total;
}

}  // namespace

TEST_CASE("drafts that are all accepted make a step's tokens several at once") {
  // 0-14 the prompt (4): token 1; 14-25 tokens 2 to 4; 25-36 tokens 5 to 7.
  ListSource source({{seconds(0), 4, 7}});
  const RecordingObserver seen = run(drafting({1, 1}), kCost, source);
  CHECK(seen.finished[0].first_token == seconds(14));
  CHECK(seen.finished[0].last_token == seconds(36));
  CHECK(seen.steps.size() == 3);
  CHECK(seen.gap_tokens() == 6);
  CHECK(seen.gaps.size() == 4);
  CHECK(seen.gaps[0].gap == seconds(11));
  CHECK(seen.gaps[1].gap == seconds(0));
  CHECK(seen.gaps[1].tokens == 2);
}

TEST_CASE("drafts that are all rejected make the steps of plain decoding") {
  PoissonSource source(0.02, 200, {1, 20}, {1, 20}, 3);
  PoissonSource plain(0.02, 200, {1, 20}, {1, 20}, 3);
  const RecordingObserver seen = run(drafting({0.0}), kCost, source);
  const RecordingObserver without = run(small_cluster(), kCost, plain);
  CHECK(seen.steps == without.steps);
  CHECK(seen.gap_tokens() == without.gap_tokens());
  REQUIRE(seen.finished.size() == without.finished.size());
  const auto requests = seen.by_id();
  for (const auto& [id, r] : without.by_id()) {
    CHECK(requests.at(id).first_token == r.first_token);
    CHECK(requests.at(id).last_token == r.last_token);
  }
}

TEST_CASE("what is accepted beyond the end of an output counts as rejected") {
  // Output 6: after token 1 five are left: 3, then 2 of 3.
  ListSource source({{seconds(0), 4, 6}});
  const SpeculationReport r = report_of(drafting({1, 1}), source);
  CHECK(r.drafted == 4);
  CHECK(r.accepted == 3);
  CHECK(r.rejected == 1);
  CHECK(r.made == 5);
  CHECK(r.accepted_by_position == std::vector<std::int64_t>{2, 1});
}

TEST_CASE("positions are accepted as often as their chances say") {
  // 0.9, then 0.5 of those, then 0.8 of those: 0.9, 0.45, 0.36; 2.71 tokens a step.
  ListSource source({{seconds(0), 4, 200'001}});
  const SpeculationReport r = report_of(drafting({0.9, 0.5, 0.8}, 1'000'000), source);
  const auto verified = static_cast<double>(r.verified);
  CHECK(static_cast<double>(r.accepted_by_position[0]) / verified == doctest::Approx(0.9).epsilon(0.01));
  CHECK(static_cast<double>(r.accepted_by_position[1]) / verified == doctest::Approx(0.45).epsilon(0.02));
  CHECK(static_cast<double>(r.accepted_by_position[2]) / verified == doctest::Approx(0.36).epsilon(0.02));
  CHECK(static_cast<double>(r.made) / verified == doctest::Approx(2.71).epsilon(0.01));
  CHECK(r.made == 200'000);
}

TEST_CASE("a crowded batch accepts less, a larger one drafts nothing") {
  ClusterConfig config = drafting({1});
  config.replica.speculation.crowded_above = 1;
  config.replica.speculation.crowded_factor = 0;
  ListSource both({{seconds(0), 4, 3}, {seconds(0), 4, 3}});
  CHECK(report_of(config, both).accepted == 0);
  ListSource one({{seconds(0), 4, 3}});
  CHECK(report_of(config, one).accepted == 1);
  config.replica.speculation.most_sequences = 1;
  ListSource two({{seconds(0), 4, 3}, {seconds(0), 4, 3}});
  CHECK(report_of(config, two).drafted == 0);
}

TEST_CASE("tokens, drafts and KV are conserved with scarce blocks") {
  const AffineStepCost cost(0.1, 0.01, 0.0003, 0.05, 0.2);
  for (const PrefillMode mode : {PrefillMode::kMixed, PrefillMode::kSeparate}) {
    for (const bool reuse : {false, true}) {
      ClusterConfig config = drafting({0.8, 0.7, 0.5}, 30);
      config.replica.scheduler.prefill_mode = mode;
      config.replica.kv_reuse.enabled = reuse;
      RecordingObserver seen;
      Replica replica(0, config.replica, cost, seen, 1);
      PoissonSource source(0.6, 1500, {1, 40}, {1, 40}, 9);
      std::int64_t expected = 0;
      while (const auto spec = source.next()) {
        replica.advance_to(spec->arrival);
        replica.enqueue(*spec, spec->arrival);
        expected += spec->output_tokens - 1;
      }
      replica.advance_to(kNever);
      CHECK(seen.finished.size() == 1500);
      CHECK(seen.preempted.size() > 20);
      CHECK(seen.gap_tokens() == expected);
      CHECK(replica.kv_cache().used() == Bytes(0));
      CHECK(replica.outstanding_tokens() == 0);
      const SpeculationReport& r = replica.speculation()->report();
      CHECK(r.drafted == r.accepted + r.rejected);
      CHECK(r.drafted == 3 * r.verified);
      CHECK(r.made == r.accepted + r.verified);
      // Preempted requests make a token in the step that computes them anew.
      CHECK(r.made <= expected);
      CHECK(r.made + static_cast<std::int64_t>(seen.preempted.size()) >= expected);
    }
  }
}
