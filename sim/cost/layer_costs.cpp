#include "cost/layer_costs.hpp"

#include <algorithm>
#include <vector>

#include "model/layer_weights.hpp"

namespace moeplan {
namespace {

constexpr double kActivationBytes = 2;  ///< residual stream and collectives are bf16

}  // namespace

struct LayerCosts::Row {
  double tokens;
  KernelPhase phase;
  double layers = 0;  ///< equal layers that the current additions stand for
  double moved = 0;   ///< bytes of element-wise kernels per token, all layers
  double communication = 1;  ///< factor on its time
  Tally tally{};

  [[nodiscard]] bool in_graph() const { return phase == KernelPhase::kDecode; }
  template <class Time>
  void add(StepPart part, const Time& time, double share_of_layers = 1.0) {
    tally.add(part, time, layers * share_of_layers);
  }
  void add_communication(StepPart part, const CommTime& time) { add(part, time.stretched(communication)); }
};

LayerCosts::LayerCosts(const CostInputs& inputs, const DeviceKernels& kernels, const Communicator& comm, double layer_scale)
    : inputs_(inputs),
      kernels_(kernels),
      comm_(comm),
      layer_scale_(layer_scale),
      tensor_group_(comm.group(inputs.layout.tensor, 1)),
      data_group_(comm.group(inputs.layout.attention_data, inputs.layout.tensor)) {}

void LayerCosts::projections(const AttentionSpec& a, Row& row) const {
  const int tensor = inputs_.layout.tensor;
  const double hidden = inputs_.model.hidden;
  const Precision w = inputs_.precision.weights;
  const double heads = share(a.heads, tensor);
  const double v_dim = a.v_head_dim > 0 ? a.v_head_dim : a.head_dim;
  const double q = heads * a.head_dim + (a.output_gate ? heads * v_dim : 0.0);
  const double cached = share(a.kv_heads, tensor) * (a.head_dim + v_dim);
  const double kv = a.k_eq_v ? share(a.kv_heads, tensor) * a.head_dim : cached;
  // Layers that share a KV cache project keys and values once.
  const double with_kv = 1.0 / std::max(1, a.kv_shared_by);
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, q + kv, hidden, w}, row.phase), with_kv);
  if (with_kv < 1.0) row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, q, hidden, w}, row.phase), 1.0 - with_kv);
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, hidden, heads * v_dim, w}, row.phase));
  // Rotary embedding and cache write read and write queries, keys and values once; query/key norms once more.
  row.moved += row.layers * 2.0 * kActivationBytes * (q + cached) * (a.qk_norm ? 2.0 : 1.0);
  indexer_projections(a, row);
}

void LayerCosts::indexer_projections(const AttentionSpec& a, Row& row) const {
  if (a.index_heads == 0) return;
  const double hidden = inputs_.model.hidden;
  const double from = a.q_lora > 0 ? a.q_lora : hidden;
  const double queries = static_cast<double>(a.index_heads) * a.index_head_dim;
  const double keys = a.index_head_dim + (a.kind == AttentionKind::kMla ? a.index_heads : 0);  // and a weight per head
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, queries, from, inputs_.precision.weights}, row.phase));
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, keys, hidden, inputs_.precision.weights}, row.phase));
}

void LayerCosts::mla_projections(const AttentionSpec& a, Row& row) const {
  const double hidden = inputs_.model.hidden;
  const Precision w = inputs_.precision.weights;
  const double heads = share(a.heads, inputs_.layout.tensor);
  const double q = heads * (a.qk_nope + a.qk_rope);
  const double latent = a.kv_lora + a.qk_rope;
  // The down-projections feed every head and are replicated over the tensor ranks.
  if (a.q_lora > 0) {
    row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, a.q_lora + latent, hidden, w}, row.phase));
    row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, q, static_cast<double>(a.q_lora), w}, row.phase));
  } else {
    row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, q + latent, hidden, w}, row.phase));
  }
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, hidden, heads * a.v_head_dim, w}, row.phase));
  if (a.output_gate) row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, heads * a.v_head_dim, hidden, w}, row.phase));
  indexer_projections(a, row);
  row.moved += row.layers * 2.0 * kActivationBytes * (q + latent + a.q_lora);
}

void LayerCosts::compressed_projections(const AttentionSpec& a, Row& row) const {
  const double hidden = inputs_.model.hidden;
  const Precision w = inputs_.precision.weights;
  const double width = share(a.heads, inputs_.layout.tensor) * static_cast<double>(a.head_dim);
  const double blends = a.compress_ratio == 0 ? 0 : a.index_heads > 0 ? 4 : 2;
  const double index = a.index_heads > 0 ? blends * a.index_head_dim + a.index_heads : 0;
  const double down = a.q_lora + (1.0 + blends) * a.head_dim + index;
  const double output = static_cast<double>(share(a.output_groups, inputs_.layout.tensor)) * a.output_lora;
  const double q_lora = a.q_lora;
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, down, hidden, w}, row.phase));
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, width, q_lora, w}, row.phase));
  if (a.index_heads > 0) {
    row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, static_cast<double>(a.index_heads) * a.index_head_dim, q_lora, w}, row.phase));
  }
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, output, static_cast<double>(a.heads) * a.head_dim / a.output_groups, w}, row.phase));
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, hidden, output, w}, row.phase));
  row.moved += row.layers * 2.0 * kActivationBytes * (width + down);
}

