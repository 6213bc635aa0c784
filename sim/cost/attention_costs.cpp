#include "cost/attention_costs.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {
namespace {

// Kernels no table covers. From the end-to-end study: recurrent state moves at 0.6 of the bandwidth, absorbed MLA products run at 0.7 of
// bandwidth and 0.6 of peak plus 4 us (two products, one launch pair). Launches of a layer with recurrent state (convolution, gates, norms, state)
// and of the sparse-attention indexer: fitted on decode of one model each, hardware_profiles/README.md, choice l.
constexpr double kStateBandwidth = 0.6;
constexpr double kStateFixed = 35e-6;
constexpr double kStatePeak = 0.3;
constexpr double kIndexerBandwidth = 0.6;
constexpr double kIndexerPeak = 0.5;
constexpr double kIndexerFixed = 30e-6;
constexpr double kAbsorbBandwidth = 0.7;
constexpr double kAbsorbPeak = 0.6;
constexpr double kAbsorbFixed = 4e-6;
constexpr double kSparsePeak = 0.5;
constexpr double kSparseFixed = 10e-6;

bool has_state(AttentionKind kind) {
  return kind == AttentionKind::kGatedDeltaNet || kind == AttentionKind::kLightning || kind == AttentionKind::kMamba ||
         kind == AttentionKind::kKimiDelta;
}

bool windowed(const AttentionSpec& a) {
  return (a.kind == AttentionKind::kSlidingWindow || a.kind == AttentionKind::kChunkedLocal) && a.window > 0;
}

/// Query-key pairs of `tokens` queries after `prefix` tokens in a windowed layer: token i sees min(prefix + i, w), or its place in its
/// chunk.
double windowed_pairs(const AttentionSpec& a, double tokens, double prefix) {
  const double w = a.window;
  if (a.kind == AttentionKind::kChunkedLocal) {
    const auto up_to = [w](double x) {
      const double rest = x - std::floor(x / w) * w;
      return std::floor(x / w) * 0.5 * w * w + 0.5 * rest * rest;
    };
    return up_to(prefix + tokens) - up_to(prefix);
  }
  const double growing = std::clamp(w - prefix, 0.0, tokens);
  return growing * (prefix + 0.5 * growing) + (tokens - growing) * w;
}

}  // namespace

AttentionCosts::AttentionCosts(const CostInputs& inputs, const DeviceKernels& kernels, double layer_scale)
    : inputs_(inputs), kernels_(kernels), layer_scale_(layer_scale), tensor_(inputs.layout.tensor) {
  for (const LayerGroup& group : inputs.model.layers) {
    if (has_state(group.attention.kind)) state_layers_ += group.count;
    if (group.attention.kind == AttentionKind::kMla) has_extras_ = true;
  }
  if (state_layers_ > 0) {
    has_extras_ = true;
    state_bytes_ = state_bytes_per_sequence(inputs.model, tensor_);
  }
}

KernelTime AttentionCosts::indexer(const AttentionSpec& a, double keys, double query_keys) const {
  const double bytes = keys * a.index_head_dim * bytes_per_activation(inputs_.precision.kv_cache);
  const double flops = 2.0 * query_keys * a.index_heads * a.index_head_dim;
  return kernels_.roofline(bytes, kIndexerBandwidth, flops, kIndexerPeak, kIndexerFixed);
}

KernelTime AttentionCosts::decode_layer(const AttentionSpec& a, double sequences, double context) const {
  const double seen = attended_tokens(a, context);
  const Precision kv = inputs_.precision.kv_cache;
  KernelTime time;
  if (a.kind == AttentionKind::kMla) {
    time = kernels_.mla_decode({sequences, sequences * seen, share(a.heads, tensor_), a.kv_lora, a.qk_rope, kv});
  } else if (a.kind == AttentionKind::kCompressed) {
    // One vector per entry that all heads share as key and value: the latent kernel.
    time = kernels_.mla_decode({sequences, sequences * seen, share(a.heads, tensor_), a.head_dim - a.qk_rope, a.qk_rope, kv});
  } else {
    time = kernels_.decode_attention({sequences, sequences * seen, share(a.heads, tensor_), share(a.kv_heads, tensor_), a.head_dim, kv});
  }
  const double keys = sequences * context * a.kept_share();
  if (a.index_heads > 0) time = time + indexer(a, keys, keys);
  return time;
}

KernelTime AttentionCosts::decode(double sequences, double context) const {
  KernelTime sum{0, Origin::kMeasured};
  for (const LayerGroup& group : inputs_.model.layers) {
    if (group.attention.has_kv_cache()) sum = sum + decode_layer(group.attention, sequences, context) * (group.count * layer_scale_);
  }
  return sum;
}

KernelTime AttentionCosts::windowed_prefill(const AttentionSpec& a, double tokens, double prefix) const {
  const double w = a.window;
  const Precision kv = inputs_.precision.kv_cache;
  const int heads = share(a.heads, tensor_);
  const int kv_heads = share(a.kv_heads, tensor_);
  if (prefix + tokens <= w) return kernels_.prefill_attention({tokens, prefix, heads, kv_heads, a.head_dim, kv});
  // The time above the launch floor scales with the pairs attended, down to moving queries, keys, values and output once.
  const KernelTime floor = kernels_.prefill_attention({1, 0, heads, kv_heads, a.head_dim, kv});
  const KernelTime full = kernels_.prefill_attention({tokens, prefix, heads, kv_heads, a.head_dim, kv});
  const double ratio = windowed_pairs(a, tokens, prefix) / (tokens * (prefix + 0.5 * tokens));
  const double moved = 2.0 * 2.0 * tokens * (heads + kv_heads) * a.head_dim;
  const double scaled = floor.seconds + std::max(0.0, full.seconds - floor.seconds) * ratio;
  return {std::max(scaled, kernels_.elementwise(moved).seconds), full.origin};
}

