#include "routing/load_sampler.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "routing/capacity.hpp"
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
  std::vector<RouterChoice> domains;  ///< of prompts; empty: `choice`
};

/// Independent tokens taken from a trace one by one; with more of them only the shares matter.
constexpr std::int64_t kMostReplayed = 1 << 14;

/// Token by token where that is cheaper than one normal per expert, and where counts are too small for the counts' approximation.
bool worth_drawing_tokens(const RouterChoice& choice, std::int64_t tokens) {
  return tokens * choice.top_k <= std::max(512, (choice.group_size > 0 ? 3 : 5) * choice.experts);
}

class RouterLoadSampler final : public LoadSampler {
 public:
  RouterLoadSampler(std::vector<Layer> layers, const RoutingConfig& routing, LocalityTables locality, int ranks, SamplingMode mode)
      : layers_(std::move(layers)), locality_(std::move(locality)), ranks_(ranks), mode_(mode), capacity_{routing.capacity_factor, routing.overflow} {
    if (routing.replays(top_k())) recorded_ = routing.recorded.tokens;
    double sum = 0;
    for (const RoutingDomain& domain : routing.domains) prefill_share_.push_back(sum += domain.prefill_share);
  }

  [[nodiscard]] int layers() const override { return static_cast<int>(layers_.size()); }
  [[nodiscard]] int experts() const override { return layers_.front().choice.experts; }
  [[nodiscard]] int top_k() const override { return layers_.front().choice.top_k; }
  [[nodiscard]] int ranks() const override { return ranks_; }

  [[nodiscard]] std::vector<double> shares(int layer) const override {
    const RouterChoice& choice = layers_[static_cast<std::size_t>(layer)].choice;
    std::vector<double> shares = choice.included;
    for (double& share : shares) share /= choice.top_k;
    return shares;
  }
  [[nodiscard]] const Placement& placement(int layer) const override { return layers_[static_cast<std::size_t>(layer)].placement; }

  [[nodiscard]] const RouterChoice& choice(int layer) const override { return layers_[static_cast<std::size_t>(layer)].choice; }

  void sample(int layer, std::int64_t tokens, RoutingPhase phase, RandomStream& random, LayerLoad& out) const override {
    MOEPLAN_CHECK(layer >= 0 && layer < layers() && tokens > 0);
    const Layer& at = layers_[static_cast<std::size_t>(layer)];
    const RouterChoice& choice = phase == RoutingPhase::kPrefill && !at.domains.empty() ? at.domains[draw_domain(random)] : at.choice;
    out.pairs = tokens * choice.top_k;
    out.dropped = 0;
    out.degraded = 0;
    if (choice.top_k == choice.experts) {
      out.tokens_per_expert.assign(static_cast<std::size_t>(choice.experts), static_cast<std::int32_t>(tokens));
    } else {
      out.tokens_per_expert.assign(static_cast<std::size_t>(choice.experts), 0);
      const LocalityTables* locality = phase == RoutingPhase::kPrefill ? &locality_ : nullptr;
      if (recorded_ && (phase == RoutingPhase::kPrefill || mode_ == SamplingMode::kTokens || tokens <= kMostReplayed)) {
        replay_tokens(*recorded_, layer, phase, tokens, random, out.tokens_per_expert);
      } else if (mode_ == SamplingMode::kTokens || worth_drawing_tokens(choice, tokens)) {
        sample_tokens(choice, locality, tokens, random, out.tokens_per_expert);
      } else {
        sample_counts(choice, locality, tokens, random, out.tokens_per_expert);
      }
    }
    if (capacity_.factor > 0) limit_to_capacity(capacity_, choice.included, tokens, out);
    at.placement.spread(out);
  }

 private:
  [[nodiscard]] std::size_t draw_domain(RandomStream& random) const {
    const double x = random.uniform() * prefill_share_.back();
    const auto at = std::upper_bound(prefill_share_.begin(), prefill_share_.end(), x) - prefill_share_.begin();
    return std::min(static_cast<std::size_t>(at), prefill_share_.size() - 1);
  }
  std::vector<Layer> layers_;
  LocalityTables locality_;
  int ranks_;
  SamplingMode mode_;
  ExpertCapacity capacity_;
  std::vector<double> prefill_share_;  ///< of the domains, cumulative
  std::shared_ptr<const RecordedTokens> recorded_;  ///< null: tokens are drawn by popularity
};

