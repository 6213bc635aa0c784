#include "model/weights.hpp"

#include <doctest/doctest.h>

#include "model/lora.hpp"
#include "tiny_models.hpp"

using namespace moeplan;
using namespace moeplan::test;
using namespace moeplan::literals;

namespace {

ParallelLayout layout(int tensor, int pipeline, int expert, int attention_data) {
  return {.tensor = tensor, .pipeline = pipeline, .expert = expert, .attention_data = attention_data};
}

const DeploymentPrecision kAllBf16{};

}  // namespace

TEST_CASE("on one GPU the weights are all parameters times their width") {
  const WeightBytes bytes = weight_bytes_per_gpu(tiny_moe(), kAllBf16, {});
  CHECK(bytes.attention == 480'000_B);
  CHECK(bytes.experts == 9'600'000_B);
  CHECK(bytes.shared_experts == 600'000_B);
  CHECK(bytes.router == 16'000_B);
  CHECK(bytes.norms == 4'200_B);
  CHECK(bytes.embedding == 200'000_B);
  CHECK(bytes.head == 200'000_B);
  CHECK(bytes.total() == 2 * 5'550'100_B);
}

TEST_CASE("tensor parallelism splits attention, FFN and embeddings but not router and norms") {
  const WeightBytes bytes = weight_bytes_per_gpu(tiny_moe(), kAllBf16, layout(2, 1, 1, 1));
  CHECK(bytes.attention == 240'000_B);
  CHECK(bytes.experts == 4'800'000_B);
  CHECK(bytes.shared_experts == 300'000_B);
  CHECK(bytes.embedding == 100'000_B);
  CHECK(bytes.head == 100'000_B);
  CHECK(bytes.router == 16'000_B);
  CHECK(bytes.norms == 4'200_B);
}

TEST_CASE("KV projections are replicated once tensor ranks outnumber KV heads") {
  // 10 ranks, 2 KV heads: per layer Q and O 20,000 / 10, K and V 4,000 / 2 parameters; 10 layers of 2 bytes.
  CHECK(weight_bytes_per_gpu(tiny_dense(), kAllBf16, layout(10, 1, 1, 1)).attention == Bytes(10 * 2 * (2'000 + 2'000)));
}

TEST_CASE("latent down-projections are replicated over tensor ranks") {
  // Per layer: 100 x 50 + 100 x 50 and the norms of 90 on each rank; 6,000 + 6,400 + 8,000 split in 4.
  CHECK(weight_bytes_per_gpu(tiny_mla(), kAllBf16, layout(4, 1, 1, 1)).attention == Bytes(10 * 2 * (10'000 + 90 + 5'100)));
}

TEST_CASE("attention data parallelism replicates all but the routed experts") {
  const WeightBytes one = weight_bytes_per_gpu(tiny_moe(), kAllBf16, {});
  const WeightBytes four = weight_bytes_per_gpu(tiny_moe(), kAllBf16, layout(1, 1, 4, 4));
  CHECK(four.attention == one.attention);
  CHECK(four.shared_experts == one.shared_experts);
  CHECK(four.embedding == one.embedding);
  CHECK(four.experts == Bytes(one.experts.value() / 4));
}

TEST_CASE("experts take 1 / (tensor x attention data) of their bytes however it is cut") {
  for (const int expert : {1, 2, 4}) CHECK(weight_bytes_per_gpu(tiny_moe(), kAllBf16, layout(2, 1, expert, 2)).experts == 2'400'000_B);
}

TEST_CASE("the fullest pipeline stage holds the rounded-up share of layers and one end of the model") {
  // 10 layers over 4 stages: 3 layers; embedding and head lie on different stages, the final norm with the head.
  const WeightBytes bytes = weight_bytes_per_gpu(tiny_dense(), kAllBf16, layout(1, 4, 1, 1));
  CHECK(bytes.attention == Bytes(3 * 48'000));
  CHECK(bytes.dense_ffn == Bytes(3 * 240'000));
  CHECK(bytes.embedding + bytes.head == 200'000_B);
  CHECK(bytes.norms == Bytes(3 * 400 + 200));
}

TEST_CASE("a tied embedding is held once on one stage and twice on a pipeline") {
  ModelSpec model = tiny_dense();
  model.tied_embeddings = true;
  CHECK(weight_bytes_per_gpu(model, kAllBf16, {}).head == 0_B);
  CHECK(weight_bytes_per_gpu(model, kAllBf16, layout(1, 2, 1, 1)).head == 200'000_B);
}

TEST_CASE("leading dense layers fill the first stage, so that the last one has only MoE layers") {
  ModelSpec model = tiny_moe();
  LayerGroup dense = tiny_dense().layers[0];
  dense.count = 2;
  dense.leading = true;
  model.layers[0].count = 8;
  model.layers.insert(model.layers.begin(), dense);
  // 10 layers over 2 stages: the last has 5 of the 8 MoE layers and no dense one.
  const WeightBytes bytes = weight_bytes_per_gpu(model, kAllBf16, layout(1, 2, 1, 1));
  CHECK(bytes.experts == Bytes(5 * 960'000));
  CHECK(bytes.dense_ffn == 0_B);
}

TEST_CASE("the first stage holds the leading layers, and all stages of a pipeline share the others evenly") {
  ModelSpec model = tiny_moe();
  LayerGroup dense = tiny_dense().layers[0];
  dense.count = 2;
  dense.leading = true;
  model.layers[0].count = 8;
  model.layers.insert(model.layers.begin(), dense);
  CHECK(extreme_stages(model, 1).at(0).layers == std::vector<double>{2, 8});
  CHECK(extreme_stages(model, 2).at(0).layers == std::vector<double>{2, 3});
  CHECK(extreme_stages(model, 2).at(1).layers == std::vector<double>{0, 5});
  CHECK(extreme_stages(model, 10).at(0).layers == std::vector<double>{1, 0});
  model.layers[0].leading = false;  // interleaved: every stage has one dense layer in five
  CHECK(extreme_stages(model, 2).at(0).layers == std::vector<double>{1, 4});
}

TEST_CASE("precision applies per component, scales included") {
  const DeploymentPrecision mixed{
      .weights = Precision::kFp8, .experts = Precision::kMxfp4, .kv_cache = Precision::kBf16, .embeddings = Precision::kFp16};
  const WeightBytes bytes = weight_bytes_per_gpu(tiny_moe(), mixed, {});
  CHECK(bytes.attention == 240'000_B);
  CHECK(bytes.shared_experts == 300'000_B);
  CHECK(bytes.experts == Bytes(4'800'000 * 17 / 32));  // 4 bits and one 8-bit exponent per 32
  CHECK(bytes.router == 16'000_B);
  CHECK(bytes.embedding == 200'000_B);
}

TEST_CASE("a checkpoint's own grouping of expert scales counts, but only in its native format") {
  const ModelSpec model = catalogue_model("kimi-k2.5");
  CHECK(expert_bytes_per_weight(model, Precision::kInt4) == 0.5625);  // groups of 32 with a 16-bit scale
  CHECK(expert_bytes_per_weight(model, Precision::kFp8) == 1.0);
  CHECK(native_deployment(model).experts == Precision::kInt4);
  CHECK(native_deployment(model).weights == Precision::kBf16);
}

TEST_CASE("Mixtral 8x7B in bf16 on two GPUs takes half of 93.4 GB on each, plus what is replicated") {
  const Bytes total = weight_bytes_per_gpu(catalogue_model("mixtral-8x7b"), kAllBf16, layout(2, 1, 1, 1)).total();
  // Replicated: 32 x (router 4096 x 8 + norms 2 x 4096) + final norm 4096 = 1,314,816 parameters.
  CHECK(total == Bytes(46'702'792'704 + 1'314'816));
}

TEST_CASE("one token reads everything but the input embedding and the experts not chosen") {
  CHECK(active_weight_bytes(tiny_moe(), kAllBf16) == 2.0 * (1'950'100 - 100'000));
  ModelSpec tied = tiny_moe();
  tied.tied_embeddings = true;
  CHECK(active_weight_bytes(tied, kAllBf16) == active_weight_bytes(tiny_moe(), kAllBf16));  // the head is read either way
}

TEST_CASE("LoRA adapters cost rank times inputs plus outputs of each target") {
  // Attention of one layer: Q 100 + 100, K and V 100 + 20 each, O 100 + 100 = 640 per rank; 10 layers x rank 8 x 2 bytes.
  CHECK(lora_bytes_per_gpu(tiny_moe(), {.rank = 8, .resident = 1}, {}) == Bytes(10 * 640 * 8 * 2));
  CHECK(lora_bytes_per_gpu(tiny_moe(), {.rank = 8, .resident = 3}, {}) == Bytes(3 * 10 * 640 * 8 * 2));
  CHECK(lora_bytes_per_gpu(tiny_moe(), {.rank = 8, .resident = 0}, {}) == 0_B);
}

TEST_CASE("LoRA on every expert multiplies by the experts, on the shared expert alone it does not") {
  const LoraSpec shared{.rank = 1, .resident = 1, .attention = false, .shared_experts = true};
  const LoraSpec routed{.rank = 1, .resident = 1, .attention = false, .experts = true};
  // Shared: gate and up 100 + 200, down 100 + 100. Routed: 8 x (100 + 400 + 200 + 100).
  CHECK(lora_bytes_per_gpu(tiny_moe(), shared, {}) == Bytes(10 * 500 * 2));
  CHECK(lora_bytes_per_gpu(tiny_moe(), routed, {}) == Bytes(10 * 6'400 * 2));
  // Two expert ranks hold four experts each.
  CHECK(lora_bytes_per_gpu(tiny_moe(), routed, layout(2, 1, 2, 1)) == Bytes(10 * 3'200 * 2));
}

TEST_CASE("tensor ranks share only one of the two LoRA matrices") {
  // Q: 100 + 50, K and V: 100 + 10 each, O: 50 + 100 = 520 per rank.
  CHECK(lora_bytes_per_gpu(tiny_moe(), {.rank = 8, .resident = 1}, layout(2, 1, 1, 1)) == Bytes(10 * 520 * 8 * 2));
}
