// The routers of a deployment over simulated time: samplers and draws of every state that drift and rebalancing bring about, each made when
// first met. Without drift and rebalancing there is one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "routing/load_draws.hpp"
#include "routing/placement.hpp"
#include "routing/routing_state.hpp"

namespace moeplan {

/// Any number of threads may use one object.
class RoutingEpochs {
 public:
  /// Arguments as for make_load_sampler.
  RoutingEpochs(const MoeSpec& moe, int layers, RoutingConfig routing, PlacementConfig placement, std::uint64_t seed);
  RoutingEpochs(const RoutingEpochs&) = delete;
  RoutingEpochs& operator=(const RoutingEpochs&) = delete;

  struct Epoch {
    std::uint32_t index = 0;  ///< of the draws; equal states have the same
    SimTime begin{0};
    SimTime end = kNever;
    double experts_received = 0;  ///< by the rank that receives most at `begin`, over all layers
  };
  /// Whether there is more than one epoch.
  [[nodiscard]] bool changes() const { return routing_.drift.on() || placement_.rebalance.on(); }
  [[nodiscard]] Epoch at(SimTime now) const;
  /// Draws of an epoch that at() gave, or of the first one, 0. Throws what make_load_sampler throws.
  [[nodiscard]] const LoadDraws& draws(std::uint32_t index) const;

 private:
  using Tuned = std::vector<std::pair<int, double>>;
  struct State {
    explicit State(RoutingState k) : key(std::move(k)) {}
    RoutingState key;
    std::once_flag made;
    std::unique_ptr<LoadSampler> sampler;
    std::unique_ptr<LoadDraws> draws;
  };
  [[nodiscard]] double most_received(const Tuned& before, const Tuned& after) const;
  /// Index of that state, which is new when it is first asked for.
  std::uint32_t find(const RoutingState& key) const;

  MoeSpec moe_;
  int layers_;
  RoutingConfig routing_;
  PlacementConfig placement_;
  std::uint64_t seed_;
  mutable std::mutex mutex_;  ///< of the containers; states guard themselves
  mutable std::deque<State> states_;
  mutable std::map<std::pair<Tuned, Tuned>, double> received_;
};

}  // namespace moeplan
