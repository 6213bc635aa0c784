// Which expert-parallel rank holds which experts of a layer, and how a layer's tokens land on the ranks. Replicas of one expert share its
// tokens evenly (EPLB).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "routing/load_sampler.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

/// The experts of one layer over `ranks` ranks.
class Placement {
 public:
  /// `ranks_of[e]` are the ranks that hold expert e: at least one, no rank twice.
  Placement(int ranks, const std::vector<std::vector<int>>& ranks_of);

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int experts() const { return static_cast<int>(first_.size()) - 1; }
  [[nodiscard]] std::span<const std::uint16_t> ranks_of(int expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return {rank_.data() + first_[e], first_[e + 1] - first_[e]};
  }
  /// Fills `load.ranks` and `load.distinct_experts` from `load.tokens_per_expert`.
  void spread(LayerLoad& load) const;

 private:
  int ranks_;
  std::vector<std::uint32_t> first_;
  std::vector<std::uint16_t> rank_;
};

/// Expert e on rank e * ranks / experts.
Placement contiguous_placement(int experts, int ranks);

/// Replicates the experts with the largest load per replica until `redundant` extra slots are used, then gives replicas in order of load
/// to the least loaded rank with a free slot (longest processing time first); every rank gets an equal number of slots, or one more.
/// Precondition: shares are not negative; at most one replica of an expert per rank.
Placement balanced_placement(std::span<const double> shares, int ranks, int redundant);

/// Two levels, as DeepSeek's EPLB does it: the `groups` of a node-limited router (0: every expert is one) go to the `nodes` by load, equally
/// many each, then each node's experts are balanced over its ranks with its part of the redundant slots. One level where the groups or the
/// ranks cannot be divided by the nodes.
Placement hierarchical_placement(std::span<const double> shares, int ranks, int redundant, int nodes, int groups);

/// The placement of `config` for layer `layer` of a model with `groups` routing groups (0: none), computed on the popularity `shares` unless
/// the config says on what.
Placement make_placement(const PlacementConfig& config, std::span<const double> shares, int layer, int groups = 0);

/// Experts that each rank holds in `after` and not in `before`: what must be sent to it.
std::vector<int> experts_received(const Placement& before, const Placement& after);

/// Largest / mean load of the ranks when the load is exactly `shares` (infinitely many tokens).
double rank_imbalance(const Placement& placement, std::span<const double> shares);

}  // namespace moeplan
