// Which shapes are measured: chosen so that every constant of the fitted kernel forms is determined (launch floor, bandwidth, compute rate,
// their ridge, tile edges) and residual tables have neighbours within an octave or two.
#pragma once

#include <map>

#include "suite/operation.hpp"

namespace moeplan::bench {

/// What a backend can run. An operation that is missing from `formats` is not measured.
struct Abilities {
  std::map<Op, std::vector<std::string>> formats;  ///< of weights, or of the KV cache; {"bf16"} where an operation has no choice
  bool small_device = false;       ///< a CPU: smaller shapes, a thousand times slower
  int devices = 1;                 ///< devices that collectives and peer copies may use
  double memory_bytes = 8e9;       ///< cases that need more are left out
};

enum class Extent { kQuick, kFull };

/// Cases of `ops`, in order, without duplicates. The same arguments and seed give the same cases.
std::vector<Case> make_grid(const Abilities& abilities, const std::vector<Op>& ops, Extent extent, std::uint64_t seed);

/// Experts of every (token, choice) pair: balanced spreads them evenly over as many experts as there are pairs, uneven draws a popularity
/// for each expert (log-normal, sigma 1) and then without replacement within a token. Starts at a different expert for each `round`.
std::vector<int> assign_experts(std::int64_t tokens, int top_k, int experts, bool balanced, std::uint64_t seed, int round = 0);

}  // namespace moeplan::bench
