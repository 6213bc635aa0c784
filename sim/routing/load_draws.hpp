// Draws of a model's expert loads, kept: what a router does to the ranks does not depend on the GPU, the engine, the tensor width or the
// precision, so that deployments which differ only in these share the draws and their preparation.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "routing/load_sampler.hpp"

namespace moeplan {

/// One layer drawn once: the ranks that may be the slowest, and what a report wants to know.
struct LayerDraw {
  RankLoad hottest;       ///< most pairs, then most experts
  RankLoad widest;        ///< most distinct experts, then most pairs
  double mean_pairs = 0;    ///< over ranks
  double mean_experts = 0;  ///< distinct experts, over ranks
  double distinct = 0;
  double degraded = 0;  ///< share of the tokens that lost an expert to its capacity

  LayerDraw() = default;
  explicit LayerDraw(const LayerLoad& load);
};

/// Draws of every layer of one sampler by phase and token count, each made on first use from a stream of its own: no order of visits shows
/// in them. Any number of threads may use one object.
class LoadDraws {
 public:
  struct Layers {
    unsigned per_layer = 0;        ///< a power of two
    std::vector<LayerDraw> draws;  ///< [layer x per_layer + draw]
  };

  /// `layers`: MoE layers of the model; layer l is drawn as layer l modulo those of the sampler. REQUIRES: `sampler` outlives this.
  LoadDraws(const LoadSampler& sampler, int layers, std::uint64_t seed);

  [[nodiscard]] const LoadSampler& sampler() const { return sampler_; }
  [[nodiscard]] int layers() const { return layers_; }
  /// REQUIRES: tokens > 0.
  [[nodiscard]] const Layers& at(RoutingPhase phase, std::int64_t tokens) const;

 private:
  struct Entry {
    std::once_flag made;
    Layers layers;
  };
  [[nodiscard]] Layers make(RoutingPhase phase, std::int64_t tokens) const;

  const LoadSampler& sampler_;
  int layers_;
  std::uint64_t seed_;
  mutable std::mutex mutex_;  ///< of the map; entries guard themselves
  mutable std::map<std::pair<RoutingPhase, std::int64_t>, Entry> entries_;
};

class RoutingEpochs;

/// The draws of every router met in a study, which owns this and lets it outlive its deployments. Any number of threads may use it.
class RoutingLibrary {
 public:
  RoutingLibrary();
  ~RoutingLibrary();

  /// Arguments as for make_load_sampler; the draws are made from `seed`, too. Throws what that throws.
  const LoadDraws& find(const MoeSpec& moe, int layers, const RoutingConfig& routing, const PlacementConfig& placement, std::uint64_t seed);
  /// The same over simulated time; find() gives the draws of its first epoch.
  const RoutingEpochs& find_epochs(const MoeSpec& moe, int layers, const RoutingConfig& routing, const PlacementConfig& placement,
                                   std::uint64_t seed);

 private:
  struct Entry;
  std::mutex mutex_;  ///< of the list; entries guard themselves
  std::list<Entry> entries_;
};

}  // namespace moeplan
