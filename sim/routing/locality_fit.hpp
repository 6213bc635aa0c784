// Finds the locality under which batches of neighbouring tokens load the experts as batches of recorded tokens did.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "routing/choice.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

/// Sizes of the batches that recorded tokens are cut into.
inline constexpr std::array<int, 7> kFittedBatches = {4, 8, 16, 32, 64, 128, 256};
/// Neighbouring experts taken together, as a rank holds them.
inline constexpr std::array<std::size_t, 3> kFittedRanks = {1, 2, 8};

/// What batches of neighbouring tokens show; sums over them.
struct BatchSums {
  int tokens = 0;  ///< per batch
  double batches = 0;
  double distinct = 0;                             ///< experts touched
  double squares = 0;                              ///< of the counts' distances from their mean
  double independent = 0;                          ///< what `squares` would be with independent tokens
  std::array<double, kFittedRanks.size()> hottest{};  ///< hottest of ranks with that many experts over their mean

  /// Adds a batch of `tokens` with the given counts by expert; `included`: P(chosen by a token) by expert.
  template <class Count>
  void add(std::span<const Count> counts, std::span<const double> included);
};

/// The locality that comes nearest to `measured` for the routers `layers`, whose choices are ordered: first by mean distinct experts and
/// spread of the counts, which are known without sampling, then by distinct experts and hottest ranks of sampled batches.
RoutingLocality fit_locality(std::span<const BatchSums> measured, const std::vector<RouterChoice>& layers);

template <class Count>
void BatchSums::add(std::span<const Count> counts, std::span<const double> included) {
  double pairs = 0;
  for (std::size_t e = 0; e < counts.size(); ++e) {
    const auto count = static_cast<double>(counts[e]);
    distinct += count > 0 ? 1 : 0;
    const double off = count - tokens * included[e];
    squares += off * off;
    independent += tokens * included[e] * (1.0 - included[e]);
    pairs += count;
  }
  for (std::size_t i = 0; i < kFittedRanks.size(); ++i) {
    const std::size_t width = kFittedRanks[i];
    double most = 0;
    for (std::size_t first = 0; first + width <= counts.size(); first += width) {
      double sum = 0;
      for (std::size_t e = first; e < first + width; ++e) sum += static_cast<double>(counts[e]);
      if (sum > most) most = sum;
    }
    hottest[i] += most / pairs * static_cast<double>(counts.size()) / static_cast<double>(width);
  }
  batches += 1;
}

}  // namespace moeplan
