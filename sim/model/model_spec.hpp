// A language model as a capacity planner sees it: what each layer stores, reads and computes. Tokens in, bytes and FLOPs out; no weights.
//
// Layers come in groups of equal layers (`LayerGroup`), in no particular order but for leading dense layers: planning never depends on
// which layer is which.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/precision.hpp"
#include "base/units.hpp"

namespace moeplan {

enum class AttentionKind : std::uint8_t {
  kFull,           ///< GQA, MQA or MHA over the whole context
  kSlidingWindow,  ///< the last `window` tokens
  kChunkedLocal,   ///< the current chunk of `window` tokens (Llama 4)
  kMla,            ///< multi-head latent attention (DeepSeek); `kv_lora + qk_rope` elements per token
  kCompressed,     ///< one shared KV head over `window` recent tokens and one entry per `compress_ratio` older tokens (DeepSeek-V4)
  kGatedDeltaNet,  ///< constant state (Qwen3-Next, Qwen3.5)
  kLightning,      ///< linear attention, constant state (MiniMax-M1)
  kMamba,          ///< selective state space, constant state (Mamba-1: Jamba; Mamba-2, `state_value_heads` > 0: Nemotron-H)
  kKimiDelta,      ///< Kimi Delta Attention, constant state
  kNone,           ///< a layer of FFN only
};

/// Sizes of one layer's token mixer. Fields that a kind does not use stay 0.
struct AttentionSpec {
  AttentionKind kind = AttentionKind::kFull;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;    ///< query/key head width (MLA: qk_nope + qk_rope)
  int v_head_dim = 0;  ///< value head width (= head_dim but for MLA and a few others)
  int window = 0;
  int q_lora = 0, kv_lora = 0, qk_nope = 0, qk_rope = 0;  // MLA
  bool qkv_bias = false;
  bool qk_norm = false;
  bool sinks = false;
  bool output_gate = false;      ///< a gate as wide as the attention output (Qwen3-Next, Qwen3.5)
  bool k_eq_v = false;           ///< keys and values come from one projection; both are cached (Gemma 4 full layers)
  bool cross_attention = false;  ///< a second attention over an encoder's output: parameters are counted, simulation is refused
  int kv_shared_by = 1;          ///< layers that share one KV cache and K/V projection (Hunyuan-Large: 2)
  // sparse attention (DSA): at most `sparse_top_k` tokens attended, chosen by an indexer with its own small cache; `index_heads` 0: the
  // choice of an earlier layer is reused (GLM-5.2)
  int sparse_top_k = 0, index_heads = 0, index_head_dim = 0;
  // compressed attention: keys and values are one vector of head_dim; ratio 0 keeps the window alone. The output goes through `output_groups`
  // block-diagonal products of rank `output_lora` each
  int compress_ratio = 0, output_groups = 0, output_lora = 0;
  // constant-state layers: the state has state_value_heads x state_key_dim x state_value_dim elements (Mamba-1: state_inner x
  // state_key_dim); for Mamba-2 state_key_heads are the groups that share B and C
  int state_key_heads = 0, state_value_heads = 0, state_key_dim = 0, state_value_dim = 0, conv_kernel = 0, state_inner = 0, state_rank = 0;
  bool full_rank_gate = false;  ///< Kimi Delta Attention: the output gate is one full matrix

  [[nodiscard]] bool has_kv_cache() const {
    return kind == AttentionKind::kFull || kind == AttentionKind::kSlidingWindow || kind == AttentionKind::kChunkedLocal ||
           kind == AttentionKind::kMla || kind == AttentionKind::kCompressed;
  }
  /// Cache entries that `context` tokens leave outside the window, as a fraction of them.
  [[nodiscard]] double kept_share() const {
    if (kind != AttentionKind::kCompressed) return 1.0;
    return compress_ratio > 0 ? 1.0 / compress_ratio : 0.0;
  }
};

enum class RouterScoring : std::uint8_t { kSoftmax, kSigmoid, kSinkhorn };

/// A mixture-of-experts FFN.
struct MoeSpec {
  int experts = 0;
  int top_k = 0;
  int expert_inter = 0;      ///< inner width of one routed expert
  int latent = 0;            ///< width the token is projected to before the routed experts and back after them; 0: none (see input_width)
  int shared_inter = 0;      ///< inner width of all shared experts together; 0 without
  bool shared_gate = false;  ///< a sigmoid gate on the shared expert (Qwen2-MoE, Qwen3-Next)
  int dense_residual_inter = 0;  ///< a dense FFN in parallel with the experts (Arctic)
  bool soft_routing = false;     ///< all experts run on every token
  bool expert_bias = false;
  bool router_bias = false;
  RouterScoring scoring = RouterScoring::kSoftmax;
  int groups = 0, top_groups = 0;  ///< node-limited routing: experts in `groups`, of which `top_groups` may be used; 0 = off