/// The layers' routers, whose correction of grouped routing the first layer teaches the others; each domain has its own.
class LayerMaker {
 public:
  LayerMaker(const MoeSpec& moe, const RoutingConfig& routing, const PlacementConfig& placement, std::uint64_t seed, const RoutingState& state)
      : moe_(moe), routing_(routing), placement_(placement), seed_(seed), state_(state), ordered_(routing.locality.copy > 0 && routing.locality.kept < 1), learnt_domains_(routing.domains.size()) {}

  /// REQUIRES: layer 0 is made first; then any thread may make the others.
  Layer make(int layer) {
    std::vector<double> shares = expert_shares(routing_, moe_, layer, seed_, state_.period);
    std::vector<RouterChoice> domains;
    for (std::size_t d = 0; d < routing_.domains.size(); ++d) {
      domains.push_back(make_router_choice(moe_, domain_shares(routing_, d, moe_, layer, seed_, state_.period), learnt_domains_[d], ordered_));
    }
    return {make_router_choice(moe_, std::move(shares), learnt_, ordered_), placement_at(moe_, routing_, placement_, layer, seed_, state_),
            std::move(domains)};
  }

 private:
  const MoeSpec& moe_;
  const RoutingConfig& routing_;
  const PlacementConfig& placement_;
  std::uint64_t seed_;
  const RoutingState& state_;
  bool ordered_;
  GroupedCorrection learnt_;
  std::vector<GroupedCorrection> learnt_domains_;
};

}  // namespace

std::size_t LayerLoad::hottest() const {
  const auto hotter = [](const RankLoad& a, const RankLoad& b) { return a.pairs < b.pairs; };
  return static_cast<std::size_t>(std::max_element(ranks.begin(), ranks.end(), hotter) - ranks.begin());
}

Placement placement_at(const MoeSpec& moe, const RoutingConfig& routing, const PlacementConfig& placement, int layer, std::uint64_t seed,
                       const RoutingState& state) {
  if (placement.kind == PlacementKind::kContiguous) return contiguous_placement(moe.experts, placement.ranks);
  if (state.tuned.empty()) return make_placement(placement, expert_shares(routing, moe, layer, seed, state.period), layer, moe.groups);
  std::vector<double> past(static_cast<std::size_t>(moe.experts), 0.0);
  for (const auto& [period, weight] : state.tuned) {
    const std::vector<double> shares = expert_shares(routing, moe, layer, seed, period);
    for (std::size_t e = 0; e < past.size(); ++e) past[e] += weight * shares[e];
  }
  PlacementConfig tuned = placement;
  tuned.tuned_on = {};
  return make_placement(tuned, past, layer, moe.groups);
}

std::unique_ptr<LoadSampler> make_load_sampler(const MoeSpec& moe, int layers, const RoutingConfig& routing,
                                               const PlacementConfig& placement, std::uint64_t seed, SamplingMode mode,
                                               const RoutingState& state) {
  MOEPLAN_CHECK(layers > 0 && moe.experts > 0 && moe.experts <= kMostExperts);
  MOEPLAN_CHECK(moe.soft_routing || (moe.top_k > 0 && moe.top_k <= kMostChoices));
  if (placement.ranks > moe.experts + placement.redundant_experts) {
    throw InputError("expert-parallel width " + std::to_string(placement.ranks) + " exceeds the " +
                     std::to_string(moe.experts + placement.redundant_experts) + " expert slots");
  }
  RoutingLocality locality = routing.locality;
  locality.reach = std::min(locality.reach, kMostHistory / std::max(1, moe.top_k));
  LayerMaker maker(moe, routing, placement, seed, state);
  std::vector<std::optional<Layer>> made(static_cast<std::size_t>(layers));
  made[0] = maker.make(0);
  // Isolated: a thread that waits here must not begin work that waits for what this call makes.
  tbb::this_task_arena::isolate([&] { tbb::parallel_for(1, layers, [&](int l) { made[static_cast<std::size_t>(l)] = maker.make(l); }); });
  std::vector<Layer> all;
  all.reserve(made.size());
  for (auto& layer : made) all.push_back(std::move(*layer));
  return std::make_unique<RouterLoadSampler>(std::move(all), routing, make_locality_tables(locality, moe.top_k), placement.ranks, mode);
}

}  // namespace moeplan
