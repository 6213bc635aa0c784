// Node-limited (grouped) routing: finds weights under which drawing in succession, restricted to `top_groups` groups, includes each expert
// as often as wanted. There is no closed form; trial draws from a fixed stream correct the weights.
#pragma once

#include <vector>

#include "routing/choice.hpp"

namespace moeplan {

/// Most groups of experts.
inline constexpr int kMostGroups = 64;

/// Corrects `weights` (on entry those of ungrouped drawing) and returns the variance, per token, of the choices in each group.
/// `choice` has its sizes and wanted inclusion probabilities. 35,000 tokens are drawn; the probabilities then hold to about 1 %.
std::vector<double> fit_grouped_weights(RouterChoice& choice, std::vector<double>& weights);

}  // namespace moeplan
