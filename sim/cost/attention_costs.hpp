// Token mixers of all layers on one GPU: attention over the KV cache in decode and prefill, and what depends on the number of decoding
// sequences or prefilled tokens alone (absorbed MLA products, recurrent states). Projections are elsewhere (layer_costs).
//
// Left out: contexts within a batch enter only through their mean, so a batch that mixes contexts below and above a sliding window is
// slightly overestimated.
#pragma once

#include "cost/cost_inputs.hpp"
#include "cost/device_kernels.hpp"
#include "cost/tally.hpp"

namespace moeplan {

class AttentionCosts {
 public:
  /// `layer_scale`: pipeline imbalance, multiplies every layer. REQUIRES: the references outlive this.
  AttentionCosts(const CostInputs& inputs, const DeviceKernels& kernels, double layer_scale);

  /// Decode attention of all layers for `sequences` of `context` tokens each.
  [[nodiscard]] KernelTime decode(double sequences, double context) const;
  /// Prefill attention of all layers over one chunk of one sequence.
  [[nodiscard]] KernelTime prefill(double tokens, double prefix) const;

  /// Parts that depend on the number of decoding sequences only, or of prefilled tokens only.
  [[nodiscard]] bool has_extras() const { return has_extras_; }
  [[nodiscard]] Tally decode_extras(double sequences) const;
  [[nodiscard]] Tally prefill_extras(double tokens) const;

 private:
  [[nodiscard]] KernelTime decode_layer(const AttentionSpec& a, double sequences, double context) const;
  [[nodiscard]] KernelTime prefill_layer(const AttentionSpec& a, double tokens, double prefix) const;
  [[nodiscard]] KernelTime compressed_prefill(const AttentionSpec& a, double tokens, double prefix) const;
  [[nodiscard]] KernelTime windowed_prefill(const AttentionSpec& a, double tokens, double prefix) const;
  [[nodiscard]] KernelTime indexer(const AttentionSpec& a, double keys, double query_keys) const;

  const CostInputs& inputs_;
  const DeviceKernels& kernels_;
  double layer_scale_;
  int tensor_;
  bool has_extras_ = false;
  int state_layers_ = 0;
  double state_bytes_ = 0;  ///< recurrent state of one sequence, all layers, this GPU
};

}  // namespace moeplan
