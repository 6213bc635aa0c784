// The least time a step can take on its GPUs, counted from parameters and KV bytes alone: no formula of the cost floor is used.
#pragma once

#include <algorithm>

#include "cost/cost_inputs.hpp"
#include "model/layer_weights.hpp"

namespace moeplan::test {

struct StepWork {
  double decode = 0;    ///< sequences
  double context = 0;   ///< of each
  double prefill = 0;   ///< tokens of one chunk without prefix that ends its prompt
  double distinct = 0;  ///< experts touched per MoE layer
};

/// Seconds, per GPU. Weights of all stages are read one after the other; tokens are spread over stages and attention copies.
struct Roofline {
  double memory = 0;
  double compute = 0;

  Roofline(const CostInputs& in, const StepWork& work) {
    const double tokens = work.decode + work.prefill;
    const double tensor = in.layout.tensor;
    const double spread = tensor * in.layout.attention_data * in.layout.pipeline;
    const double bandwidth = in.gpu.memory_bandwidth.value();
    const Precision w = in.precision.weights;
    const double peak = in.gpu.peak(in.gpu.compute_precision(w))->value();
    const double expert_peak = in.gpu.peak(in.gpu.compute_precision(in.precision.experts))->value();
    double bytes = 0;
    double kv = 0;
    for (const LayerGroup& group : in.model.layers) {
      double plain = 0;
      double routed = 0;
      for (const LayerWeight& weight : layer_weights(in.model, group)) {
        if (!weight.matrix || weight.component == WeightComponent::kNorms || weight.component == WeightComponent::kRouter) continue;
        (weight.component == WeightComponent::kExperts ? routed : plain) += weight.parameters() * group.count;
      }
      bytes += plain / tensor * bytes_per_weight(w);
      compute += 2.0 * tokens * plain / spread / peak;
      if (group.ffn == FfnKind::kMoe) {
        bytes += routed * work.distinct / group.moe.experts / in.layout.gpus_per_stage() * bytes_per_weight(in.precision.experts);
        compute += 2.0 * tokens * routed * group.moe.active_experts() / group.moe.experts / spread / expert_peak;
      }
      const AttentionSpec& a = group.attention;
      if (!a.has_kv_cache()) continue;
      const double width =
          a.kind == AttentionKind::kMla ? a.kv_lora + a.qk_rope : 2.0 * std::min(a.head_dim, a.v_head_dim) * a.kv_heads / tensor;
      kv += group.count * work.decode * attended_tokens(a, work.context) * width * bytes_per_activation(in.precision.kv_cache);
    }
    const double head = static_cast<double>(in.model.vocab) * in.model.hidden / tensor * bytes_per_weight(in.precision.embeddings);
    memory = (bytes + (in.layout.pipeline == 1 ? head : 0) + kv / (in.layout.attention_data * in.layout.pipeline)) / bandwidth;
  }
  [[nodiscard]] double seconds() const { return std::max(memory, compute); }
};

}  // namespace moeplan::test
