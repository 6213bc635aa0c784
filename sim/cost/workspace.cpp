#include "cost/workspace.hpp"

#include <algorithm>
#include <cmath>

namespace moeplan {
namespace {

constexpr double kActivationBytes = 2;
constexpr double kGroupBuffers = 256.0 * 1024 * 1024;

double mixer_width(const AttentionSpec& a, double tensor) {
  const double v_dim = a.v_head_dim > 0 ? a.v_head_dim : a.head_dim;
  if (a.kind == AttentionKind::kMla)
    return a.q_lora + a.kv_lora + a.qk_rope + a.heads / tensor * (2.0 * (a.qk_nope + a.qk_rope) + 2.0 * v_dim);
  if (a.kind == AttentionKind::kCompressed) return a.q_lora + a.head_dim + 2.0 * a.heads / tensor * a.head_dim;
  if (a.has_kv_cache())
    return share(a.heads, static_cast<int>(tensor)) * (a.head_dim + v_dim) +
           share(a.kv_heads, static_cast<int>(tensor)) * (a.head_dim + v_dim);
  const double inner = std::max({static_cast<double>(a.state_value_heads) * a.state_value_dim, static_cast<double>(a.state_inner),
                                 static_cast<double>(a.heads) * a.head_dim});
  return 4.0 * inner / tensor;
}

/// Elements alive in the FFN of one layer, all tokens of a step.
double ffn_elements(const CostInputs& in, const LayerGroup& layer) {
  const double tokens = in.max_batch_tokens;
  const double halves = in.model.gated_ffn ? 2.0 : 1.0;
  const double tensor = in.layout.tensor;
  if (layer.ffn == FfnKind::kDense) return tokens * (halves + 1.0) * layer.dense_inter / tensor;
  if (layer.ffn != FfnKind::kMoe) return 0;
  const MoeSpec& moe = layer.moe;
  const double entering = tokens * in.layout.attention_data;
  const double chosen = moe.soft_routing ? moe.experts : moe.top_k;
  const double pairs = entering * std::max(1.0, chosen / in.layout.expert);
  const double inter = share(moe.expert_inter, in.layout.expert_tensor());
  const double routed = pairs * (std::max(halves * inter, static_cast<double>(in.model.hidden)) + inter) + entering * in.model.hidden;
  const double beside = tokens * (halves + 1.0) * (moe.shared_inter + moe.dense_residual_inter) / tensor;
  return routed + beside;
}

}  // namespace

Workspace workspace_bytes(const CostInputs& in) {
  const double tokens = in.max_batch_tokens;
  const double hidden = in.model.hidden;
  double widest = 0;
  for (const LayerGroup& layer : in.model.layers) {
    widest = std::max({widest, tokens * mixer_width(layer.attention, in.layout.tensor), ffn_elements(in, layer)});
  }
  const double layers = kActivationBytes * (3.0 * tokens * hidden + widest);
  const double vocab = static_cast<double>(in.model.vocab);
  const double logits = std::min(in.max_batch_requests, in.max_batch_tokens) * vocab * in.engine.sampler_bytes_per_logit;

  double communication = 0;
  for (const int width : {in.layout.tensor, in.layout.attention_data, in.layout.pipeline, in.layout.expert}) {
    if (width > 1) communication += kGroupBuffers;
  }
  if (in.layout.attention_data > 1 && in.model.is_moe()) {
    const MoeSpec& moe = *in.model.moe();
    const double copies = dispatches(in) ? static_cast<double>(moe.top_k) : 2.0 * in.layout.attention_data;
    communication += kActivationBytes * tokens * copies * hidden;
  }
  return {Bytes(static_cast<std::int64_t>(std::ceil(std::max(layers, logits)))),
          Bytes(static_cast<std::int64_t>(std::ceil(communication)))};
}

}  // namespace moeplan
