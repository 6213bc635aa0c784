#include "model/layer_reader.hpp"

#include <string>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr int kMostHeads = 65'536;
constexpr int kMostWidth = 10'000'000;
constexpr int kMostExperts = 1'000'000;
constexpr int kMostWindow = 100'000'000;

std::string text(int n) { return std::to_string(n); }

int heads_of(const JsonReader& reader, std::string_view key) { return read_size(reader, key, 1, kMostHeads); }

void need_multiple(const JsonReader& reader, std::string_view of_key, int of, std::string_view by_key, int by) {
  if (of % by == 0) return;
  reader.at(by_key).fail("found " + text(by) + ", which does not divide the " + text(of) + " " + std::string(of_key) +
                         ", accepted: a divisor of " + text(of));
}

void read_sparse(const JsonReader& reader, AttentionSpec& a) {
  a.sparse_top_k = read_optional_size(reader, "sparse_top_k", kMostWidth);
  a.index_heads = read_optional_size(reader, "index_heads", kMostHeads);
  a.index_head_dim = read_optional_size(reader, "index_head_dim", kMostHeads);
  if (a.index_heads > 0 && a.index_head_dim == 0) reader.fail("index_heads without index_head_dim");
  if (a.index_heads > 0 && a.sparse_top_k == 0) reader.fail("index_heads without sparse_top_k");
}

void read_grouped_query(const JsonReader& reader, AttentionSpec& a) {
  a.heads = heads_of(reader, "heads");
  a.kv_heads = heads_of(reader, "kv_heads");
  a.head_dim = heads_of(reader, "head_dim");
  a.v_head_dim = reader.has("v_head_dim") ? heads_of(reader, "v_head_dim") : a.head_dim;
  need_multiple(reader, "heads", a.heads, "kv_heads", a.kv_heads);
  a.qkv_bias = reader.boolean("qkv_bias", false);
  a.qk_norm = reader.boolean("qk_norm", false);
  a.sinks = reader.boolean("sinks", false);
  a.output_gate = reader.boolean("output_gate", false);
  a.k_eq_v = reader.boolean("k_eq_v", false);
  a.cross_attention = reader.boolean("cross_attention", false);
  if (reader.has("kv_shared_by")) a.kv_shared_by = read_size(reader, "kv_shared_by", 1, 1000);
  if (a.k_eq_v && a.v_head_dim != a.head_dim) reader.at("v_head_dim").fail("keys and values of one projection are equally wide");
  if (a.kind != AttentionKind::kFull) a.window = read_size(reader, "window", 1, kMostWindow);
  if (a.kind == AttentionKind::kFull) read_sparse(reader, a);
}

void read_latent(const JsonReader& reader, AttentionSpec& a) {
  a.heads = a.kv_heads = heads_of(reader, "heads");
  a.q_lora = read_optional_size(reader, "q_lora", kMostWidth);
  a.kv_lora = read_size(reader, "kv_lora", 1, kMostWidth);
  a.qk_nope = heads_of(reader, "qk_nope");
  a.qk_rope = heads_of(reader, "qk_rope");
  a.head_dim = a.qk_nope + a.qk_rope;
  a.v_head_dim = heads_of(reader, "v_head_dim");
  a.output_gate = reader.boolean("output_gate", false);
  read_sparse(reader, a);
}

void read_compressed(const JsonReader& reader, AttentionSpec& a) {
  a.heads = heads_of(reader, "heads");
  a.kv_heads = 1;
  a.head_dim = a.v_head_dim = heads_of(reader, "head_dim");
  a.k_eq_v = true;
  a.q_lora = read_size(reader, "q_lora", 1, kMostWidth);
  a.qk_rope = read_size(reader, "qk_rope", 0, a.head_dim);
  a.window = read_size(reader, "window", 1, kMostWindow);
  a.compress_ratio = read_optional_size(reader, "ratio", kMostWindow);
  a.output_groups = read_size(reader, "output_groups", 1, kMostHeads);
  a.output_lora = read_size(reader, "output_lora", 1, kMostWidth);
  need_multiple(reader, "heads", a.heads, "output_groups", a.output_groups);
  read_sparse(reader, a);
  if (a.sparse_top_k > 0 && a.compress_ratio == 0) reader.fail("sparse_top_k without ratio: there are no entries to choose from");
}

