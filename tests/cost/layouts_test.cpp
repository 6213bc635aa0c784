// How a step is cut over GPUs.
#include <doctest/doctest.h>

#include <array>

#include "cost/deployment_cost.hpp"
#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

PreparedStep prepared(const DeploymentCost& cost, std::int32_t decode, std::span<const PrefillChunk> chunks = {}) {
  PreparedStep out;
  cost.prepare(decode, chunks, out);
  return out;
}

double part(const PreparedStep& step, StepPart p) { return step.fixed_parts[static_cast<std::size_t>(p)]; }

}  // namespace

TEST_CASE("tensor ranks share the weights and pay two all-reduces a layer") {
  const CostBench one(dense_model());
  const CostBench four(dense_model(), layout(4, 1, 1, 1));
  const DeploymentCost one_cost(one.inputs);
  const DeploymentCost four_cost(four.inputs);
  const PreparedStep alone = prepared(one_cost, 16);
  const PreparedStep shared = prepared(four_cost, 16);
  CHECK(part(alone, StepPart::kAllReduce) == 0);
  // 16 tokens x 4096 x 2 bytes, twice in 32 layers; and the logits' gather, 16 x 32000 x 2 bytes
  const double reduce = four.kernels->collective({CollectiveKind::kAllReduce, 16.0 * 4096 * 2, 4, 1, true}).seconds;
  const double gather = four.kernels->collective({CollectiveKind::kAllGather, 16.0 * 32000 * 2, 4, 1, true}).seconds;
  CHECK(part(shared, StepPart::kAllReduce) == doctest::Approx(64 * reduce + gather));
  CHECK(part(shared, StepPart::kDenseGemm) < 0.5 * part(alone, StepPart::kDenseGemm));
  CHECK(part(shared, StepPart::kDenseGemm) > 0.25 * part(alone, StepPart::kDenseGemm));
}

TEST_CASE("a prefill step lets collectives leave the graph and samples only ended prompts") {
  const CostBench bench(dense_model(), layout(4, 1, 1, 1));
  const DeploymentCost cost(bench.inputs);
  const PrefillChunk open{512, 0, false};
  const PrefillChunk ended{512, 0, true};
  const PreparedStep unfinished = prepared(cost, 0, {&open, 1});
  const PreparedStep finished = prepared(cost, 0, {&ended, 1});
  CHECK(part(unfinished, StepPart::kLmHead) == 0);
  CHECK(part(finished, StepPart::kLmHead) > 0);
  CHECK(part(finished, StepPart::kDenseGemm) == part(unfinished, StepPart::kDenseGemm));
  CHECK_FALSE(finished.pure_decode);
}

TEST_CASE("chunks of one step share their attention launches") {
  const CostBench bench(dense_model());
  const DeploymentCost cost(bench.inputs);
  const std::array<PrefillChunk, 8> eight = {PrefillChunk{128, 0, true},
                                             {128, 0, true},
                                             {128, 0, true},
                                             {128, 0, true},
                                             {128, 0, true},
                                             {128, 0, true},
                                             {128, 0, true},
                                             {128, 0, true}};
  const double one = part(prepared(cost, 0, {eight.data(), 1}), StepPart::kAttention);
  const double all = part(prepared(cost, 0, eight), StepPart::kAttention);
  CHECK(all > one);
  CHECK(all < 8 * one - 7 * 32 * 5e-6);  // a launch is more than 5 us, 32 layers
}

TEST_CASE("the busiest attention copy sets the pace of data-parallel attention") {
  const CostBench bench(moe_model(), layout(1, 1, 4, 4));
  const DeploymentCost cost(bench.inputs);
  const CostBench single(moe_model());
  const DeploymentCost alone(single.inputs);
  // 10 sequences over 4 copies: the busiest has 3, and its projections cost what 3 cost on one GPU
  CHECK(part(prepared(cost, 10), StepPart::kDenseGemm) == doctest::Approx(part(prepared(alone, 3), StepPart::kDenseGemm)));
  // four chunks of 100 land on four copies; five on one copy twice
  const std::array<PrefillChunk, 5> chunks = {PrefillChunk{100, 0, true}, {100, 0, true}, {100, 0, true}, {100, 0, true}, {100, 0, true}};
  const double four = part(prepared(cost, 0, {chunks.data(), 4}), StepPart::kDenseGemm);
  const double five = part(prepared(cost, 0, chunks), StepPart::kDenseGemm);
  CHECK(four == doctest::Approx(part(prepared(alone, 0, {chunks.data(), 1}), StepPart::kDenseGemm)));
  CHECK(five == doctest::Approx(part(prepared(alone, 0, {chunks.data(), 2}), StepPart::kDenseGemm)));
}