KernelTime AttentionCosts::compressed_prefill(const AttentionSpec& a, double tokens, double prefix) const {
  const double entries = (prefix + 0.5 * tokens) * a.kept_share();
  const double chosen = a.sparse_top_k > 0 ? std::min<double>(a.sparse_top_k, entries) : entries;
  const double pairs = tokens * (std::min<double>(a.window, prefix + 0.5 * tokens) + chosen);
  KernelTime time = kernels_.roofline(0, 1, 4.0 * pairs * share(a.heads, tensor_) * a.head_dim, kSparsePeak, kSparseFixed);
  if (a.index_heads > 0) time = time + indexer(a, (prefix + tokens) * a.kept_share(), tokens * entries);
  return time;
}

KernelTime AttentionCosts::prefill_layer(const AttentionSpec& a, double tokens, double prefix) const {
  const Precision kv = inputs_.precision.kv_cache;
  const int heads = share(a.heads, tensor_);
  if (windowed(a)) return windowed_prefill(a, tokens, prefix);
  if (a.kind == AttentionKind::kCompressed) return compressed_prefill(a, tokens, prefix);
  KernelTime time;
  if (a.kind == AttentionKind::kMla) {
    time = kernels_.mla_prefill({tokens, prefix, heads, a.qk_nope + a.qk_rope, a.v_head_dim, kv});
    // The latents of the prefix are expanded to keys and values again for every chunk.
    if (prefix > 0) {
      const double n = static_cast<double>(heads) * (a.qk_nope + a.v_head_dim);
      time = time + kernels_.gemm({prefix, n, static_cast<double>(a.kv_lora), inputs_.precision.weights}, KernelPhase::kPrefill);
    }
  } else {
    time = kernels_.prefill_attention({tokens, prefix, heads, share(a.kv_heads, tensor_), a.head_dim, kv});
  }
  if (a.sparse_top_k > 0) {
    const double width = a.kind == AttentionKind::kMla ? 2.0 * a.kv_lora + a.qk_rope : 2.0 * a.head_dim;
    const double attended = tokens * std::min<double>(a.sparse_top_k, prefix + 0.5 * tokens);
    const KernelTime sparse = kernels_.roofline(0, 1, 2.0 * attended * heads * width, kSparsePeak, kSparseFixed);
    if (sparse.seconds < time.seconds) time = sparse;  // engines run dense attention on short contexts
    if (a.index_heads > 0) time = time + indexer(a, prefix + tokens, tokens * (prefix + 0.5 * tokens));
  }
  return time;
}

KernelTime AttentionCosts::prefill(double tokens, double prefix) const {
  KernelTime sum{0, Origin::kMeasured};
  for (const LayerGroup& group : inputs_.model.layers) {
    if (group.attention.has_kv_cache()) sum = sum + prefill_layer(group.attention, tokens, prefix) * (group.count * layer_scale_);
  }
  return sum;
}

Tally AttentionCosts::decode_extras(double sequences) const {
  Tally tally;
  if (sequences <= 0) return tally;
  for (const LayerGroup& group : inputs_.model.layers) {
    const AttentionSpec& a = group.attention;
    if (a.kind != AttentionKind::kMla) continue;
    // Query into and output out of the latent space: batched over heads, weights kept in bf16 (or wider) by the engines.
    const double weights = static_cast<double>(share(a.heads, tensor_)) * (a.qk_nope + a.v_head_dim) * a.kv_lora;
    const double moved = 2.0 * sequences * share(a.heads, tensor_) * (a.qk_nope + a.v_head_dim + 2.0 * a.kv_lora);
    const double bytes = weights * std::max(2.0, bytes_per_weight(inputs_.precision.weights)) + moved;
    const KernelTime time = kernels_.roofline(bytes, kAbsorbBandwidth, 2.0 * sequences * weights, kAbsorbPeak, kAbsorbFixed);
    tally.add(StepPart::kDenseGemm, time, group.count * layer_scale_);
  }
  if (state_layers_ > 0) {
    const KernelTime moved = kernels_.roofline(2.0 * sequences * state_bytes_, kStateBandwidth, 0, 1, state_layers_ * kStateFixed);
    tally.add(StepPart::kAttention, moved, layer_scale_);
  }
  return tally;
}

Tally AttentionCosts::prefill_extras(double tokens) const {
  Tally tally;
  if (tokens <= 0) return tally;
  for (const LayerGroup& group : inputs_.model.layers) {
    const AttentionSpec& a = group.attention;
    if (a.kind != AttentionKind::kMla) continue;
    const double n = static_cast<double>(share(a.heads, tensor_)) * (a.qk_nope + a.v_head_dim);
    const GemmShape expand{tokens, n, static_cast<double>(a.kv_lora), inputs_.precision.weights};
    tally.add(StepPart::kDenseGemm, kernels_.gemm(expand, KernelPhase::kPrefill), group.count * layer_scale_);
  }
  if (state_layers_ > 0) {
    // A chunked scan does about 8 operations per state element and token; states are fp32, read and written once per chunk of a prompt.
    const double flops = 8.0 * tokens * state_bytes_ / 4.0;
    const KernelTime scan = kernels_.roofline(2.0 * state_bytes_, kStateBandwidth, flops, kStatePeak, state_layers_ * kStateFixed);
    tally.add(StepPart::kAttention, scan, layer_scale_);
  }
  return tally;
}

}  // namespace moeplan
