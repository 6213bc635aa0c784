// What a sequence leaves behind in each layer: KV entries that grow with it, or a state that does not.
#include <algorithm>

#include "model/model_spec.hpp"

namespace moeplan {
namespace {

constexpr double kStateBytes = 4;        // fp32, as engines keep recurrent states
constexpr double kConvolutionBytes = 2;  // bf16

double index_elements(const AttentionSpec& a) { return a.index_heads > 0 ? a.index_head_dim : 0; }

double kv_elements_on_rank(const AttentionSpec& a, int tensor) {
  if (!a.has_kv_cache()) return 0;
  if (a.kind == AttentionKind::kCompressed) return (a.head_dim + index_elements(a)) * a.kept_share();
  if (a.kind == AttentionKind::kMla) return (a.kv_lora + a.qk_rope + index_elements(a)) / a.kv_shared_by;
  const double heads = (a.kv_heads + tensor - 1) / tensor;
  return (heads * (a.head_dim + a.v_head_dim) + index_elements(a)) / a.kv_shared_by;
}

// Elements the short convolution of one layer must remember: its input channels times all but one of its taps.
double convolution_elements(const AttentionSpec& a) {
  const double taps = std::max(a.conv_kernel - 1, 0);
  if (a.kind == AttentionKind::kMamba) {
    const double shared = a.state_value_heads > 0 ? 2.0 * a.state_key_heads * a.state_key_dim : 0;
    return (a.state_inner + shared) * taps;
  }
  return (2.0 * a.state_key_heads * a.state_key_dim + static_cast<double>(a.state_value_heads) * a.state_value_dim) * taps;
}

}  // namespace

double kv_elements_per_token(const AttentionSpec& attention) { return kv_elements_on_rank(attention, 1); }

double kv_bytes_per_token(const AttentionSpec& attention, Precision kv, int tensor) {
  return kv_elements_on_rank(attention, tensor) * bytes_per_activation(kv);
}

double kv_bytes_per_token(const ModelSpec& model, Precision kv, int tensor) {
  double bytes = 0;
  for (const auto& group : model.layers) bytes += group.count * kv_bytes_per_token(group.attention, kv, tensor);
  return bytes;
}

double windowed_kv_bytes_per_token(const AttentionSpec& a, Precision kv, int tensor) {
  if (a.kind == AttentionKind::kCompressed) return a.head_dim * bytes_per_activation(kv);
  const bool local = a.kind == AttentionKind::kSlidingWindow || a.kind == AttentionKind::kChunkedLocal;
  return local ? kv_bytes_per_token(a, kv, tensor) : 0;
}

double kv_cached_tokens(const AttentionSpec& attention, double context) {
  if (!attention.has_kv_cache()) return 0;
  const double near = attention.window > 0 ? std::min(context, static_cast<double>(attention.window)) : context;
  return attention.kind == AttentionKind::kCompressed ? near + context * attention.kept_share() : near;
}

double attended_tokens(const AttentionSpec& attention, double context) {
  if (!attention.has_kv_cache()) return 0;
  const double window = attention.window;
  if (attention.kind == AttentionKind::kSlidingWindow) return std::min(context, window);
  if (attention.kind == AttentionKind::kChunkedLocal) return context <= window ? context : (window + 1) / 2;
  if (attention.kind == AttentionKind::kCompressed) {
    const double entries = context * attention.kept_share();
    return std::min(context, window) + (attention.sparse_top_k > 0 ? std::min(entries, static_cast<double>(attention.sparse_top_k)) : entries);
  }
  return attention.sparse_top_k > 0 ? std::min(context, static_cast<double>(attention.sparse_top_k)) : context;
}

double state_elements(const AttentionSpec& a) {
  if (a.has_kv_cache() || a.kind == AttentionKind::kNone) return 0;
  if (a.kind == AttentionKind::kMamba && a.state_value_heads == 0) return static_cast<double>(a.state_inner) * a.state_key_dim;
  return static_cast<double>(a.state_value_heads) * a.state_key_dim * a.state_value_dim;
}

double state_bytes_per_sequence(const ModelSpec& model, int tensor) {
  double bytes = 0;
  for (const auto& group : model.layers) {
    const double state = state_elements(group.attention);
    if (state > 0) bytes += group.count * (state * kStateBytes + convolution_elements(group.attention) * kConvolutionBytes) / tensor;
  }
  return bytes;
}

}  // namespace moeplan
