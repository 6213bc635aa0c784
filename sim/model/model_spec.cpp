#include "model/model_spec.hpp"

#include <algorithm>

#include "model/layer_weights.hpp"

namespace moeplan {

int ModelSpec::layer_count() const {
  int n = 0;
  for (const auto& group : layers) n += group.count;
  return n;
}

int ModelSpec::moe_layer_count() const {
  int n = 0;
  for (const auto& group : layers) n += group.ffn == FfnKind::kMoe ? group.count : 0;
  return n;
}

const MoeSpec* ModelSpec::moe() const {
  for (const auto& group : layers) {
    if (group.ffn == FfnKind::kMoe) return &group.moe;
  }
  return nullptr;
}

double ParameterCount::active(ActiveConvention convention, bool tied) const {
  switch (convention) {
    case ActiveConvention::kInclEmbeddings: return active();
    case ActiveConvention::kExclInputEmbedding: return active_excluding_input_embedding(tied);
    case ActiveConvention::kExclEmbeddings: return active_excluding_embeddings();
  }
  return active();
}

ParameterCount count_parameters(const ModelSpec& model) {
  ParameterCount count;
  count.embedding = static_cast<double>(model.vocab) * model.hidden;
  count.head = model.tied_embeddings ? 0 : count.embedding;
  count.norms = static_cast<double>(model.hidden) * (model.norm_bias ? 2 : 1);
  for (const auto& group : model.layers) {
    for (const auto& weight : layer_weights(model, group)) {
      const double parameters = weight.parameters() * group.count;
      switch (weight.component) {
        case WeightComponent::kAttention: count.attention += parameters; break;
        case WeightComponent::kDenseFfn: count.dense_ffn += parameters; break;
        case WeightComponent::kSharedExperts: count.shared_experts += parameters; break;
        case WeightComponent::kExperts:
          count.experts += parameters;
          count.active_experts += parameters * group.moe.active_experts() / group.moe.experts;
          break;
        case WeightComponent::kRouter: count.router += parameters; break;
        case WeightComponent::kNorms: count.norms += parameters; break;
      }
    }
  }
  return count;
}

}  // namespace moeplan
