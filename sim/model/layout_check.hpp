// Whether a model can be cut as a deployment asks: heads, KV heads, FFN widths and experts must divide.
#pragma once

#include <string_view>

#include "model/deployment.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

/// Most GPUs one replica may span.
inline constexpr int kMostGpusPerReplica = 1'000'000;

/// Throws InputError(`where` + "/tensor" and so on) naming the nearest acceptable widths, when a width is not positive, tensor does not
/// divide the heads (KV heads may be replicated), state heads or FFN widths, expert does not divide the experts and tensor x attention_data
/// or its rest does not divide the experts' inner width, or pipeline exceeds the layers. `where` names file and pointer of the layout. Call
/// it before any other use of `layout`: it also bounds the products. `redundant_experts`: slots for replicas, which the expert width divides
/// together with the experts.
void check_layout(const ModelSpec& model, const ParallelLayout& layout, std::string_view where, int redundant_experts = 0);

}  // namespace moeplan
