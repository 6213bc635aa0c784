// Node-limited (grouped) routing: finds weights under which drawing in succession, restricted to `top_groups` groups, includes each expert
// as often as wanted. There is no closed form; trial draws from a fixed stream correct the weights.
#pragma once

#include <vector>

#include "routing/choice.hpp"

namespace moeplan {

/// Most groups of experts.
inline constexpr int kMostGroups = 64;

/// What the correction of one layer teaches about the next: layers differ in which experts are popular, hardly in how much.
struct GroupedCorrection {
  std::vector<double> by_class;  ///< log correction by class of popularity; empty: nothing learnt yet
  double by_group_share = 0;     ///< log correction of a group per log of its share
};

/// Corrects `weights` (on entry those of ungrouped drawing) and returns the variance, per token, of the choices in each group. `choice` has
/// its sizes and wanted inclusion probabilities. The first layer takes 35,000 trial tokens and fills `learnt`, further ones start from it
/// and take 15,000; the probabilities of groups and of experts of like popularity then hold to about 1 %.
std::vector<double> fit_grouped_weights(RouterChoice& choice, std::vector<double>& weights, GroupedCorrection& learnt);

}  // namespace moeplan
