#include "routing/load_sampler.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "routing/choice.hpp"
#include "routing/count_sampler.hpp"
#include "routing/grouped_choice.hpp"
#include "routing/placement.hpp"
#include "routing/popularity.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

struct Layer {
  RouterChoice choice;
  Placement placement;
};

/// Token by token where that is cheaper than one normal per expert, and where counts are too small for the counts' approximation.
bool worth_drawing_tokens(const RouterChoice& choice, std::int64_t tokens) {
  return tokens * choice.top_k <= std::max(512, (choice.group_size > 0 ? 3 : 5) * choice.experts);
}

class RouterLoadSampler final : public LoadSampler {
 public:
  RouterLoadSampler(std::vector<Layer> layers, LocalityTables locality, int ranks, SamplingMode mode)
      : layers_(std::move(layers)), locality_(std::move(locality)), ranks_(ranks), mode_(mode) {}

  [[nodiscard]] int layers() const override { return static_cast<int>(layers_.size()); }
  [[nodiscard]] int experts() const override { return layers_.front().choice.experts; }
  [[nodiscard]] int top_k() const override { return layers_.front().choice.top_k; }
  [[nodiscard]] int ranks() const override { return ranks_; }

  void sample(int layer, std::int64_t tokens, RoutingPhase phase, RandomStream& random, LayerLoad& out) const override {
    MOEPLAN_CHECK(layer >= 0 && layer < layers() && tokens > 0);
    const Layer& at = layers_[static_cast<std::size_t>(layer)];
    const RouterChoice& choice = at.choice;
    out.pairs = tokens * choice.top_k;
    if (choice.top_k == choice.experts) {
      out.tokens_per_expert.assign(static_cast<std::size_t>(choice.experts), static_cast<std::int32_t>(tokens));
    } else {
      out.tokens_per_expert.assign(static_cast<std::size_t>(choice.experts), 0);
      const LocalityTables* locality = phase == RoutingPhase::kPrefill ? &locality_ : nullptr;
      if (mode_ == SamplingMode::kTokens || worth_drawing_tokens(choice, tokens)) {
        sample_tokens(choice, locality, tokens, random, out.tokens_per_expert);
      } else {
        sample_counts(choice, locality, tokens, random, out.tokens_per_expert);
      }
    }
    at.placement.spread(out);
  }

 private:
  std::vector<Layer> layers_;
  LocalityTables locality_;
  int ranks_;
  SamplingMode mode_;
};

}  // namespace

std::size_t LayerLoad::hottest() const {
  const auto hotter = [](const RankLoad& a, const RankLoad& b) { return a.pairs < b.pairs; };
  return static_cast<std::size_t>(std::max_element(ranks.begin(), ranks.end(), hotter) - ranks.begin());
}

std::unique_ptr<LoadSampler> make_load_sampler(const MoeSpec& moe, int layers, const RoutingConfig& routing,
                                               const PlacementConfig& placement, std::uint64_t seed, SamplingMode mode) {
  MOEPLAN_CHECK(layers > 0 && moe.experts > 0 && moe.experts <= kMostExperts);
  MOEPLAN_CHECK(moe.soft_routing || (moe.top_k > 0 && moe.top_k <= kMostChoices));
  if (placement.ranks > moe.experts + placement.redundant_experts) {
    throw InputError("expert-parallel width " + std::to_string(placement.ranks) + " exceeds the " +
                     std::to_string(moe.experts + placement.redundant_experts) + " expert slots");
  }
  RoutingLocality locality = routing.locality;
  locality.reach = std::min(locality.reach, kMostHistory / std::max(1, moe.top_k));
  std::vector<Layer> made;
  made.reserve(static_cast<std::size_t>(layers));
  GroupedCorrection learnt;
  for (int l = 0; l < layers; ++l) {
    std::vector<double> shares = expert_shares(routing, moe, l, seed);
    Placement placed = make_placement(placement, shares, l);
    made.push_back({make_router_choice(moe, std::move(shares), learnt), std::move(placed)});
  }
  return std::make_unique<RouterLoadSampler>(std::move(made), make_locality_tables(locality), placement.ranks, mode);
}

}  // namespace moeplan
