#include <doctest/doctest.h>

#include "model/flops.hpp"
#include "model/model_spec.hpp"
#include "tiny_models.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("a dense model's parameters are those counted by hand") {
  // Per layer: Q and O 100 x 100 each, K and V 100 x 20 each = 24,000; FFN 3 x 100 x 400 = 120,000; norms 2 x 100.
  const ParameterCount count = count_parameters(tiny_dense());
  CHECK(count.attention == 240'000);
  CHECK(count.dense_ffn == 1'200'000);
  CHECK(count.norms == 2'000 + 100);  // and the final norm
  CHECK(count.embedding == 100'000);
  CHECK(count.head == 100'000);
  CHECK(count.total() == 1'642'100);
  CHECK(count.active() == count.total());
}

TEST_CASE("a MoE model's total counts all experts and its active count only the chosen ones") {
  // Per layer: experts 8 x 3 x 100 x 200 = 480,000; shared 3 x 100 x 100 = 30,000; router 100 x 8 = 800.
  const ParameterCount count = count_parameters(tiny_moe());
  CHECK(count.experts == 4'800'000);
  CHECK(count.active_experts == 1'200'000);  // 2 of 8
  CHECK(count.shared_experts == 300'000);
  CHECK(count.router == 8'000);
  CHECK(count.dense_ffn == 0);
  CHECK(count.total() == 5'550'100);
  CHECK(count.active() == 1'950'100);
  CHECK(count.active_excluding_input_embedding(false) == 1'850'100);
  CHECK(count.active_excluding_embeddings() == 1'750'100);
}

TEST_CASE("latent attention counts its down-projections, up-projections and their norms") {
  // 100 x 50 + 50 x (4 x 30) + 100 x (40 + 10) + 40 x (4 x 40) + (4 x 20) x 100 + norms 50 + 40 = 30,490.
  CHECK(count_parameters(tiny_mla()).attention == 304'900);
}

TEST_CASE("latent attention without query compression projects queries straight from the hidden state") {
  ModelSpec model = tiny_mla();
  model.layers[0].attention.q_lora = 0;
  // 100 x 120 + 100 x 50 + 40 x 160 + 80 x 100 + 40 = 31,440.
  CHECK(count_parameters(model).attention == 314'400);
}

TEST_CASE("compressed attention counts its low-rank query, the blends of its entries and the grouped output") {
  ModelSpec model = tiny_mla();
  AttentionSpec a;
  a.kind = AttentionKind::kCompressed;
  a.heads = 4, a.kv_heads = 1, a.head_dim = a.v_head_dim = 30, a.q_lora = 50, a.window = 10, a.compress_ratio = 8;
  a.output_groups = 2, a.output_lora = 20;
  model.layers[0].attention = a;
  // Query 100 x 50 + 50 x 120; key-value 100 x 30; value and weight of the blend 2 x 100 x 30; output 2 groups of 60 x 20, then 40 x 100;
  // norms 50 + 30; a sink per head: 5,000 + 6,000 + 3,000 + 6,000 + 2,400 + 4,000 + 80 + 4 = 26,484.
  CHECK(count_parameters(model).attention == 264'840);
  // The published labels: 284B and 1.6T.
  CHECK(count_parameters(catalogue_model("deepseek-v4-flash")).total() == doctest::Approx(284e9).epsilon(0.01));
  CHECK(count_parameters(catalogue_model("deepseek-v4-pro")).total() == doctest::Approx(1.6e12).epsilon(0.02));
}

TEST_CASE("a tied head is counted once, and a tied input embedding counts as active") {
  ModelSpec model = tiny_dense();
  model.tied_embeddings = true;
  const ParameterCount count = count_parameters(model);
  CHECK(count.head == 0);
  CHECK(count.total() == 1'542'100);
  CHECK(count.active_excluding_input_embedding(true) == count.active());
}

TEST_CASE("under soft routing every expert is active") {
  ModelSpec model = tiny_moe();
  model.layers[0].moe.soft_routing = true;
  const ParameterCount count = count_parameters(model);
  CHECK(count.active() == count.total());
}

TEST_CASE("experts behind a latent are as wide as the latent, and its projections run on every token") {
  ModelSpec model = tiny_moe();
  model.layers[0].moe.latent = 50;
  const ParameterCount count = count_parameters(model);
  CHECK(count.experts == 2'400'000);                        // 10 x 8 x 3 x 50 x 200
  CHECK(count.shared_experts == 300'000 + 10 * 2 * 5'000);  // down and up: 100 x 50 each
}

TEST_CASE("a plain FFN has two matrices, a gated one three") {
  ModelSpec model = tiny_dense();
  model.gated_ffn = false;
  CHECK(count_parameters(model).dense_ffn == 800'000);
}

TEST_CASE("layers that share a KV cache share the K and V projections") {
  ModelSpec model = tiny_dense();
  model.layers[0].attention.kv_shared_by = 2;
  CHECK(count_parameters(model).attention == 240'000 - 20'000);  // half of 10 x 4,000
}

TEST_CASE("FLOPs per token are two per matrix weight used plus attention over the context") {
  // Matrices of the tiny MoE: 10 x (24,000 + 120,000 + 30,000 + 800) + head 100,000 = 1,848,000.
  // Attention at 50 tokens: 10 layers x 2 x 10 heads x 20 x 50 = 200,000.
  CHECK(flops_per_token(tiny_moe(), 0).value() == 2 * 1'848'000);
  CHECK(flops_per_token(tiny_moe(), 50).value() == 2 * 1'848'000 + 200'000);
}

TEST_CASE("a sliding window caps the attention FLOPs") {
  ModelSpec model = tiny_dense();
  model.layers[0].attention.kind = AttentionKind::kSlidingWindow;
  model.layers[0].attention.window = 20;
  CHECK(flops_per_token(model, 1000).value() == flops_per_token(model, 20).value());
  CHECK(flops_per_token(model, 10).value() < flops_per_token(model, 20).value());
}

TEST_CASE("8x7B means 46.7B parameters in all and 12.9B active") {
  const ParameterCount count = count_parameters(catalogue_model("mixtral-8x7b"));
  CHECK(count.total() == 46'702'792'704.0);
  CHECK(count.active() == 12'879'925'248.0);
}

TEST_CASE("DeepSeek-V3's counts leave out the multi-token-prediction layer") {
  const ParameterCount count = count_parameters(catalogue_model("deepseek-v3"));
  CHECK(count.total() == 671'026'419'200.0);
  CHECK(count.active() == 37'552'297'472.0);
}
