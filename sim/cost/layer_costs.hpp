// What every token of a step costs on one GPU whatever its context: projections, dense FFN, shared experts, router, norms and other
// element-wise kernels, tensor-parallel all-reduces, the gather and scatter of data-parallel attention; and the LM head per sampled row.
//
// Left out: sequence parallelism of norms, the sampler (part of the host time).
#pragma once

#include "cost/communicator.hpp"
#include "cost/cost_inputs.hpp"
#include "cost/device_kernels.hpp"
#include "cost/tally.hpp"

namespace moeplan {

class LayerCosts {
 public:
  /// `layer_scale`: pipeline imbalance, multiplies every layer. REQUIRES: the references outlive this.
  LayerCosts(const CostInputs& inputs, const DeviceKernels& kernels, const Communicator& comm, double layer_scale);

  /// All layers for `tokens` on the busiest attention copy. In a step with prefill, collectives leave the CUDA graph.
  [[nodiscard]] Tally layers(double tokens, KernelPhase phase) const;
  /// LM head and gather of logits for `rows` sampled rows.
  [[nodiscard]] Tally head(double rows, KernelPhase phase) const;

 private:
  struct Row;  ///< one call of layers(): where it adds up
  void projections(const AttentionSpec& a, Row& row) const;
  void mla_projections(const AttentionSpec& a, Row& row) const;
  void compressed_projections(const AttentionSpec& a, Row& row) const;
  void indexer_projections(const AttentionSpec& a, Row& row) const;
  void state_projections(const LayerGroup& group, Row& row) const;
  void gated_mlp(double inter, Row& row) const;
  /// Beside the routed experts on a stream of their own where the engine has one; else after them, or while tokens travel.
  void shared_experts(const MoeSpec& moe, Row& row) const;
  void moe_layer(const MoeSpec& moe, Row& row) const;
  void soft_experts(const MoeSpec& moe, Row& row) const;
  void split_experts(Row& row) const;
  void gather_scatter(Row& row) const;
  void all_reduce(Row& row) const;

  const CostInputs& inputs_;
  const DeviceKernels& kernels_;
  const Communicator& comm_;
  double layer_scale_;
  RankGroup tensor_group_;
  RankGroup data_group_;
};

}  // namespace moeplan
