#include "model/weights.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "model/layer_weights.hpp"

namespace moeplan {
namespace {

double bytes_per_parameter(const ModelSpec& model, const DeploymentPrecision& precision, const LayerWeight& weight) {
  if (!weight.matrix || weight.component == WeightComponent::kRouter) return bytes_per_weight(precision.embeddings);
  if (weight.component == WeightComponent::kExperts) return expert_bytes_per_weight(model, precision.experts);
  return bytes_per_weight(precision.weights);
}

// Sums as doubles: rounding each layer up would add up to a visible excess.
struct Sums {
  double attention = 0, dense_ffn = 0, shared_experts = 0, experts = 0, embedding = 0, head = 0, router = 0, norms = 0;

  [[nodiscard]] double total() const { return attention + dense_ffn + shared_experts + experts + embedding + head + router + norms; }

  void add(WeightComponent component, double bytes) {
    switch (component) {
      case WeightComponent::kAttention: attention += bytes; return;
      case WeightComponent::kDenseFfn: dense_ffn += bytes; return;
      case WeightComponent::kSharedExperts: shared_experts += bytes; return;
      case WeightComponent::kExperts: experts += bytes; return;
      case WeightComponent::kRouter: router += bytes; return;
      case WeightComponent::kNorms: norms += bytes; return;
    }
  }
};

Sums stage_sums(const ModelSpec& model, const DeploymentPrecision& precision, const ParallelLayout& layout, const PipelineStage& stage) {
  Sums sums;
  for (std::size_t g = 0; g < model.layers.size(); ++g) {
    for (const auto& weight : layer_weights(model, model.layers[g])) {
      sums.add(weight.component,
               stage.layers[g] * weight.parameters() * bytes_per_parameter(model, precision, weight) / weight.ranks(layout));
    }
  }
  const double per_parameter = bytes_per_weight(precision.embeddings);
  const double rows = std::ceil(static_cast<double>(model.vocab) / layout.tensor);
  const double table = rows * model.hidden * per_parameter;
  if (stage.embedding) sums.embedding = table;
  // A tied head costs nothing where the embedding already lies.
  if (stage.head && !(model.tied_embeddings && stage.embedding)) sums.head = table;
  if (stage.head) sums.norms += per_parameter * model.hidden * (model.norm_bias ? 2 : 1);
  return sums;
}

Bytes up(double bytes) { return Bytes(static_cast<std::int64_t>(std::ceil(bytes))); }

}  // namespace

DeploymentPrecision native_deployment(const ModelSpec& model) {
  DeploymentPrecision out;
  out.weights = model.native.weights;
  out.experts = model.native.experts;
  return out;
}

double expert_bytes_per_weight(const ModelSpec& model, Precision experts) {
  const bool own = experts == model.native.experts && model.native.experts_bytes_per_weight > 0;
  return own ? model.native.experts_bytes_per_weight : bytes_per_weight(experts);
}

std::vector<PipelineStage> extreme_stages(const ModelSpec& model, int pipeline) {
  const int layers = model.layer_count();
  MOEPLAN_CHECK(pipeline >= 1 && pipeline <= layers);
  const double per_stage = (layers + pipeline - 1) / pipeline;
  double leading = 0;
  for (const auto& group : model.layers) leading += group.leading ? group.count : 0;
  const double interleaved = layers - leading;

  const double leading_first = std::min(leading, per_stage);
  const double leading_last = std::max(0.0, per_stage - interleaved);
  const auto stage = [&](double leading_here) {
    PipelineStage out;
    for (const auto& group : model.layers) {
      const double of = group.leading ? leading : interleaved;
      out.layers.push_back(group.count * (group.leading ? leading_here : per_stage - leading_here) / of);
    }
    return out;
  };
  PipelineStage first = stage(leading_first);
  first.embedding = true;
  if (pipeline == 1) {
    first.head = true;
    return {first};
  }
  PipelineStage last = stage(leading_last);
  last.head = true;
  return {first, last};
}

WeightBytes weight_bytes_per_gpu(const ModelSpec& model, const DeploymentPrecision& precision, const ParallelLayout& layout) {
  Sums fullest;
  for (const auto& stage : extreme_stages(model, layout.pipeline)) {
    const Sums sums = stage_sums(model, precision, layout, stage);
    if (sums.total() > fullest.total()) fullest = sums;
  }
  return {up(fullest.attention), up(fullest.dense_ffn), up(fullest.shared_experts), up(fullest.experts),
          up(fullest.embedding), up(fullest.head),      up(fullest.router),         up(fullest.norms)};
}

double active_weight_bytes(const ModelSpec& model, const DeploymentPrecision& precision) {
  double bytes = 0;
  for (const auto& group : model.layers) {
    for (const auto& weight : layer_weights(model, group)) {
      const bool routed = weight.component == WeightComponent::kExperts;
      const double share = routed ? static_cast<double>(group.moe.active_experts()) / group.moe.experts : 1;
      bytes += group.count * share * weight.parameters() * bytes_per_parameter(model, precision, weight);
    }
  }
  const double head_and_norm = model.hidden * (static_cast<double>(model.vocab) + (model.norm_bias ? 2 : 1));
  return bytes + bytes_per_weight(precision.embeddings) * head_and_norm;
}

}  // namespace moeplan
