// The decoder in float64 without cache, batching or packing: every token attends to all before it, recomputed from the start.
#pragma once

#include <span>

#include "reference_engine/model.hpp"

namespace moeplan::reference {

/// Logits after the last of `tokens`.
std::vector<double> plain_logits(const ModelConfig& config, std::span<const std::int32_t> tokens);

}  // namespace moeplan::reference
