// Arithmetic work of one token, independent of how any kernel does it. One multiply-add is two FLOPs.
#pragma once

#include "base/units.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

/// FLOPs of one token in a forward pass at `context` tokens (itself included):
///   2 x every matrix the token runs through (active parameters without the input embedding; the head is counted)
/// + 2 x heads x (query/key width + value width) x attended tokens per attention layer (MLA unabsorbed: the model's own arithmetic)
/// + 2 x index heads x index width x context per layer with an indexer
/// + 6 x state elements per constant-state layer (decay, update and read: Mamba and DeltaNet papers count 5 to 7).
Flops flops_per_token(const ModelSpec& model, double context);

}  // namespace moeplan
