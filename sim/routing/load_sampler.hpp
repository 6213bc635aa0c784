// Draws what a router does to the experts of one MoE layer: tokens per expert, and from them the load of every expert-parallel rank.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "routing/expert_load.hpp"
#include "routing/routing_config.hpp"
#include "routing/routing_state.hpp"

namespace moeplan {

class Placement;
struct RouterChoice;

/// One MoE layer in one step.
struct LayerLoad {
  std::vector<std::int32_t> tokens_per_expert;  ///< by expert id
  std::vector<RankLoad> ranks;                  ///< by expert-parallel rank, under the placement
  std::int64_t pairs = 0;                       ///< tokens x top_k, less those dropped
  std::int64_t dropped = 0;                     ///< pairs beyond the experts' capacity
  double degraded = 0;                          ///< share of the tokens that lost an expert so
  std::int32_t distinct_experts = 0;            ///< over all ranks
  [[nodiscard]] std::size_t hottest() const;    ///< rank with the most pairs
};

/// Thread-safe for concurrent const use with separate streams and outputs.
class LoadSampler {
 public:
  virtual ~LoadSampler() = default;
  [[nodiscard]] virtual int layers() const = 0;  ///< MoE layers
  [[nodiscard]] virtual int experts() const = 0;
  [[nodiscard]] virtual int top_k() const = 0;  ///< all experts for soft routing
  [[nodiscard]] virtual int ranks() const = 0;
  /// Long-run shares of a layer's pairs by expert, as decoding tokens choose them; and where the experts lie.
  [[nodiscard]] virtual std::vector<double> shares(int layer) const = 0;
  [[nodiscard]] virtual const Placement& placement(int layer) const = 0;
  /// How decoding tokens choose.
  [[nodiscard]] virtual const RouterChoice& choice(int layer) const = 0;
  /// Draws the load of `layer` (0 .. layers()-1) for `tokens` > 0 tokens. Reuses the memory of `out`.
  virtual void sample(int layer, std::int64_t tokens, RoutingPhase phase, RandomStream& random, LayerLoad& out) const = 0;
};

/// How many tokens are drawn one by one: all of them (kTokens, slow, the reference), or only the small batches (kCounts).
enum class SamplingMode : std::uint8_t { kCounts, kTokens };

/// A sampler for a model with `layers` MoE layers of kind `moe`. The popularity of each layer comes from `routing` and `seed`, its
/// placement from `placement`, both at the state of drift and rebalancing `state`. Throws InputError: recorded experts differ from the
/// model's, more ranks than expert slots.
std::unique_ptr<LoadSampler> make_load_sampler(const MoeSpec& moe, int layers, const RoutingConfig& routing,
                                               const PlacementConfig& placement, std::uint64_t seed,
                                               SamplingMode mode = SamplingMode::kCounts, const RoutingState& state = {});

/// Where the experts of one layer lie in that state.
Placement placement_at(const MoeSpec& moe, const RoutingConfig& routing, const PlacementConfig& placement, int layer, std::uint64_t seed,
                       const RoutingState& state);

}  // namespace moeplan
