// What a step asks of the experts, as far as its time depends on it: the load of the hottest expert-parallel rank.
#pragma once

#include <cstdint>
#include <span>

namespace moeplan {

/// One MoE layer of one step, seen from its ranks.
struct RankLoad {
  double pairs = 0;    ///< token-expert pairs on the rank
  double experts = 0;  ///< distinct local experts touched
};

/// Whether the tokens of a step are neighbours in a prompt (correlated choices) or independent requests.
enum class RoutingPhase : std::uint8_t { kDecode, kPrefill };

}  // namespace moeplan
