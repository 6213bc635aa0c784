#include "model/layer_weights.hpp"

#include <algorithm>

namespace moeplan {
namespace {

using enum WeightComponent;
using enum WeightSplit;

class Collector {
 public:
  explicit Collector(double hidden) : hidden_(hidden) {}

  void matrix(WeightComponent component, WeightSplit split, double inputs, double outputs, double copies = 1, int units = 0) {
    if (inputs > 0 && outputs > 0 && copies > 0) list_.push_back({component, split, inputs, outputs, copies, units, true});
  }
  void vector(WeightComponent component, WeightSplit split, double elements, double copies = 1) {
    if (elements > 0 && copies > 0) list_.push_back({component, split, 1, elements, copies, 0, false});
  }
  [[nodiscard]] double hidden() const { return hidden_; }
  std::vector<LayerWeight> take() { return std::move(list_); }

 private:
  double hidden_;
  std::vector<LayerWeight> list_;
};

// DeepSeek sparse attention (DeepSeek-V3.2 report, 2025): index queries from the compressed query, one index key head, one weight per head.
void add_indexer(Collector& out, const AttentionSpec& a) {
  if (a.index_heads == 0) return;
  const double query_input = a.q_lora > 0 ? a.q_lora : out.hidden();
  out.matrix(kAttention, kReplicated, query_input, static_cast<double>(a.index_heads) * a.index_head_dim);
  out.matrix(kAttention, kReplicated, out.hidden(), a.index_head_dim);
  if (a.kind != AttentionKind::kMla) return;
  out.matrix(kAttention, kReplicated, out.hidden(), a.index_heads);
  out.vector(kAttention, kReplicated, 2.0 * a.index_head_dim);
}

// Grouped-query attention (Ainslie et al. 2023); with one KV head per head it is MHA.
void add_grouped_query(Collector& out, const AttentionSpec& a) {
  const double h = out.hidden();
  const double q = static_cast<double>(a.heads) * a.head_dim;
  const double k = static_cast<double>(a.kv_heads) * a.head_dim;
  const double v = static_cast<double>(a.kv_heads) * a.v_head_dim;
  const double o = static_cast<double>(a.heads) * a.v_head_dim;
  const double share = 1.0 / a.kv_shared_by;
  const int stacks = a.cross_attention ? 2 : 1;
  for (int i = 0; i < stacks; ++i) {
    out.matrix(kAttention, kColumn, h, q);
    out.matrix(kAttention, kKvColumn, h, k, share, a.kv_heads);
    if (!a.k_eq_v) out.matrix(kAttention, kKvColumn, h, v, share, a.kv_heads);
    out.matrix(kAttention, kRow, o, h);
  }
  if (a.cross_attention) out.vector(kNorms, kReplicated, h);
  if (a.output_gate) out.matrix(kAttention, kColumn, h, o);
  if (a.qkv_bias) out.vector(kAttention, kColumn, q + (k + v) * share);
  if (a.qk_norm) out.vector(kAttention, kReplicated, 2.0 * a.head_dim);
  if (a.sinks) out.vector(kAttention, kColumn, a.heads);
  add_indexer(out, a);
}

// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). The down-projections make the shared latent: no head to cut
// along.
void add_latent(Collector& out, const AttentionSpec& a) {
  const double h = out.hidden();
  const double q = static_cast<double>(a.heads) * (a.qk_nope + a.qk_rope);
  const double o = static_cast<double>(a.heads) * a.v_head_dim;
  if (a.q_lora > 0) {
    out.matrix(kAttention, kReplicated, h, a.q_lora);
    out.vector(kAttention, kReplicated, a.q_lora);
  }
  out.matrix(kAttention, kColumn, a.q_lora > 0 ? a.q_lora : h, q);
  out.matrix(kAttention, kReplicated, h, a.kv_lora + a.qk_rope);
  out.vector(kAttention, kReplicated, a.kv_lora);
  out.matrix(kAttention, kColumn, a.kv_lora, static_cast<double>(a.heads) * (a.qk_nope + a.v_head_dim));
  out.matrix(kAttention, kRow, o, h);
  if (a.output_gate) out.matrix(kAttention, kColumn, h, o);
  add_indexer(out, a);
}

// Compressed attention (DeepSeek-V4): a low-rank query, one vector per token that is key and value, the products that blend `compress_ratio` tokens
// into one entry (a value and a weight; twice as many where entries overlap, which the layers with an indexer do), grouped low-rank output.
void add_compressed(Collector& out, const AttentionSpec& a) {
  const double h = out.hidden();
  const double width = static_cast<double>(a.heads) * a.head_dim;
  const double blends = a.compress_ratio == 0 ? 0 : a.index_heads > 0 ? 4 : 2;
  out.matrix(kAttention, kReplicated, h, a.q_lora);
  out.vector(kAttention, kReplicated, a.q_lora + a.head_dim);
  out.matrix(kAttention, kColumn, a.q_lora, width);
  out.matrix(kAttention, kReplicated, h, a.head_dim);
  out.matrix(kAttention, kReplicated, h, blends * a.head_dim);
  if (a.index_heads > 0) {
    out.matrix(kAttention, kReplicated, h, blends * a.index_head_dim);
    out.matrix(kAttention, kReplicated, a.q_lora, static_cast<double>(a.index_heads) * a.index_head_dim);
    out.matrix(kAttention, kReplicated, h, a.index_heads);
  }
  out.vector(kAttention, kColumn, a.heads);
  out.matrix(kAttention, kColumn, width / a.output_groups, static_cast<double>(a.output_groups) * a.output_lora);
  out.matrix(kAttention, kRow, static_cast<double>(a.output_groups) * a.output_lora, h);
}

// Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464) as in Qwen3-Next: q, k, v and gate, per-head beta and decay, short convolution.
void add_gated_delta_net(Collector& out, const AttentionSpec& a) {
  const double h = out.hidden();
  const double k = static_cast<double>(a.state_key_heads) * a.state_key_dim;
  const double v = static_cast<double>(a.state_value_heads) * a.state_value_dim;
  out.matrix(kAttention, kColumn, h, 2 * k + 2 * v);
  out.matrix(kAttention, kColumn, h, 2.0 * a.state_value_heads);
  out.vector(kAttention, kColumn, (2 * k + v) * a.conv_kernel + 2.0 * a.state_value_heads);
  out.vector(kAttention, kReplicated, a.state_value_dim);
  out.matrix(kAttention, kRow, v, h);
}

// Kimi Delta Attention (Kimi Linear, arXiv 2510.26692): per-channel decay through a low-rank projection, output gate of low or full rank.
void add_kimi_delta(Collector& out, const AttentionSpec& a) {
  const double h = out.hidden();
  const double k = static_cast<double>(a.state_key_heads) * a.state_key_dim;
  const double v = static_cast<double>(a.state_value_heads) * a.state_value_dim;
  out.matrix(kAttention, kColumn, h, 2 * k + v);
  out.matrix(kAttention, kReplicated, h, a.state_value_dim);
  out.matrix(kAttention, kColumn, a.state_value_dim, k);
  out.matrix(kAttention, kColumn, h, a.state_value_heads);
  if (a.full_rank_gate) {
    out.matrix(kAttention, kColumn, h, v);
  } else {
    out.matrix(kAttention, kReplicated, h, a.state_value_dim);
    out.matrix(kAttention, kColumn, a.state_value_dim, v);
  }
  out.vector(kAttention, kColumn, (2 * k + v) * a.conv_kernel + k + a.state_value_heads);
  out.vector(kAttention, kReplicated, a.state_value_dim);
  out.matrix(kAttention, kRow, v, h);
}

// Lightning attention (MiniMax-01, arXiv 2501.08313): q, k, v, an output gate and a norm over the heads.
void add_lightning(Collector& out, const AttentionSpec& a) {
  const double width = static_cast<double>(a.heads) * a.head_dim;
  out.matrix(kAttention, kColumn, out.hidden(), 4 * width);
  out.vector(kAttention, kColumn, width);
  out.matrix(kAttention, kRow, width, out.hidden());
}

// Mamba-1 (Gu and Dao 2023, arXiv 2312.00752) with Jamba's norms on step size, B and C.
void add_mamba1(Collector& out, const AttentionSpec& a) {
  const double inner = a.state_inner;
  const double selected = a.state_rank + 2.0 * a.state_key_dim;
  out.matrix(kAttention, kColumn, out.hidden(), 2 * inner);
  out.matrix(kAttention, kRow, inner, selected);
  out.matrix(kAttention, kColumn, a.state_rank, inner);
  out.vector(kAttention, kColumn, inner * (a.conv_kernel + 1.0 + 1.0 + a.state_key_dim + 1.0));
  out.vector(kAttention, kReplicated, selected);
  out.matrix(kAttention, kRow, inner, out.hidden());
}

// Mamba-2 (Dao and Gu 2024, arXiv 2405.21060): gate and input, B and C per group, a step size per head.
void add_mamba2(Collector& out, const AttentionSpec& a) {
  const double inner = static_cast<double>(a.state_value_heads) * a.state_value_dim;
  const double shared = 2.0 * a.state_key_heads * a.state_key_dim;
  out.matrix(kAttention, kColumn, out.hidden(), 2 * inner + a.state_value_heads);
  out.matrix(kAttention, kKvColumn, out.hidden(), shared, 1, a.state_key_heads);
  out.vector(kAttention, kColumn, (inner + shared) * (a.conv_kernel + 1.0) + 3.0 * a.state_value_heads + inner);
  out.matrix(kAttention, kRow, inner, out.hidden());
}

void add_attention(Collector& out, const AttentionSpec& a) {
  switch (a.kind) {
    case AttentionKind::kFull:
    case AttentionKind::kSlidingWindow:
    case AttentionKind::kChunkedLocal: return add_grouped_query(out, a);
    case AttentionKind::kMla: return add_latent(out, a);
    case AttentionKind::kCompressed: return add_compressed(out, a);
    case AttentionKind::kGatedDeltaNet: return add_gated_delta_net(out, a);
    case AttentionKind::kKimiDelta: return add_kimi_delta(out, a);
    case AttentionKind::kLightning: return add_lightning(out, a);
    case AttentionKind::kMamba: return a.state_value_heads > 0 ? add_mamba2(out, a) : add_mamba1(out, a);
    case AttentionKind::kNone: return;
  }
}

// Gate and up (or up alone), then down.
void add_ffn(Collector& out, WeightComponent component, bool gated, double width, double inter, double copies = 1) {
  const bool routed = component == kExperts;
  out.matrix(component, routed ? kExpertColumn : kColumn, width, (gated ? 2 : 1) * inter, copies);
  out.matrix(component, routed ? kExpertRow : kRow, inter, width, copies);
}

void add_moe(Collector& out, const MoeSpec& moe, bool gated) {
  const double h = out.hidden();
  const double width = moe.latent > 0 ? moe.latent : h;
  out.matrix(kRouter, kReplicated, h, moe.experts);
  if (moe.router_bias) out.vector(kRouter, kReplicated, moe.experts);
  // The latent's projections run on every token, as a shared expert does.
  if (moe.latent > 0) {
    out.matrix(kSharedExperts, kReplicated, h, width);
    out.matrix(kSharedExperts, kReplicated, width, h);
  }
  add_ffn(out, kSharedExperts, gated, h, moe.shared_inter);
  if (moe.shared_gate) out.matrix(kRouter, kReplicated, h, 1);
  add_ffn(out, kDenseFfn, gated, h, moe.dense_residual_inter);
  add_ffn(out, kExperts, gated, width, moe.expert_inter, moe.experts);
  if (moe.expert_bias) out.vector(kExperts, kExpertColumn, (gated ? 2.0 : 1.0) * moe.expert_inter + width, moe.experts);
}

}  // namespace

double LayerWeight::ranks(const ParallelLayout& layout) const {
  switch (split) {
    case kReplicated: return 1;
    case kColumn:
    case kRow: return layout.tensor;
    case kKvColumn: {
      const int heads_per_rank = (units + layout.tensor - 1) / layout.tensor;
      return static_cast<double>(units) / std::max(heads_per_rank, 1);
    }
    case kExpertColumn:
    case kExpertRow: return layout.gpus_per_stage();
  }
  return 1;
}

std::vector<LayerWeight> layer_weights(const ModelSpec& model, const LayerGroup& group) {
  Collector out(model.hidden);
  add_attention(out, group.attention);
  if (group.ffn == FfnKind::kDense) add_ffn(out, kDenseFfn, model.gated_ffn, model.hidden, group.dense_inter);
  if (group.ffn == FfnKind::kMoe) add_moe(out, group.moe, model.gated_ffn);
  out.vector(kNorms, kReplicated, static_cast<double>(model.hidden) * (model.norm_bias ? 2 : 1), model.norms_per_layer);
  return out.take();
}

}  // namespace moeplan
