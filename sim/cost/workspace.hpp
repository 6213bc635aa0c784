// Memory that a step needs beside weights and KV cache, per GPU: the largest set of activations alive at once, and the buffers of the
// communication libraries. The engine's own reserve (context, graphs) is in its profile.
#pragma once

#include "base/units.hpp"
#include "cost/cost_inputs.hpp"

namespace moeplan {

struct Workspace {
  Bytes activations;    ///< layers and logits: they are never alive together, the larger counts
  Bytes communication;  ///< library buffers of every group the GPU belongs to, gathered tokens of data-parallel attention
};

/// With M = max_batch_tokens, M' = M x attention_data tokens that meet at the experts, h = hidden, 2 bytes each:
/// activations = max(layers, logits), layers = 3 M h + max(mixer, FFN), mixer = M (queries + keys + values + output of this GPU),
/// FFN = M (2 or 3) inter / tensor; or M' top_k / expert (max((1 or 2) inter, h) + inter) + M' h of the fused expert kernel (inter per
/// tensor rank of the experts), and the shared expert. logits = min(max_batch_requests, M) x vocab x the engine's sampler bytes per
/// logit (by default two copies in fp32 and one in bf16).
/// communication = 256 MiB per group wider than one (NCCL's channel buffers at its defaults, order of magnitude), plus 2 M' h
/// for gather and scatter, or dispatch and combine buffers of M tokens x top_k.
Workspace workspace_bytes(const CostInputs& inputs);

}  // namespace moeplan
