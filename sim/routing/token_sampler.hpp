// The reference: draws the experts of every token, one after the other. Linear in tokens x top_k.
#pragma once

#include <cstdint>
#include <span>

#include "base/random.hpp"
#include "routing/choice.hpp"
#include "routing/expert_load.hpp"

namespace moeplan {

/// Most experts one token may choose (the samplers work on the stack).
inline constexpr int kMostChoices = 64;
/// Most remembered choices of earlier tokens: reach x top_k.
inline constexpr int kMostHistory = 16384;

/// Draws the top_k different experts of one token into `experts` (at least top_k long).
void sample_token(const RouterChoice& choice, RandomStream& random, std::span<std::uint16_t> experts);

/// Adds the experts of `tokens` tokens to `counts` (one per expert). With `locality` on, the tokens are consecutive in one prompt and the
/// first of them has no past.
void sample_tokens(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts);

}  // namespace moeplan
