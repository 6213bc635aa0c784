// Memory of LoRA adapters kept resident beside the weights (Hu et al. 2021, arXiv 2106.09685): two bf16 matrices of the given rank per
// target. Cut as serving engines cut them: of a column-parallel weight the first matrix is on every rank, of a row-parallel one the second.
#pragma once

#include "base/units.hpp"
#include "model/deployment.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

/// Which weights carry an adapter, and how many adapters stay in VRAM.
struct LoraSpec {
  int rank = 0;
  int resident = 0;
  bool attention = true;
  bool dense_ffn = false;
  bool shared_experts = false;
  bool experts = false;  ///< one adapter per routed expert

  bool operator==(const LoraSpec&) const = default;
};

/// Bytes of all resident adapters on the fullest GPU. REQUIRES: check_layout(model, layout) passes.
Bytes lora_bytes_per_gpu(const ModelSpec& model, const LoraSpec& lora, const ParallelLayout& layout);

}  // namespace moeplan