void read_delta(const JsonReader& reader, AttentionSpec& a) {
  const bool kimi = a.kind == AttentionKind::kKimiDelta;
  a.state_value_heads = heads_of(reader, kimi ? "heads" : "value_heads");
  a.state_key_heads = kimi ? a.state_value_heads : heads_of(reader, "key_heads");
  a.state_key_dim = heads_of(reader, "key_dim");
  a.state_value_dim = heads_of(reader, "value_dim");
  a.conv_kernel = read_size(reader, "conv_kernel", 1, 64);
  a.full_rank_gate = reader.boolean("full_rank_gate", false);
  if (!kimi) need_multiple(reader, "value_heads", a.state_value_heads, "key_heads", a.state_key_heads);
}

void read_lightning(const JsonReader& reader, AttentionSpec& a) {
  a.heads = a.state_key_heads = a.state_value_heads = heads_of(reader, "heads");
  a.head_dim = a.v_head_dim = a.state_key_dim = a.state_value_dim = heads_of(reader, "head_dim");
}

void read_mamba(const JsonReader& reader, AttentionSpec& a, bool second) {
  a.state_key_dim = heads_of(reader, "state");
  a.conv_kernel = read_size(reader, "conv_kernel", 1, 64);
  if (!second) {
    a.state_inner = read_size(reader, "inner", 1, kMostWidth);
    a.state_rank = heads_of(reader, "rank");
    return;
  }
  a.state_value_heads = heads_of(reader, "heads");
  a.state_value_dim = heads_of(reader, "head_dim");
  a.state_key_heads = heads_of(reader, "groups");
  need_multiple(reader, "heads", a.state_value_heads, "groups", a.state_key_heads);
  const std::int64_t inner = static_cast<std::int64_t>(a.state_value_heads) * a.state_value_dim;
  if (inner > kMostWidth) reader.fail("heads x head_dim is " + std::to_string(inner) + ", accepted: at most " + text(kMostWidth));
  a.state_inner = static_cast<int>(inner);
}

AttentionSpec read_attention(const JsonReader& reader) {
  AttentionSpec a;
  const std::string kind = reader.string("kind");
  const auto set = [&](AttentionKind value) { a.kind = value; };
  if (kind == "full") {
    set(AttentionKind::kFull), read_grouped_query(reader, a);
  } else if (kind == "sliding_window") {
    set(AttentionKind::kSlidingWindow), read_grouped_query(reader, a);
  } else if (kind == "chunked_local") {
    set(AttentionKind::kChunkedLocal), read_grouped_query(reader, a);
  } else if (kind == "mla") {
    set(AttentionKind::kMla), read_latent(reader, a);
  } else if (kind == "compressed") {
    set(AttentionKind::kCompressed), read_compressed(reader, a);
  } else if (kind == "gated_delta_net") {
    set(AttentionKind::kGatedDeltaNet), read_delta(reader, a);
  } else if (kind == "kimi_delta") {
    set(AttentionKind::kKimiDelta), read_delta(reader, a);
  } else if (kind == "lightning") {
    set(AttentionKind::kLightning), read_lightning(reader, a);
  } else if (kind == "mamba" || kind == "mamba2") {
    set(AttentionKind::kMamba), read_mamba(reader, a, kind == "mamba2");
  } else if (kind == "none") {
    set(AttentionKind::kNone);
  } else {
    reader.at("kind").fail("unknown kind of attention");
  }
  return a;
}

