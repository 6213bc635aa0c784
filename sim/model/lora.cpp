#include "model/lora.hpp"

#include <algorithm>
#include <cmath>

#include "model/layer_weights.hpp"
#include "model/weights.hpp"

namespace moeplan {
namespace {

bool targeted(const LoraSpec& lora, const LayerWeight& weight) {
  if (!weight.matrix) return false;
  switch (weight.component) {
    case WeightComponent::kAttention: return lora.attention;
    case WeightComponent::kDenseFfn: return lora.dense_ffn;
    case WeightComponent::kSharedExperts: return lora.shared_experts;
    case WeightComponent::kExperts: return lora.experts;
    case WeightComponent::kRouter:
    case WeightComponent::kNorms: return false;
  }
  return false;
}

// Parameters per unit of rank on one GPU.
double width_on_gpu(const LayerWeight& weight, const ParallelLayout& layout) {
  switch (weight.split) {
    case WeightSplit::kReplicated: return weight.copies * (weight.inputs + weight.outputs);
    case WeightSplit::kColumn:
    case WeightSplit::kKvColumn: return weight.copies * (weight.inputs + weight.outputs / weight.ranks(layout));
    case WeightSplit::kRow: return weight.copies * (weight.inputs / layout.tensor + weight.outputs);
    case WeightSplit::kExpertColumn: return weight.copies / layout.expert * (weight.inputs + weight.outputs / layout.expert_tensor());
    case WeightSplit::kExpertRow: return weight.copies / layout.expert * (weight.inputs / layout.expert_tensor() + weight.outputs);
  }
  return 0;
}

}  // namespace

Bytes lora_bytes_per_gpu(const ModelSpec& model, const LoraSpec& lora, const ParallelLayout& layout) {
  double fullest = 0;
  for (const auto& stage : extreme_stages(model, layout.pipeline)) {
    double width = 0;
    for (std::size_t g = 0; g < model.layers.size(); ++g) {
      for (const auto& weight : layer_weights(model, model.layers[g])) {
        if (targeted(lora, weight)) width += stage.layers[g] * width_on_gpu(weight, layout);
      }
    }
    fullest = std::max(fullest, width);
  }
  const double bytes = fullest * lora.rank * lora.resident * bytes_per_weight(Precision::kBf16);
  return Bytes(static_cast<std::int64_t>(std::ceil(bytes)));
}

}  // namespace moeplan