void LayerCosts::state_projections(const LayerGroup& group, Row& row) const {
  // Products of one input run as one; a product over split inputs stands alone.
  std::vector<GemmShape> products;
  std::vector<bool> open;
  for (const LayerWeight& weight : layer_weights(inputs_.model, group)) {
    if (weight.component != WeightComponent::kAttention || !weight.matrix) continue;
    const bool split_inputs = weight.split == WeightSplit::kRow;
    const double ranks = weight.ranks(inputs_.layout);
    const GemmShape one{row.tokens, split_inputs ? weight.outputs : weight.outputs / ranks,
                        split_inputs ? weight.inputs / ranks : weight.inputs, inputs_.precision.weights};
    std::size_t at = 0;
    while (at < products.size() && (split_inputs || !open[at] || products[at].k != one.k)) ++at;
    if (at < products.size()) {
      products[at].n += one.n;
    } else {
      products.push_back(one);
      open.push_back(!split_inputs);
    }
  }
  for (const GemmShape& product : products) {
    row.add(StepPart::kDenseGemm, kernels_.gemm(product, row.phase));
    row.moved += row.layers * 2.0 * kActivationBytes * product.n;
  }
}

void LayerCosts::gated_mlp(double inter, Row& row) const {
  const double hidden = inputs_.model.hidden;
  const Precision w = inputs_.precision.weights;
  const double local = inter / inputs_.layout.tensor;
  const double up = inputs_.model.gated_ffn ? 2.0 * local : local;
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, up, hidden, w}, row.phase));
  row.add(StepPart::kDenseGemm, kernels_.gemm({row.tokens, hidden, local, w}, row.phase));
  row.moved += row.layers * kActivationBytes * (up + local);
}

void LayerCosts::all_reduce(Row& row) const {
  const double bytes = row.tokens * inputs_.model.hidden * kActivationBytes;
  row.add_communication(StepPart::kAllReduce, comm_.all_reduce(bytes, tensor_group_, row.in_graph()));
}

void LayerCosts::gather_scatter(Row& row) const {
  // Idle copies pad to the busiest one. Engines quantise tokens for NVFP4 experts before they gather them.
  const double width = inputs_.model.moe()->input_width(inputs_.model.hidden);
  const double elements = row.tokens * inputs_.layout.attention_data * width;
  const bool quantised = inputs_.precision.experts == Precision::kNvfp4 && inputs_.gpu.compute_precision(Precision::kNvfp4) == Precision::kNvfp4;
  const double gathered = quantised ? bytes_per_weight(Precision::kNvfp4) : kActivationBytes;
  row.add_communication(StepPart::kAllToAll, comm_.all_gather(elements * gathered, data_group_, row.in_graph()));
  row.add_communication(StepPart::kAllToAll, comm_.reduce_scatter(elements * kActivationBytes, data_group_, row.in_graph()));
}

void LayerCosts::split_experts(Row& row) const {
  // Tensor ranks inside an expert need the same tokens and add up their outputs. Tensor ranks of attention hold the same tokens already.
  const int inside = inputs_.layout.expert_tensor();
  if (inside <= 1) return;
  const RankGroup group = comm_.group(inside, 1);
  const double width = inputs_.model.moe()->input_width(inputs_.model.hidden);
  const int copies = std::max(1, inside / inputs_.layout.tensor);
  const double bytes = row.tokens * copies * width * kActivationBytes;
  if (copies > 1) row.add_communication(StepPart::kAllToAll, comm_.all_gather(bytes, group, row.in_graph()));
  row.add_communication(StepPart::kAllToAll, copies > 1 ? comm_.reduce_scatter(bytes, group, row.in_graph()) : comm_.all_reduce(bytes, group, row.in_graph()));
}

void LayerCosts::soft_experts(const MoeSpec& moe, Row& row) const {
  const double tokens = row.tokens * inputs_.layout.attention_data;
  const int local = share(moe.experts, inputs_.layout.expert);
  const MoeShape shape{.tokens = tokens,
                       .pairs = tokens * local,
                       .experts = static_cast<double>(local),
                       .hidden = moe.input_width(inputs_.model.hidden),
                       .inter = share(moe.expert_inter, inputs_.layout.expert_tensor()),
                       .local_experts = local,
                       .top_k = moe.experts,
                       .total_experts = moe.experts,
                       .gated = inputs_.model.gated_ffn,
                       .weights = inputs_.precision.experts};
  row.add(StepPart::kExperts, kernels_.moe(shape, row.phase));
}

