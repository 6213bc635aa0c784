// Capacity factor: engines with buffers of fixed size per expert (Switch, GShard) let an expert take only so many tokens of a step. What is
// beyond is dropped, which degrades answers, or goes to the next choice.
#pragma once

#include <cstdint>
#include <span>

#include "routing/load_sampler.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

struct ExpertCapacity {
  double factor = 0;  ///< of an even share; > 0
  Overflow overflow = Overflow::kDrop;
};

/// Pairs that an expert takes of a step of `tokens`: factor x tokens x top_k / experts, rounded up (Fedus et al. 2021, eq. 3).
std::int64_t expert_capacity(double factor, std::int64_t tokens, int top_k, int experts);

/// Takes pairs beyond the capacity off `load.tokens_per_expert`; rerouted ones go to experts with room in proportion to `included`. Sets
/// `load.pairs`, `load.dropped` and `load.degraded`, the last as if a token's choices were independent.
void limit_to_capacity(const ExpertCapacity& capacity, std::span<const double> included, std::int64_t tokens, LayerLoad& load);

}  // namespace moeplan
