// The weight matrices of one layer, named by what they belong to and by how tensor and expert parallelism cut them. Parameter counts,
// weight bytes, FLOPs and LoRA adapters all read this one list, so that they cannot disagree.
//
// Left out on purpose: relative-position biases, attention output biases and other vectors far below a millionth of a model.
#pragma once

#include <cstdint>
#include <vector>

#include "model/deployment.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

enum class WeightComponent : std::uint8_t { kAttention, kDenseFfn, kSharedExperts, kExperts, kRouter, kNorms };

enum class WeightSplit : std::uint8_t {
  kReplicated,    ///< on every rank of the stage
  kColumn,        ///< outputs over the tensor ranks
  kRow,           ///< inputs over the tensor ranks
  kKvColumn,      ///< outputs over the tensor ranks down to one KV head (`units` of them) per rank, replicated beyond
  kExpertColumn,  ///< experts over the expert ranks, outputs over the tensor width left inside an expert
  kExpertRow,     ///< the same, inputs
};

/// `copies` equal matrices of inputs x outputs; a vector has inputs = 1 and `matrix` false.
struct LayerWeight {
  WeightComponent component = WeightComponent::kAttention;
  WeightSplit split = WeightSplit::kReplicated;
  double inputs = 0;
  double outputs = 0;
  double copies = 1;  ///< experts; or 1 / kv_shared_by
  int units = 0;      ///< KV heads (key heads, groups) of a kKvColumn weight
  bool matrix = true;

  [[nodiscard]] double parameters() const { return inputs * outputs * copies; }
  /// Over how many GPUs of a pipeline stage one copy of this weight is spread.
  [[nodiscard]] double ranks(const ParallelLayout& layout) const;
};

/// Everything one layer of `group` stores. Formulas per kind of attention are in layer_weights.cpp with their papers.
std::vector<LayerWeight> layer_weights(const ModelSpec& model, const LayerGroup& group);

}  // namespace moeplan
