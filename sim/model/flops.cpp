#include "model/flops.hpp"

#include "model/layer_weights.hpp"

namespace moeplan {
namespace {

double matrix_flops(const ModelSpec& model, const LayerGroup& group) {
  double flops = 0;
  for (const auto& weight : layer_weights(model, group)) {
    if (!weight.matrix) continue;
    const bool routed = weight.component == WeightComponent::kExperts;
    const double copies = routed ? group.moe.active_experts() : weight.copies;
    flops += 2 * weight.inputs * weight.outputs * copies;
  }
  return flops;
}

double mixing_flops(const AttentionSpec& a, double context) {
  const double scores = 2.0 * a.heads * (a.head_dim + a.v_head_dim) * attended_tokens(a, context);
  const double index = 2.0 * a.index_heads * a.index_head_dim * context * a.kept_share();
  return scores + index + 6 * state_elements(a);
}

}  // namespace

Flops flops_per_token(const ModelSpec& model, double context) {
  double flops = 2.0 * model.hidden * static_cast<double>(model.vocab);
  for (const auto& group : model.layers) flops += group.count * (matrix_flops(model, group) + mixing_flops(group.attention, context));
  return Flops(flops);
}

}  // namespace moeplan
