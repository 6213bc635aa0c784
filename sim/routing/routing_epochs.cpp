#include "routing/routing_epochs.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "routing/load_sampler.hpp"

namespace moeplan {

RoutingEpochs::RoutingEpochs(const MoeSpec& moe, int layers, RoutingConfig routing, PlacementConfig placement, std::uint64_t seed)
    : moe_(moe), layers_(layers), routing_(std::move(routing)), placement_(std::move(placement)), seed_(seed) {
  find(routing_span(routing_.drift, placement_, SimTime{0}).state);
}

std::uint32_t RoutingEpochs::find(const RoutingState& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(states_.begin(), states_.end(), [&](const State& s) { return s.key == key; });
  const auto index = static_cast<std::uint32_t>(found - states_.begin());
  if (found == states_.end()) states_.emplace_back(key);
  return index;
}

RoutingEpochs::Epoch RoutingEpochs::at(SimTime now) const {
  const RoutingSpan span = routing_span(routing_.drift, placement_, now);
  Epoch epoch;
  epoch.begin = span.begin;
  epoch.end = span.end;
  epoch.index = find(span.state);
  if (span.tuned_before != span.state.tuned) epoch.experts_received = most_received(span.tuned_before, span.state.tuned);
  return epoch;
}

const LoadDraws& RoutingEpochs::draws(std::uint32_t index) const {
  State* state = nullptr;
  {
    const std::lock_guard lock(mutex_);
    MOEPLAN_CHECK(index < states_.size());
    state = &states_[index];
  }
  std::call_once(state->made, [&] {
    state->sampler = make_load_sampler(moe_, layers_, routing_, placement_, seed_, SamplingMode::kCounts, state->key);
    state->draws = std::make_unique<LoadDraws>(*state->sampler, layers_, seed_);
  });
  return *state->draws;
}

double RoutingEpochs::most_received(const Tuned& before, const Tuned& after) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = received_.find({before, after}); known != received_.end()) return known->second;
  }
  std::vector<double> received(static_cast<std::size_t>(placement_.ranks), 0.0);
  for (int layer = 0; layer < layers_; ++layer) {
    const auto more = experts_received(placement_at(moe_, routing_, placement_, layer, seed_, {0, before}),
                                       placement_at(moe_, routing_, placement_, layer, seed_, {0, after}));
    for (std::size_t r = 0; r < received.size(); ++r) received[r] += more[r];
  }
  const double most = *std::max_element(received.begin(), received.end());
  const std::lock_guard lock(mutex_);
  received_[{before, after}] = most;
  return most;
}

}  // namespace moeplan
