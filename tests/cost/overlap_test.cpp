// Communication hidden behind computation, micro-batches of a pipeline, and what collectives put on the links.
#include <doctest/doctest.h>

#include <array>

#include "cost/deployment_cost.hpp"
#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

/// 64 experts, six a token, a shared expert; data-parallel attention over `gpus`, tokens dispatched.
CostBench dispatching(int gpus) {
  ModelSpec model = moe_model(64, 6, 1408);
  model.layers.front().moe.shared_inter = 2816;
  CostBench bench(std::move(model), layout(1, 1, gpus, gpus));
  bench.inputs.engine.expert_comm = ExpertParallelComm::kDeepEp;
  return bench;
}

StepOutcome decode(const CostBench& bench, int batch, PreparedStep* keep = nullptr) {
  const DeploymentCost cost(bench.inputs);
  PreparedStep step;
  cost.prepare(batch, {}, step);
  if (keep != nullptr) *keep = step;
  return cost.expected(step, 1000 * batch);
}

double part(const PreparedStep& step, StepPart p) { return step.fixed_parts[static_cast<std::size_t>(p)]; }

}  // namespace

TEST_CASE("without overlap nothing is hidden, and the outcome is the sum of its parts") {
  const StepOutcome step = decode(dispatching(8), 256);
  CHECK(step.hidden_seconds == 0);
  CHECK(step.contention_seconds == 0);
  CHECK(step.offload_seconds == 0);
}

TEST_CASE("shared experts hide as much of the all-to-all as they take, no more") {
  CostBench bench = dispatching(8);
  const StepOutcome plain = decode(bench, 256);
  bench.inputs.engine.overlap.shared_expert = true;
  PreparedStep prepared;
  const StepOutcome hiding = decode(bench, 256, &prepared);
  // Two products of the shared expert in 32 layers, on the 32 tokens of the busiest copy.
  const double shared = prepared.may_hide_seconds;
  CHECK(shared > 0);
  CHECK(shared < part(prepared, StepPart::kDenseGemm));
  CHECK(hiding.hidden_seconds == doctest::Approx(std::min(shared, plain.all_to_all_seconds)));
  CHECK(hiding.seconds == doctest::Approx(plain.seconds - hiding.hidden_seconds));
  // Tensor-parallel attention has no all-to-all to hide.
  CostBench tensor(moe_model(64, 6, 1408), layout(8, 1, 8, 1));
  tensor.inputs.engine.overlap.shared_expert = true;
  CHECK(decode(tensor, 256).hidden_seconds == 0);
}

TEST_CASE("on a stream of their own shared experts cost their bytes at full bandwidth, in decode steps up to the engine's limit") {
  ModelSpec model = moe_model(64, 6, 1408);
  model.layers.front().moe.shared_inter = 2816;
  CostBench bench(std::move(model), layout(1, 1, 1, 1));
  const auto products = [&](int batch) {
    PreparedStep step;
    decode(bench, batch, &step);
    return part(step, StepPart::kDenseGemm);
  };
  const double in_turn = products(16), wide = products(64);
  bench.inputs.model.layers.front().moe.shared_inter = 0;
  const double none = products(16);
  bench.inputs.model.layers.front().moe.shared_inter = 2816;
  bench.inputs.engine.shared_expert_stream = 32;
  // Three matrices of hidden x 2816 in each layer.
  const ModelSpec& m = bench.inputs.model;
  const double bytes = 3.0 * m.hidden * 2816 * bytes_per_weight(bench.inputs.precision.weights) * m.layer_count();
  const double seconds = bytes / bench.inputs.gpu.memory_bandwidth.value() * bench.inputs.engine.kernel_multiplier;
  CHECK(products(16) - none == doctest::Approx(seconds).epsilon(0.01));
  CHECK(products(16) < in_turn);
  CHECK(products(64) == wide);
  // A step with prefill needs the arithmetic for the routed experts.
  const DeploymentCost beside(bench.inputs);
  bench.inputs.engine.shared_expert_stream = 0;
  const DeploymentCost after(bench.inputs);
  const PrefillChunk chunk{8, 0, true};
  PreparedStep a, b;
  beside.prepare(4, {&chunk, 1}, a);
  after.prepare(4, {&chunk, 1}, b);
  CHECK(a.fixed_seconds == b.fixed_seconds);
}

