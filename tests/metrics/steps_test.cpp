#include "metrics/step_metrics.hpp"
#include "metrics_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

constexpr auto kGemm = static_cast<std::size_t>(StepPart::kDenseGemm);
constexpr auto kHost = static_cast<std::size_t>(StepPart::kHost);

/// 1 s of GEMM (measured), 1 s of host, 2 s of attention (interpolated), 3 s of experts and 1 s of all-to-all (datasheet): 8 s.
struct Step {
  PreparedStep prepared;
  StepOutcome outcome;
  StepRecord record;

  Step() {
    prepared.decode_sequences = 4;
    prepared.fixed_parts[kGemm] = 1;
    prepared.fixed_parts[kHost] = 1;
    prepared.fixed_origins[static_cast<std::size_t>(Origin::kMeasured)] = 1;
    outcome = {.seconds = 8,
               .attention_seconds = 2,
               .experts_seconds = 3,
               .all_to_all_seconds = 1,
               .hottest_over_mean = 1.5,
               .distinct_experts = 6,
               .attention_origin = Origin::kInterpolated,
               .experts_origin = Origin::kDatasheet};
    record.end = at(8);
    record.running = 5;
    record.kv_tokens_used = 100;
    record.prepared = &prepared;
    record.outcome = &outcome;
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
};

}  // namespace

TEST_CASE("a step's time is divided by part and adds up") {
  StepMetrics m(1, {1000});
  const Step step;
  m.on_step(step.record);
  CHECK(m.decode().steps == 1);
  CHECK(m.prefill().steps == 0);
  CHECK(m.decode().mean_seconds() == doctest::Approx(8));
  CHECK(m.decode().share(StepPart::kDenseGemm) == doctest::Approx(0.125));
  CHECK(m.decode().share(StepPart::kHost) == doctest::Approx(0.125));
  CHECK(m.decode().share(StepPart::kAttention) == doctest::Approx(0.25));
  CHECK(m.decode().share(StepPart::kExperts) == doctest::Approx(0.375));
  CHECK(m.decode().share(StepPart::kAllToAll) == doctest::Approx(0.125));
  double sum = 0;
  for (int part = 0; part < kStepParts; ++part) sum += m.decode().share(static_cast<StepPart>(part));
  CHECK(sum == doctest::Approx(1));
}

TEST_CASE("steps with prefill are kept apart from steps that only decode") {
  StepMetrics m(1, {1000});
  const Step decode;
  Step mixed;
  mixed.prepared.pure_decode = false;
  mixed.prepared.decode_sequences = 100;
  mixed.outcome.seconds = 20;
  m.on_step(decode.record);
  m.on_step(mixed.record);
  m.on_step(mixed.record);
  CHECK(m.decode().steps == 1);
  CHECK(m.prefill().steps == 2);
  CHECK(m.prefill().mean_seconds() == doctest::Approx(20));
  CHECK(m.steps() == 3);
  CHECK(m.mean_decode_batch() == doctest::Approx(4));
  CHECK(m.mean_running() == doctest::Approx(5));
}

TEST_CASE("origins are shares of the kernel time, host left out") {
  // 1 s measured, 2 s interpolated, 3 + 1 s datasheet: of 7 s.
  StepMetrics m(1, {1000});
  CHECK(m.origin_shares()[0] == 0);
  const Step step;
  m.on_step(step.record);
  const auto shares = m.origin_shares();
  CHECK(shares[static_cast<std::size_t>(Origin::kMeasured)] == doctest::Approx(1.0 / 7));
  CHECK(shares[static_cast<std::size_t>(Origin::kInterpolated)] == doctest::Approx(2.0 / 7));
  CHECK(shares[static_cast<std::size_t>(Origin::kDatasheet)] == doctest::Approx(4.0 / 7));
}

TEST_CASE("expert load is reported over steps") {
  StepMetrics m(1, {1000});
  Step step;
  m.on_step(step.record);
  step.outcome.hottest_over_mean = 2.5;
  step.outcome.distinct_experts = 8;
  m.on_step(step.record);
  CHECK(m.hottest_over_mean().mean() == doctest::Approx(2));
  CHECK(m.hottest_over_mean().quantile(0.5) == doctest::Approx(1.5).epsilon(0.001));
  CHECK(m.hottest_over_mean().quantile(0.99) == doctest::Approx(2.5).epsilon(0.001));
  CHECK(m.mean_distinct_experts() == doctest::Approx(7));
}

TEST_CASE("utilisation is busy time over the run, of each replica") {
  // Replica 0 steps 8 s of 20, replica 1 not at all. KV: 100 tokens for 8 s, 400 for 2 s: 1600 / 10 = 160 of 1000.
  StepMetrics m(2, {1000});
  Step step;
  m.on_step(step.record);
  CHECK(m.utilisation(0) == 0);
  step.record.start = at(10);
  step.record.end = at(12);
  step.record.kv_tokens_used = 400;
  m.on_step(step.record);
  m.on_end(at(20));
  CHECK(m.utilisation(0) == doctest::Approx(0.5));
  CHECK(m.utilisation(1) == 0);
  CHECK(m.mean_utilisation() == doctest::Approx(0.25));
  CHECK(m.mean_kv_utilisation() == doctest::Approx(0.16));
  CHECK(m.peak_kv_utilisation() == doctest::Approx(0.4));
}

TEST_CASE("where tokens take different room the KV cache is as full as its bytes are") {
  // 400 tokens of context hold 300 of 600 bytes: layers with a window have dropped some of it. 8 s, then 600 bytes for 2 s: (300 x 8 + 600 x 2) / 10 = 360.
  StepMetrics m(1, {100, Bytes(600)});
  Step step;
  step.record.kv_tokens_used = 400;
  step.record.kv_bytes_used = Bytes(300);
  m.on_step(step.record);
  step.record.start = at(10);
  step.record.end = at(12);
  step.record.kv_bytes_used = Bytes(600);
  m.on_step(step.record);
  m.on_end(at(20));
  CHECK(m.mean_kv_utilisation() == doctest::Approx(0.6));
  CHECK(m.peak_kv_utilisation() == doctest::Approx(1));
}