  /// Width of a routed expert's input and output: what dispatch and combine move per token and expert.
  [[nodiscard]] int input_width(int hidden) const { return latent > 0 ? latent : hidden; }
  /// Routed experts one token runs through.
  [[nodiscard]] int active_experts() const { return soft_routing ? experts : top_k; }
};

enum class FfnKind : std::uint8_t { kDense, kMoe, kNone };

struct LayerGroup {
  int count = 0;
  bool leading = false;  ///< these layers come first (first pipeline stage); other groups are interleaved evenly
  AttentionSpec attention;
  FfnKind ffn = FfnKind::kDense;
  int dense_inter = 0;  ///< inner width of a dense FFN
  MoeSpec moe;
};

/// Checkpoint's own number format per component.
struct NativePrecision {
  Precision weights = Precision::kBf16;  ///< everything but experts, embeddings, head and router
  Precision experts = Precision::kBf16;
  Precision fp8_checkpoint = Precision::kFp8;  ///< scaling of the publisher's own fp8 checkpoint: per channel (fp8) or 128x128 blocks (fp8_block)
  double experts_bytes_per_weight = 0;  ///< storage with scales where the checkpoint's grouping is not that of bytes_per_weight; 0: it is
};

/// What a published active-parameter count leaves out.
enum class ActiveConvention : std::uint8_t { kInclEmbeddings, kExclInputEmbedding, kExclEmbeddings };

/// Parameter counts as the publisher states them, in billions; 0 when not stated. An exception says why ours differs by more than 1.5 %.
struct PublishedCounts {
  double total_b = 0;
  double active_b = 0;
  ActiveConvention active_convention = ActiveConvention::kInclEmbeddings;
  std::string source;
  std::string total_exception;
  std::string active_exception;
};

struct ModelSpec {
  std::string id;
  std::string name;
  std::string family;  ///< "deepseek", "qwen", "llama", "mixtral", ...: chooses routing defaults
  int hidden = 0;
  std::int64_t vocab = 0;
  bool tied_embeddings = false;
  bool gated_ffn = true;  ///< SwiGLU: three matrices per FFN; else two
  int max_context = 0;
  int norms_per_layer = 2;  ///< RMSNorm or LayerNorm vectors of width `hidden`
  bool norm_bias = false;
  int residual_streams = 1;  ///< hyper-connections: copies of the residual stream that norms and additions move
  int encoder_layers = 0;  ///< encoder-decoder models count both stacks in `layers`; an encoder is a refusal reason
  std::vector<LayerGroup> layers;
  NativePrecision native;
  int mtp_layers = 0;  ///< multi-token-prediction layers in the checkpoint, not counted in parameters
  PublishedCounts published;
  std::string confidence;  ///< how near the figures are to the publisher's own configuration: "raw-config", "secondary-config", ...
  std::vector<std::string> sources;
  std::string notes;
  std::string refused;  ///< why the model cannot be simulated; only read_model_entry returns such a spec

  [[nodiscard]] int layer_count() const;
  [[nodiscard]] int moe_layer_count() const;
  [[nodiscard]] bool is_moe() const { return moe_layer_count() > 0; }
  /// The MoE part of the first MoE group, or null for a dense model. All catalogue models have one kind of MoE layer.
  [[nodiscard]] const MoeSpec* moe() const;
};

/// Weights by component, as a number of parameters; text trunk only (no MTP, no vision tower, no quantisation scales).
struct ParameterCount {
  double embedding = 0;  ///< input embedding
  double head = 0;       ///< output projection (0 when tied)
  double attention = 0;  ///< projections and state mixers
  double dense_ffn = 0;  ///< dense layers and dense residuals
  double shared_experts = 0;
  double experts = 0;  ///< all routed experts
  double router = 0;
  double norms = 0;
  double active_experts = 0;  ///< routed experts one token runs through

  [[nodiscard]] double total() const { return embedding + head + attention + dense_ffn + shared_experts + experts + router + norms; }
  /// Parameters one token uses, input embedding and head counted.
  [[nodiscard]] double active() const { return total() - experts + active_experts; }
  /// The active count that a publisher of this convention means.
  [[nodiscard]] double active(ActiveConvention convention, bool tied) const;
  [[nodiscard]] double active_excluding_input_embedding(bool tied) const { return tied ? active() : active() - embedding; }
  [[nodiscard]] double active_excluding_embeddings() const { return active() - embedding - head; }
};

/// Counts the matrices and vectors of layer_weights.hpp, plus embeddings and final norm.
ParameterCount count_parameters(const ModelSpec& model);

/// KV-cache elements that one token adds to one layer (already divided by kv_shared_by); 0 for constant-state layers. GQA: kv_heads x
/// (head_dim
/// + v_head_dim); MLA: kv_lora + qk_rope, whatever the heads. Includes the index keys of sparse attention.
double kv_elements_per_token(const AttentionSpec& attention);

/// KV-cache bytes per token over all layers on ONE rank of `tensor` tensor-parallel ranks: KV heads are split down to one head per rank and
/// replicated beyond; MLA latents and index keys are replicated on every rank. Windowed layers count in full (see kv_cached_tokens).
double kv_bytes_per_token(const ModelSpec& model, Precision kv, int tensor);

/// The same for one layer.
double kv_bytes_per_token(const AttentionSpec& attention, Precision kv, int tensor);

/// KV-cache bytes on one rank per token inside the window, beyond those that stay: sliding-window and chunked-local layers keep nothing else,
/// compressed layers keep the last `window` tokens uncompressed besides. 0 for the others.
double windowed_kv_bytes_per_token(const AttentionSpec& attention, Precision kv, int tensor);

/// Tokens of a sequence of `context` tokens that one layer must keep in its cache: all, or at most `window`; 0 for constant-state layers.
double kv_cached_tokens(const AttentionSpec& attention, double context);

/// Tokens that one new token at `context` attends to: min(context, window) for sliding windows, half a chunk on average for chunked-local
/// layers, min(context, sparse_top_k) for sparse attention, window and (the chosen) compressed entries for compressed attention; 0 for constant-state layers.
double attended_tokens(const AttentionSpec& attention, double context);

/// Elements of recurrent state of one layer (the convolution's not counted); 0 for layers with a KV cache.
double state_elements(const AttentionSpec& attention);

/// Bytes of recurrent state per sequence over all constant-state layers on one of `tensor` ranks (fp32 state, bf16 convolution).
double state_bytes_per_sequence(const ModelSpec& model, int tensor);

}  // namespace moeplan
