#include "routing/load_draws.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "routing/routing_epochs.hpp"

namespace moeplan {
namespace {

constexpr int kFewestPerLayer = 4;

/// Draws per layer, a power of two. Few tokens scatter widely and are cheap to draw; with few layers a step's spread is a draw's.
unsigned draws_per_layer(std::int64_t tokens, int top_k, int layers) {
  if (top_k == 1) tokens = (tokens + 5) / 6;  // scatter like a sixth of the tokens with the six to eight experts of most models
  const int over_all_layers = (tokens <= 2 ? 1536 : tokens <= 4 ? 768 : tokens <= 16 ? 384 : 192) * (layers < 8 ? 4 : 1);
  return std::bit_ceil(static_cast<unsigned>(std::max(kFewestPerLayer, (over_all_layers + layers - 1) / layers)));
}

/// What a sampler is made from.
struct Router {
  int experts, top_k, groups, top_groups;
  bool soft;
  int layers;
  std::uint64_t seed;
  RoutingConfig routing;
  PlacementConfig placement;
  bool operator==(const Router&) const = default;
};

}  // namespace

LayerDraw::LayerDraw(const LayerLoad& load)
    : mean_pairs(static_cast<double>(load.pairs) / static_cast<double>(load.ranks.size())), distinct(load.distinct_experts), degraded(load.degraded) {
  for (const RankLoad& rank : load.ranks) {
    mean_experts += rank.experts / static_cast<double>(load.ranks.size());
    if (std::pair(rank.pairs, rank.experts) > std::pair(hottest.pairs, hottest.experts)) hottest = rank;
    if (std::pair(rank.experts, rank.pairs) > std::pair(widest.experts, widest.pairs)) widest = rank;
  }
}

LoadDraws::LoadDraws(const LoadSampler& sampler, int layers, std::uint64_t seed)
    : sampler_(sampler), layers_(layers), seed_(seed) {
  MOEPLAN_CHECK(sampler.layers() > 0 && layers > 0);
}

const LoadDraws::Layers& LoadDraws::at(RoutingPhase phase, std::int64_t tokens) const {
  Entry* entry = nullptr;
  {
    const std::lock_guard lock(mutex_);
    entry = &entries_[{phase, tokens}];
  }
  std::call_once(entry->made, [&] { entry->layers = make(phase, tokens); });
  return entry->layers;
}

LoadDraws::Layers LoadDraws::make(RoutingPhase phase, std::int64_t tokens) const {
  const bool prefill = phase == RoutingPhase::kPrefill;
  RandomStream random(seed_, prefill ? "routing/draws/prefill" : "routing/draws/decode", static_cast<std::uint64_t>(tokens));
  Layers made;
  made.per_layer = draws_per_layer(tokens, sampler_.top_k(), layers_);
  made.draws.reserve(static_cast<std::size_t>(layers_) * made.per_layer);
  LayerLoad load;
  for (int layer = 0; layer < layers_; ++layer) {
    for (unsigned i = 0; i < made.per_layer; ++i) {
      sampler_.sample(layer % sampler_.layers(), tokens, phase, random, load);
      made.draws.emplace_back(load);
    }
  }
  return made;
}

struct RoutingLibrary::Entry {
  explicit Entry(Router r)
      : router(std::move(r)), epochs(spec(router), router.layers, router.routing, router.placement, router.seed) {}

  static MoeSpec spec(const Router& router) {
    MoeSpec moe;
    moe.experts = router.experts;
    moe.top_k = router.top_k;
    moe.groups = router.groups;
    moe.top_groups = router.top_groups;
    moe.soft_routing = router.soft;
    return moe;
  }
  Router router;
  RoutingEpochs epochs;
};

RoutingLibrary::RoutingLibrary() = default;
RoutingLibrary::~RoutingLibrary() = default;

const RoutingEpochs& RoutingLibrary::find_epochs(const MoeSpec& moe, int layers, const RoutingConfig& routing, const PlacementConfig& placement,
                                                 std::uint64_t seed) {
  Router router{moe.experts, moe.top_k, moe.groups, moe.top_groups, moe.soft_routing, layers, seed, routing, placement};
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.router == router; });
  return (found != entries_.end() ? *found : entries_.emplace_back(std::move(router))).epochs;
}

const LoadDraws& RoutingLibrary::find(const MoeSpec& moe, int layers, const RoutingConfig& routing, const PlacementConfig& placement,
                                      std::uint64_t seed) {
  return find_epochs(moe, layers, routing, placement, seed).draws(0);
}

}  // namespace moeplan