void LayerCosts::shared_experts(const MoeSpec& moe, Row& row) const {
  const bool while_travelling = inputs_.engine.overlap.shared_expert && inputs_.layout.attention_data > 1;
  if (!row.in_graph() || while_travelling || row.tokens > inputs_.engine.shared_expert_stream) {
    gated_mlp(moe.shared_inter, row);
    return;
  }
  const double matrices = inputs_.model.gated_ffn ? 3.0 : 2.0;
  const double width = matrices * moe.shared_inter / inputs_.layout.tensor;
  row.add(StepPart::kDenseGemm, kernels_.beside({row.tokens, width, static_cast<double>(inputs_.model.hidden), inputs_.precision.weights}));
}

void LayerCosts::moe_layer(const MoeSpec& moe, Row& row) const {
  const double hidden = inputs_.model.hidden;
  const double experts = moe.experts;
  row.add(StepPart::kRouter, kernels_.gemm({row.tokens, experts, hidden, inputs_.precision.embeddings}, row.phase));
  row.add(StepPart::kRouter, kernels_.elementwise(row.tokens * experts * 8.0));  // fp32 scores written, read by the top-k
  if (moe.shared_inter > 0) {
    double& products = row.tally.parts[static_cast<std::size_t>(StepPart::kDenseGemm)];
    const double before = products;
    shared_experts(moe, row);
    row.tally.shared_experts += products - before;
  }
  if (moe.latent > 0) {
    row.add(StepPart::kDenseGemm,
            kernels_.gemm({row.tokens, static_cast<double>(moe.latent), hidden, inputs_.precision.weights}, row.phase));
    row.add(StepPart::kDenseGemm,
            kernels_.gemm({row.tokens, hidden, static_cast<double>(moe.latent), inputs_.precision.weights}, row.phase));
  }
  if (moe.dense_residual_inter > 0) gated_mlp(moe.dense_residual_inter, row);
  if (moe.shared_inter > 0 || moe.dense_residual_inter > 0) row.moved += row.layers * 3.0 * kActivationBytes * hidden;
  if (moe.soft_routing) soft_experts(moe, row);
  if (inputs_.layout.attention_data == 1) {
    all_reduce(row);
  } else if (dispatches(inputs_)) {
    split_experts(row);
    const double bytes = row.tokens * hidden * kActivationBytes;
    row.add_communication(StepPart::kAllReduce, comm_.all_gather(bytes, tensor_group_, row.in_graph()));
  } else {
    gather_scatter(row);
    all_reduce(row);
  }
}

Tally LayerCosts::layers(double tokens, KernelPhase phase) const {
  Row row{.tokens = tokens, .phase = phase};
  row.communication = inputs_.engine.operations.communication;
  if (tokens <= 0) return row.tally;
  for (const LayerGroup& group : inputs_.model.layers) {
    row.layers = group.count * layer_scale_;
    const AttentionSpec& a = group.attention;
    if (a.kind == AttentionKind::kMla) {
      mla_projections(a, row);
    } else if (a.kind == AttentionKind::kCompressed) {
      compressed_projections(a, row);
    } else if (a.has_kv_cache()) {
      projections(a, row);
    } else if (a.kind != AttentionKind::kNone) {
      state_projections(group, row);
    }
    if (a.kind != AttentionKind::kNone) all_reduce(row);
    if (group.ffn == FfnKind::kMoe) moe_layer(group.moe, row);
    if (group.ffn == FfnKind::kDense) {
      gated_mlp(group.dense_inter, row);
      all_reduce(row);
    }
    // A norm fused with the residual addition reads two vectors and writes two.
    row.moved += row.layers * 4.0 * kActivationBytes * inputs_.model.norms_per_layer * inputs_.model.residual_streams * inputs_.model.hidden;
  }
  row.tally.add(StepPart::kElementwise, kernels_.elementwise(row.moved * tokens));
  const double pipeline = inputs_.layout.pipeline;
  if (pipeline > 1) row.tally.add(StepPart::kPipeline, comm_.hand_over(tokens * inputs_.model.hidden * kActivationBytes), pipeline);
  return row.tally;
}

Tally LayerCosts::head(double rows, KernelPhase phase) const {
  Tally tally{};
  if (rows <= 0) return tally;
  const double vocab = static_cast<double>(inputs_.model.vocab);
  const double local = vocab / inputs_.layout.tensor;
  tally.add(StepPart::kLmHead,
            kernels_.gemm({rows, local, static_cast<double>(inputs_.model.hidden), inputs_.precision.embeddings}, phase));
  tally.add(StepPart::kAllReduce, comm_.all_gather(rows * vocab * kActivationBytes, tensor_group_, phase == KernelPhase::kDecode),
            inputs_.engine.operations.communication);
  return tally;
}

}  // namespace moeplan