TEST_CASE("two half batches read the weights twice and hide all communication but the ends, as far as there is computation") {
  CostBench bench = dispatching(16);  // two nodes: much to hide
  const StepOutcome plain = decode(bench, 16 * 128);
  const StepOutcome half = decode(bench, 16 * 64);
  bench.inputs.engine.overlap.two_batch = true;
  const StepOutcome both = decode(bench, 16 * 128);
  CHECK(both.experts_seconds == doctest::Approx(2 * half.experts_seconds).epsilon(0.02));
  CHECK(both.experts_seconds > plain.experts_seconds);
  CHECK(both.all_to_all_seconds == doctest::Approx(2 * half.all_to_all_seconds).epsilon(0.02));
  CHECK(both.hidden_seconds > 0.5 * both.all_to_all_seconds);
  CHECK(both.hidden_seconds <= (1 - 0.5 / 32) * both.all_to_all_seconds * (1 + 1e-9));
  // Not more than there is to compute, whatever the network.
  bench.inputs.node.scale_out_bandwidth = BytesPerSecond(1e9);
  PreparedStep prepared;
  const StepOutcome slow = decode(bench, 16 * 128, &prepared);
  CHECK(slow.hidden_seconds == doctest::Approx(prepared.may_hide_seconds + slow.attention_seconds + slow.experts_seconds));
  CHECK(slow.seconds > slow.all_to_all_seconds);
}

TEST_CASE("a batch too small for two halves runs whole") {
  CostBench bench = dispatching(8);
  const StepOutcome plain = decode(bench, 8 * 16);
  bench.inputs.engine.overlap.two_batch = true;
  CHECK(decode(bench, 8 * 16).seconds == plain.seconds);
}

