#include <doctest/doctest.h>

#include "model/model_spec.hpp"
#include "tiny_models.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("Llama-3.1-70B in bf16 keeps 320 KiB of KV per token") {
  // 2 (K and V) x 80 layers x 8 KV heads x 128 x 2 bytes.
  CHECK(kv_bytes_per_token(catalogue_model("llama-3.1-70b"), Precision::kBf16, 1) == 2.0 * 80 * 8 * 128 * 2);
  CHECK(kv_bytes_per_token(catalogue_model("llama-3.1-70b"), Precision::kBf16, 1) == 327'680);
}

TEST_CASE("DeepSeek-V3 caches one latent of 576 elements per layer, whatever the tensor width") {
  const ModelSpec model = catalogue_model("deepseek-v3");
  for (const int tensor : {1, 8}) CHECK(kv_bytes_per_token(model, Precision::kBf16, tensor) == 61.0 * 576 * 2);
}

TEST_CASE("sparse attention adds its index keys to the cache, but only in layers that have an indexer") {
  CHECK(kv_elements_per_token(catalogue_model("deepseek-v3.2").layers[0].attention) == 576 + 128);
  // GLM-5.2: 21 of 78 layers choose tokens, the others reuse the choice.
  CHECK(kv_bytes_per_token(catalogue_model("glm-5.2"), Precision::kBf16, 1) == (78.0 * 576 + 21 * 128) * 2);
}

TEST_CASE("compressed layers keep one entry per block of old tokens and their last tokens uncompressed") {
  AttentionSpec a;
  a.kind = AttentionKind::kCompressed;
  a.heads = 16, a.kv_heads = 1, a.head_dim = a.v_head_dim = 500, a.window = 100, a.compress_ratio = 10;
  // 500 elements per 10 tokens x 2 bytes; inside the window 500 x 2 bytes besides, on every tensor rank.
  CHECK(kv_bytes_per_token(a, Precision::kBf16, 4) == 100);
  CHECK(windowed_kv_bytes_per_token(a, Precision::kBf16, 4) == 1000);
  CHECK(attended_tokens(a, 5000) == 100 + 500);
  CHECK(attended_tokens(a, 50) == 50 + 5);
  a.sparse_top_k = 200, a.index_heads = 4, a.index_head_dim = 40;
  CHECK(attended_tokens(a, 5000) == 100 + 200);
  CHECK(kv_elements_per_token(a) == (500 + 40) / 10.0);
  a.compress_ratio = 0, a.sparse_top_k = a.index_heads = 0;
  CHECK(kv_bytes_per_token(a, Precision::kBf16, 1) == 0);
  CHECK(attended_tokens(a, 5000) == 100);
}

TEST_CASE("KV heads are split over tensor ranks down to one and replicated beyond") {
  const ModelSpec model = tiny_dense();  // 2 KV heads x (10 + 10) x 10 layers x 2 bytes = 800
  CHECK(kv_bytes_per_token(model, Precision::kBf16, 1) == 800);
  CHECK(kv_bytes_per_token(model, Precision::kBf16, 2) == 400);
  CHECK(kv_bytes_per_token(model, Precision::kBf16, 10) == 400);
  CHECK(kv_bytes_per_token(model, Precision::kFp8, 1) == 400);
}

TEST_CASE("KV cost is independent of the experts") {
  ModelSpec more = tiny_moe();
  more.layers[0].moe.experts = 64;
  CHECK(kv_bytes_per_token(tiny_moe(), Precision::kBf16, 1) == kv_bytes_per_token(tiny_dense(), Precision::kBf16, 1));
  CHECK(kv_bytes_per_token(more, Precision::kBf16, 1) == kv_bytes_per_token(tiny_dense(), Precision::kBf16, 1));
}

TEST_CASE("layers that share a KV cache divide its cost") {
  ModelSpec model = tiny_dense();
  model.layers[0].attention.kv_shared_by = 2;
  CHECK(kv_bytes_per_token(model, Precision::kBf16, 1) == 400);
}

TEST_CASE("windowed layers keep at most their window and attend to no more") {
  AttentionSpec a = tiny_dense().layers[0].attention;
  CHECK(kv_cached_tokens(a, 1000) == 1000);
  CHECK(attended_tokens(a, 1000) == 1000);
  a.window = 128;
  a.kind = AttentionKind::kSlidingWindow;
  CHECK(kv_cached_tokens(a, 1000) == 128);
  CHECK(attended_tokens(a, 100) == 100);
  CHECK(attended_tokens(a, 1000) == 128);
  // In chunks of 127 the position within the chunk is 64 on average.
  a.window = 127;
  a.kind = AttentionKind::kChunkedLocal;
  CHECK(attended_tokens(a, 100) == 100);
  CHECK(attended_tokens(a, 1000) == 64);
}

TEST_CASE("sparse attention keeps every token and attends to the chosen ones") {
  const AttentionSpec a = catalogue_model("deepseek-v3.2").layers[0].attention;
  CHECK(kv_cached_tokens(a, 100'000) == 100'000);
  CHECK(attended_tokens(a, 1'000) == 1'000);
  CHECK(attended_tokens(a, 100'000) == 2'048);
}

TEST_CASE("constant-state layers cost a fixed number of bytes per sequence and nothing per token") {
  const ModelSpec model = catalogue_model("qwen3-next-80b-a3b");
  // 36 gated DeltaNet layers: 32 heads x 128 x 128 in fp32, and 3 past inputs of (2 x 16 + 32) x 128 channels in bf16.
  CHECK(state_bytes_per_sequence(model, 1) == 36.0 * (32 * 128 * 128 * 4 + 3 * 8192 * 2));
  CHECK(state_bytes_per_sequence(model, 2) == state_bytes_per_sequence(model, 1) / 2);
  CHECK(kv_bytes_per_token(model, Precision::kBf16, 1) == 12.0 * 2 * 256 * 2 * 2);  // the 12 full layers alone
  CHECK(state_bytes_per_sequence(tiny_dense(), 1) == 0);
}

TEST_CASE("Mamba states have one vector per inner channel") {
  // Jamba: 28 layers x 8192 channels x (16 x 4 bytes + 3 x 2 bytes).
  CHECK(state_bytes_per_sequence(catalogue_model("jamba-v0.1"), 1) == 28.0 * 8192 * (16 * 4 + 3 * 2));
  // Nemotron 3: 40 layers; 128 heads x 64 x 128 in fp32; convolution over 8192 + 2 x 8 x 128 channels.
  CHECK(state_bytes_per_sequence(catalogue_model("nvidia-nemotron-3-super-120b-a12b-fp8"), 1) ==
        40.0 * (128 * 64 * 128 * 4 + 3 * 10'240 * 2));
}
