// Models small enough to count by hand, and the catalogue's folder.
#pragma once

#include <filesystem>
#include <string>

#include "model/model_file.hpp"
#include "model/model_spec.hpp"

namespace moeplan::test {

inline std::filesystem::path source_folder() { return MOEPLAN_SOURCE_DIR; }
inline std::filesystem::path schema_folder() { return source_folder() / "scenarios/schema"; }
inline std::filesystem::path models_folder() { return source_folder() / "scenarios/models"; }

inline ModelSpec catalogue_model(const std::string& id) { return load_model(models_folder() / (id + ".json"), schema_folder()); }

/// Ten layers, hidden 100, vocabulary 1000, 10 heads of 10 over 2 KV heads, SwiGLU of 400.
inline ModelSpec tiny_dense() {
  ModelSpec model;
  model.id = "tiny-dense";
  model.hidden = 100;
  model.vocab = 1000;
  model.max_context = 1000;
  LayerGroup group;
  group.count = 10;
  group.attention.heads = 10;
  group.attention.kv_heads = 2;
  group.attention.head_dim = group.attention.v_head_dim = 10;
  group.dense_inter = 400;
  model.layers = {group};
  return model;
}

/// The same with 8 experts of 200, two per token, and a shared expert of 100.
inline ModelSpec tiny_moe() {
  ModelSpec model = tiny_dense();
  model.id = "tiny-moe";
  LayerGroup& group = model.layers[0];
  group.ffn = FfnKind::kMoe;
  group.dense_inter = 0;
  group.moe.experts = 8;
  group.moe.top_k = 2;
  group.moe.expert_inter = 200;
  group.moe.shared_inter = 100;
  return model;
}

/// The dense model with latent attention: 4 heads, ranks 50 and 40, 20 + 10 query channels, values of 20.
inline ModelSpec tiny_mla() {
  ModelSpec model = tiny_dense();
  model.id = "tiny-mla";
  AttentionSpec& a = model.layers[0].attention;
  a = AttentionSpec{};
  a.kind = AttentionKind::kMla;
  a.heads = a.kv_heads = 4;
  a.q_lora = 50;
  a.kv_lora = 40;
  a.qk_nope = 20;
  a.qk_rope = 10;
  a.head_dim = 30;
  a.v_head_dim = 20;
  return model;
}

}  // namespace moeplan::test