TEST_CASE("others on the same links stretch what the cards do, and nothing else") {
  const CostBench bench = dispatching(16);
  const DeploymentCost cost(bench.inputs);
  PreparedStep step;
  cost.prepare(512, {}, step);
  const StepOutcome alone = cost.expected(step, 512'000);
  CHECK(alone.draw_traffic.scale_out_seconds > 0);
  CHECK(alone.draw_traffic.scale_out_seconds < alone.all_to_all_seconds);
  step.network_slowdown = 1.5;
  const StepOutcome shared = cost.expected(step, 512'000);
  CHECK(shared.contention_seconds == doctest::Approx(0.5 * (alone.draw_traffic.scale_out_seconds + step.fixed_traffic.scale_out_seconds)));
  CHECK(shared.seconds == doctest::Approx(alone.seconds + shared.contention_seconds));
  // On one node nothing crosses.
  const CostBench node = dispatching(8);
  const DeploymentCost inside(node.inputs);
  inside.prepare(512, {}, step);
  step.network_slowdown = 2;
  CHECK(inside.expected(step, 512'000).contention_seconds == 0);
}

TEST_CASE("dispatched bytes: a GPU sends its tokens' rows over NVLink, and over its card what leaves the node") {
  const CostBench bench = dispatching(16);
  const StepOutcome step = decode(bench, 16 * 32);
  // Low latency mode, 32 layers; 32 tokens a GPU x 6 experts, half of them on the other node; bf16 out (bf16 experts) and back, 16 bytes of indices.
  const double rows = 32.0 * 32 * 6 * 0.5;
  CHECK(step.draw_traffic.scale_out_bytes == doctest::Approx(rows * (4096 * 2 + 16 + 4096 * 2)).epsilon(0.01));
  CHECK(step.draw_traffic.scale_up_bytes == doctest::Approx(rows * (4096 * 2 + 16 + 4096 * 2)).epsilon(0.01));
}

TEST_CASE("a spine at 4:1 slows the exchange of a group that crosses it, and not that of one under a leaf") {
  CostBench wide = dispatching(32);  // four nodes
  const double free = decode(wide, 32 * 64).all_to_all_seconds;
  wide.inputs.fabric = {.kind = FabricKind::kLeafSpine, .nodes_per_leaf = 2, .oversubscription = 4.0};
  // Two of three other nodes are under the other leaf: 1/4 of the rate for 2/3 of the bytes, 3/8 of the card's rate in all.
  CHECK(Communicator(wide.inputs).wire_rate({32, 4}, Communicator::Spread::kAllNodes) == doctest::Approx(50e9 * 0.375));
  CHECK(decode(wide, 32 * 64).all_to_all_seconds > 1.8 * free);
  wide.inputs.fabric.nodes_per_leaf = 4;
  CHECK(decode(wide, 32 * 64).all_to_all_seconds == free);
}

TEST_CASE("tensor ranks inside the experts add up their outputs") {
  CostBench split(moe_model(64, 6, 1408), layout(2, 1, 4, 4));  // two tensor ranks in each of four expert ranks
  split.inputs.engine.expert_comm = ExpertParallelComm::kDeepEp;
  PreparedStep step;
  (void)decode(split, 64, &step);
  const double reduce = split.kernels->collective({CollectiveKind::kAllReduce, 16.0 * 4096 * 2, 2, 1, true}).seconds;
  CHECK(part(step, StepPart::kAllToAll) == doctest::Approx(32 * reduce));
  // One tensor rank of attention: each half of an expert needs both copies' tokens.
  CostBench gathered(moe_model(64, 6, 1408), layout(1, 1, 4, 8));
  gathered.inputs.engine.expert_comm = ExpertParallelComm::kDeepEp;
  (void)decode(gathered, 128, &step);
  const double gather = gathered.kernels->collective({CollectiveKind::kAllGather, 2.0 * 16 * 4096 * 2, 2, 1, true}).seconds;
  const double scatter = gathered.kernels->collective({CollectiveKind::kReduceScatter, 2.0 * 16 * 4096 * 2, 2, 1, true}).seconds;
  CHECK(part(step, StepPart::kAllToAll) == doctest::Approx(32 * (gather + scatter)));
}

TEST_CASE("a prompt that cannot be split passes the stages one after the other; as many prompts as stages fill them") {
  const CostBench one(dense_model());
  const CostBench four(dense_model(), layout(1, 4, 1, 1));
  const DeploymentCost single(one.inputs);
  const DeploymentCost staged(four.inputs);
  const auto seconds = [](const DeploymentCost& cost, std::span<const PrefillChunk> chunks, PreparedStep& step) {
    cost.prepare(0, chunks, step);
    return cost.expected(step, 0).seconds;
  };
  PreparedStep step;
  const PrefillChunk prompt{4096, 0, true};
  const double alone = seconds(single, {&prompt, 1}, step);
  const double lone = seconds(staged, {&prompt, 1}, step);
  // All layers for all tokens, and the hand-overs: a pipeline does not make one prompt faster.
  const CommTime hand_over = Communicator(four.inputs).hand_over(4096.0 * 4096 * 2);
  CHECK(lone == doctest::Approx(alone + 4 * hand_over.seconds).epsilon(0.01));
  CHECK(part(step, StepPart::kPipeline) > 0.5 * lone);  // three of four stages wait
  const std::array<PrefillChunk, 4> prompts = {prompt, prompt, prompt, prompt};
  const double filled = seconds(staged, prompts, step);
  CHECK(filled == doctest::Approx(lone).epsilon(0.02));  // four prompts in the time of one
  CHECK(part(step, StepPart::kPipeline) == doctest::Approx(4 * hand_over.seconds));
}
