#include "cost/expert_tables.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "cost/load_timer.hpp"

namespace moeplan {
namespace {

constexpr unsigned kGridBits = 2;  ///< four token counts per octave
constexpr double kLargestTokens = 1 << 20;
constexpr int kComposed = 512;  ///< steps composed per node, at least

/// Null when there are others to use.
std::unique_ptr<LoadDraws> make_draws(const CostInputs& inputs, const LoadDraws* draws) {
  MOEPLAN_CHECK(inputs.sampler != nullptr);
  if (draws != nullptr || inputs.draws != nullptr) return nullptr;
  return std::make_unique<LoadDraws>(*inputs.sampler, inputs.model.moe_layer_count(), inputs.seed);
}

}  // namespace

ExpertTables::ExpertTables(const CostInputs& inputs, const ExpertLayer& layer, double layer_scale, const ExpertOffload* offload, const LoadDraws* draws)
    : inputs_(inputs),
      layer_(layer),
      offload_(offload),
      own_draws_(make_draws(inputs, draws)),
      draws_(own_draws_ ? *own_draws_ : draws != nullptr ? *draws : *inputs.draws),
      layer_scale_(layer_scale),
      layers_(inputs.model.moe_layer_count()),
      grid_(kGridBits, kLargestTokens),
      points_{LazyRows<Point>(grid_.nodes()), LazyRows<Point>(grid_.nodes())} {
  MOEPLAN_CHECK((draws != nullptr || inputs.sampler == &draws_.sampler()) && draws_.layers() == layers_);
  MOEPLAN_CHECK(inputs.sampler->ranks() == inputs.layout.expert);
}

const ExpertTables::Point& ExpertTables::point(RoutingPhase phase, std::uint32_t node) const {
  return points_[static_cast<std::size_t>(phase)].at(node, [&] { return build(phase, node); });
}

ExpertDraw ExpertTables::scaled(ExpertDraw sum) const {
  sum.experts_seconds *= layer_scale_;
  sum.exchange_seconds *= layer_scale_;
  Traffic traffic;
  traffic.add(sum.traffic, layer_scale_);
  sum.traffic = traffic;
  OffloadDraw offload;
  offload.add(sum.offload, layer_scale_);
  sum.offload = offload;
  sum.even_seconds *= layer_scale_;
  sum.hottest_over_mean /= layers_;
  sum.distinct /= layers_;
  return sum;
}

ExpertTables::Point ExpertTables::build(RoutingPhase phase, std::uint32_t node) const {
  Point point;
  const auto tokens = static_cast<std::int64_t>(grid_.value(node));
  if (tokens <= 0) return point;
  const bool prefill = phase == RoutingPhase::kPrefill;
  RandomStream random(inputs_.seed, prefill ? "cost/experts/prefill" : "cost/experts/decode", node);
  const LoadDraws::Layers& layers = draws_.at(phase, tokens);
  const std::vector<LayerDraw>& drawn = layers.draws;
  const unsigned per_layer = layers.per_layer;

  const KernelPhase kernel_phase = prefill ? KernelPhase::kPrefill : KernelPhase::kDecode;
  LoadTimer timer(layer_, static_cast<double>(tokens), kernel_phase), even(layer_, static_cast<double>(tokens), kernel_phase);
  for (const LayerDraw& d : drawn) {
    timer.cover(d.hottest);
    timer.cover(d.widest);
    even.cover({d.mean_pairs, d.mean_experts});
  }
  timer.build();
  even.build();
  point.origin = timer.experts_origin();
  point.exchange_origin = timer.exchange_origin();
  std::vector<ExpertDraw> timed(drawn.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    const LayerDraw& d = drawn[i];
    const CommTime exchange = timer.exchange(d.hottest.pairs);
    timed[i] = {std::max(timer.experts(d.hottest), timer.experts(d.widest)), exchange.seconds, d.hottest.pairs / d.mean_pairs, d.distinct,
                exchange.traffic, {}, even.experts({d.mean_pairs, d.mean_experts}) + even.exchange(d.mean_pairs).seconds};
  }
  if (offload_ != nullptr) {
    const std::vector<double> misses = offload_->misses(phase, tokens, per_layer, random);
    for (std::size_t i = 0; i < timed.size(); ++i) {
      timed[i].offload = offload_->time(misses[i % misses.size()], drawn[i].widest.experts, timed[i].experts_seconds, static_cast<double>(tokens), prefill);
    }
  }

  for (const LayerDraw& d : drawn) point.degraded += d.degraded / static_cast<double>(drawn.size());

  // Every draw of a layer is used equally often, in an order of its own.
  const unsigned steps = std::max(static_cast<unsigned>(kComposed), per_layer);
  std::vector<ExpertDraw> composed(steps, ExpertDraw{0, 0, 0, 0, {}, {}, 0});
  std::vector<unsigned> order(per_layer);
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(layers_); ++layer) {
    for (unsigned step = 0; step < steps; ++step) {
      const unsigned at = step % per_layer;
      if (at == 0) {
        for (unsigned i = 0; i < per_layer; ++i) order[i] = i;
        for (unsigned i = per_layer - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
      }
      composed[step].add(timed[layer * per_layer + order[at]], 1.0);
    }
  }
  for (ExpertDraw& step : composed) step = scaled(step);
  std::stable_sort(composed.begin(), composed.end(), [](const ExpertDraw& a, const ExpertDraw& b) {
    return a.experts_seconds + a.exchange_seconds + a.offload.seconds < b.experts_seconds + b.exchange_seconds + b.offload.seconds;
  });
  const unsigned per_group = steps / kDraws;
  point.mean = {0, 0, 0, 0, {}, {}, 0};
  for (unsigned g = 0; g < kDraws; ++g) {
    ExpertDraw mean{0, 0, 0, 0, {}, {}, 0};
    for (unsigned i = 0; i < per_group; ++i) mean.add(composed[g * per_group + i], 1.0 / per_group);
    point.draws[g] = mean;
    point.mean.add(mean, 1.0 / kDraws);
  }
  return point;
}

ExactExperts ExpertTables::exact(std::int64_t decode_tokens, std::int64_t prefill_tokens, RandomStream& random) const {
  ExactExperts sum;
  if (decode_tokens + prefill_tokens <= 0) return sum;
  const double tokens = static_cast<double>(decode_tokens + prefill_tokens);
  const KernelPhase phase = prefill_tokens > 0 ? KernelPhase::kPrefill : KernelPhase::kDecode;
  const double local = share(layer_.moe().experts + inputs_.redundant_experts, layer_.ranks());
  const LoadSampler& sampler = draws_.sampler();
  LayerLoad load;
  LayerLoad more;
  for (int layer = 0; layer < layers_; ++layer) {
    const int at = layer % sampler.layers();
    LayerLoad& first = decode_tokens > 0 ? load : more;
    if (decode_tokens > 0) sampler.sample(at, decode_tokens, RoutingPhase::kDecode, random, load);
    if (prefill_tokens > 0) sampler.sample(at, prefill_tokens, RoutingPhase::kPrefill, random, more);
    if (decode_tokens > 0 && prefill_tokens > 0) {
      for (std::size_t r = 0; r < load.ranks.size(); ++r) {
        RankLoad& rank = load.ranks[r];
        rank.pairs += more.ranks[r].pairs;
        rank.experts += more.ranks[r].experts * std::max(0.0, 1.0 - rank.experts / local);
      }
      std::int32_t distinct = 0;
      for (std::size_t e = 0; e < load.tokens_per_expert.size(); ++e) distinct += load.tokens_per_expert[e] + more.tokens_per_expert[e] > 0;
      load.distinct_experts = distinct;
    }
    if (&first == &load && prefill_tokens > 0) {
      first.pairs += more.pairs;
      first.degraded = (load.degraded * static_cast<double>(decode_tokens) + more.degraded * static_cast<double>(prefill_tokens)) / tokens;
    }
    const LayerDraw drawn(first);
    const double slowest =
        std::max(layer_.experts(tokens, drawn.hottest, phase).seconds, layer_.experts(tokens, drawn.widest, phase).seconds);
    const CommTime exchange = layer_.exchange(tokens, drawn.hottest.pairs, phase);
    const double even = layer_.experts(tokens, {drawn.mean_pairs, drawn.mean_experts}, phase).seconds + layer_.exchange(tokens, drawn.mean_pairs, phase).seconds;
    sum.draw.add({slowest, exchange.seconds, drawn.hottest.pairs / drawn.mean_pairs, drawn.distinct, exchange.traffic, {}, even}, 1.0);
    sum.degraded += drawn.degraded / layers_;
  }
  sum.draw = scaled(sum.draw);
  return sum;
}

}  // namespace moeplan
