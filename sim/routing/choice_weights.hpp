// Weights for drawing top_k different experts one after the other (Plackett-Luce, the same as Gumbel top-k) so that each is included with
// a wanted probability. Drawing by the wanted shares themselves would flatten them: a popular expert cannot be drawn twice.
#pragma once

#include <span>
#include <vector>

namespace moeplan {

/// P(expert is among the `top_k` drawn) for each expert, by numeric integration over the exponential race that is equivalent to
/// successive drawing (Rosen 1997); relative error below 1e-4. Precondition: more than `top_k` positive weights.
std::vector<double> inclusion_probabilities(std::span<const double> weights, int top_k);

/// P(expert is drawn as the n-th | it is among the `top_k` drawn) at [expert x top_k + n - 1], by the same integration.
std::vector<double> orders_of_drawing(std::span<const double> weights, int top_k);

/// Weights whose inclusion probabilities are top_k * share, to 0.1 %. Starts from -log(1 - top_k share) and iterates. Precondition: shares
/// sum to 1, each below 1 / top_k.
std::vector<double> choice_weights(std::span<const double> shares, int top_k);

}  // namespace moeplan