TEST_CASE("data-parallel attention gathers and scatters, or dispatches, as the engine does") {
  CostBench gathering(moe_model(64, 4, 1408), layout(1, 1, 8, 8));
  const DeploymentCost gather_cost(gathering.inputs);
  const PreparedStep gathered = prepared(gather_cost, 64);
  const double whole = 64.0 * 4096 * 2;
  const double gather = gathering.kernels->collective({CollectiveKind::kAllGather, whole, 8, 1, true}).seconds;
  const double scatter = gathering.kernels->collective({CollectiveKind::kReduceScatter, whole, 8, 1, true}).seconds;
  CHECK(part(gathered, StepPart::kAllToAll) == doctest::Approx(32 * (gather + scatter)));
  CHECK(gather_cost.expected(gathered, 64000).all_to_all_seconds == 0);
  for (const auto kind : {ExpertParallelComm::kAllToAll, ExpertParallelComm::kDeepEp, ExpertParallelComm::kNvlinkOneSided}) {
    gathering.inputs.engine.expert_comm = kind;
    const DeploymentCost cost(gathering.inputs);
    const PreparedStep step = prepared(cost, 64);
    CHECK(part(step, StepPart::kAllToAll) == 0);
    CHECK(cost.expected(step, 64000).all_to_all_seconds > 32 * 2 * 5e-6);
  }
}

TEST_CASE("tensor-parallel attention with expert-parallel experts needs no dispatch") {
  CostBench bench(moe_model(64, 4, 1408), layout(8, 1, 8, 1));
  bench.inputs.engine.expert_comm = ExpertParallelComm::kDeepEp;
  const DeploymentCost cost(bench.inputs);
  const PreparedStep step = prepared(cost, 64);
  CHECK(part(step, StepPart::kAllToAll) == 0);
  CHECK(cost.expected(step, 64000).all_to_all_seconds == 0);
  CHECK(cost.expected(step, 64000).hottest_over_mean > 1);
}

TEST_CASE("pipeline stages run micro-batches of an equal share") {
  const CostBench one(dense_model());
  const CostBench four(dense_model(), layout(1, 4, 1, 1));
  const DeploymentCost one_cost(one.inputs);
  const DeploymentCost four_cost(four.inputs);
  // One sequence passes all stages one after the other: the layers of one GPU and four hand-overs.
  const double hand_overs = part(prepared(four_cost, 1), StepPart::kPipeline);
  CHECK(hand_overs > 4 * 8e-6);
  CHECK(four_cost.steady_decode(1, 1000) == doctest::Approx(one_cost.steady_decode(1, 1000) + hand_overs));
  // 64 sequences: four micro-batches of 16, all in flight. Every sequence gets a token in the time of 16 on one GPU.
  const double round = four_cost.steady_decode(64, 1000) - part(prepared(four_cost, 64), StepPart::kPipeline);
  CHECK(round == doctest::Approx(one_cost.steady_decode(16, 1000)).epsilon(0.01));
  CHECK(round < one_cost.steady_decode(64, 1000));
}

TEST_CASE("layers that do not divide evenly leave the stages waiting for the fullest") {
  ModelSpec model = dense_model();
  model.layers.front().count = 33;  // over 4 stages: 9 on the fullest, as if there were 36
  const CostBench odd(model, layout(1, 4, 1, 1));
  model.layers.front().count = 36;
  const CostBench even(model, layout(1, 4, 1, 1));
  CHECK(DeploymentCost(odd.inputs).steady_decode(8, 1000) == doctest::Approx(DeploymentCost(even.inputs).steady_decode(8, 1000)));
}

TEST_CASE("soft routing runs all experts without a sampler") {
  ModelSpec model = moe_model(8, 2, 1408);
  model.layers.front().moe.soft_routing = true;
  const CostBench bench(model);
  const DeploymentCost cost(bench.inputs);
  const PreparedStep step = prepared(cost, 4);
  // 8 experts x 3 x 4096 x 1408 x 2 bytes in 32 layers
  CHECK(part(step, StepPart::kExperts) > 32.0 * 8 * 3 * 4096 * 1408 * 2 / 3e12);
  CHECK(cost.expected(step, 4000).experts_seconds == 0);
}