RouterScoring read_scoring(const JsonReader& reader) {
  const std::string scoring = reader.string("scoring", "softmax");
  if (scoring == "sigmoid") return RouterScoring::kSigmoid;
  if (scoring == "sinkhorn") return RouterScoring::kSinkhorn;
  if (scoring != "softmax") reader.at("scoring").fail("unknown router scoring, accepted: softmax, sigmoid, sinkhorn");
  return RouterScoring::kSoftmax;
}

void read_expert_groups(const JsonReader& reader, MoeSpec& moe) {
  moe.groups = read_optional_size(reader, "groups", kMostExperts);
  moe.top_groups = read_optional_size(reader, "top_groups", kMostExperts);
  if (moe.groups == 0 && moe.top_groups == 0) return;
  if (moe.groups == 0 || moe.top_groups == 0) reader.fail("groups and top_groups go together");
  need_multiple(reader, "experts", moe.experts, "groups", moe.groups);
  if (moe.top_groups > moe.groups) reader.at("top_groups").fail("found " + text(moe.top_groups) + " of " + text(moe.groups) + " groups");
  const std::int64_t reachable = static_cast<std::int64_t>(moe.experts / moe.groups) * moe.top_groups;
  if (moe.top_k > reachable) {
    reader.at("top_groups")
        .fail(text(moe.top_groups) + " groups hold " + std::to_string(reachable) + " experts, fewer than top_k " + text(moe.top_k));
  }
}

MoeSpec read_moe(const JsonReader& reader) {
  MoeSpec moe;
  moe.experts = read_size(reader, "experts", 1, kMostExperts);
  moe.top_k = read_size(reader, "top_k", 1, kMostExperts);
  if (moe.top_k > moe.experts)
    reader.at("top_k").fail("found " + text(moe.top_k) + " of " + text(moe.experts) + " experts, accepted: at most " + text(moe.experts));
  moe.expert_inter = read_size(reader, "inter", 1, kMostWidth);
  moe.latent = read_optional_size(reader, "latent", kMostWidth);
  moe.shared_inter = read_optional_size(reader, "shared_inter", kMostWidth);
  moe.shared_gate = reader.boolean("shared_gate", false);
  moe.dense_residual_inter = read_optional_size(reader, "dense_residual_inter", kMostWidth);
  moe.soft_routing = reader.boolean("soft_routing", false);
  moe.expert_bias = reader.boolean("expert_bias", false);
  moe.router_bias = reader.boolean("router_bias", false);
  moe.scoring = read_scoring(reader);
  read_expert_groups(reader, moe);
  return moe;
}

}  // namespace

int read_size(const JsonReader& reader, std::string_view key, int least, int most) {
  const std::int64_t value = reader.integer(key);
  if (value < least || value > most)
    reader.at(key).fail("found " + std::to_string(value) + ", accepted: " + text(least) + " to " + text(most));
  return static_cast<int>(value);
}

int read_optional_size(const JsonReader& reader, std::string_view key, int most) {
  return reader.has(key) ? read_size(reader, key, 0, most) : 0;
}

LayerGroup read_layer_group(const JsonReader& reader) {
  LayerGroup group;
  group.count = read_size(reader, "count", 1, 100'000);
  group.leading = reader.boolean("leading", false);
  group.attention = read_attention(reader.at("attention"));
  if (group.count % group.attention.kv_shared_by != 0) {
    reader.at("attention")
        .at("kv_shared_by")
        .fail("found " + text(group.attention.kv_shared_by) + ", which does not divide the " + text(group.count) + " layers of the group");
  }
  const JsonReader ffn = reader.at("ffn");
  const std::string kind = ffn.string("kind");
  if (kind == "dense") {
    group.ffn = FfnKind::kDense;
    group.dense_inter = read_size(ffn, "inter", 1, kMostWidth);
  } else if (kind == "moe") {
    group.ffn = FfnKind::kMoe;
    group.moe = read_moe(ffn);
  } else if (kind == "none") {
    group.ffn = FfnKind::kNone;
  } else {
    ffn.at("kind").fail("unknown kind of FFN");
  }
  return group;
}

}  // namespace moeplan
