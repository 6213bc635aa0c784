// Weight memory of the fullest GPU of one replica, by component, under tensor, pipeline, expert and attention-data parallelism.
//
// Replicated where the parallelism replicates: attention, dense FFN, shared experts and embeddings on every attention-data copy; router,
// norms and MLA down-projections on every rank; KV projections once tensor ranks outnumber KV heads. Left out: multi-token-prediction
// modules, vision towers, vocabulary padding, redundant experts (placement is the routing floor's).
#pragma once

#include <vector>

#include "base/units.hpp"
#include "model/deployment.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

/// Bytes on one GPU, scales included.
struct WeightBytes {
  Bytes attention{};
  Bytes dense_ffn{};
  Bytes shared_experts{};
  Bytes experts{};    ///< routed experts
  Bytes embedding{};  ///< input embedding; holds a tied head too
  Bytes head{};
  Bytes router{};
  Bytes norms{};

  [[nodiscard]] Bytes total() const { return attention + dense_ffn + shared_experts + experts + embedding + head + router + norms; }
  bool operator==(const WeightBytes&) const = default;
};

/// The checkpoint's own formats, with a bf16 KV cache and bf16 embeddings, head and router: what a deployment that says nothing uses.
DeploymentPrecision native_deployment(const ModelSpec& model);

/// Storage per routed-expert weight when held in `experts`: the checkpoint's own grouping where it is the native format, else
/// bytes_per_weight.
double expert_bytes_per_weight(const ModelSpec& model, Precision experts);

/// Weights of the fullest GPU (of the fullest pipeline stage). `weights` covers attention, dense and shared FFN matrices, `experts` the
/// routed experts, `embeddings` embeddings, head, router and all vectors. REQUIRES: check_layout(model, layout) passes.
WeightBytes weight_bytes_per_gpu(const ModelSpec& model, const DeploymentPrecision& precision, const ParallelLayout& layout);

/// Bytes of weights that a batch of one token must read, over all GPUs: everything but the input embedding and the experts not chosen.
double active_weight_bytes(const ModelSpec& model, const DeploymentPrecision& precision);

/// One pipeline stage: how many layers of each of the model's groups it holds (fractional where groups are interleaved), and which ends.
struct PipelineStage {
  std::vector<double> layers;
  bool embedding = false;
  bool head = false;
};

/// The stages that can be the fullest: the first and, with a pipeline, the last. Each holds ceil(layers / pipeline) layers; leading groups
/// fill the first stage from its start, the others are spread evenly. REQUIRES: 1 <= pipeline <= layers.
std::vector<PipelineStage> extreme_stages(const ModelSpec& model, int pipeline);

}  // namespace moeplan
