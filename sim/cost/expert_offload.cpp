#include "cost/expert_offload.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "base/error.hpp"
#include "model/weights.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

constexpr int kWarmUpSteps = 48;
constexpr int kCountedSteps = 64;
constexpr std::int64_t kCountedTokens = 8192;  ///< over all steps, at least: the tokens of one request resemble each other over a long stretch
constexpr int kLayersPlayed = 8;         ///< layers are alike but for their popularity
constexpr std::int64_t kMostChains = 64;  ///< beyond that nearly every expert is needed in every step

}  // namespace

double expert_bytes_per_gpu(const CostInputs& in) {
  const MoeSpec& moe = *in.model.moe();
  const double matrices = in.model.gated_ffn ? 3.0 : 2.0;
  const double inter = share(moe.expert_inter, in.layout.expert_tensor());
  return matrices * moe.input_width(in.model.hidden) * inter * expert_bytes_per_weight(in.model, in.precision.experts);
}

ExpertCache::ExpertCache(ExpertCachePolicy policy, int experts, int slots)
    : policy_(policy), slots_(slots), here_(static_cast<std::size_t>(experts), 0), score_(static_cast<std::size_t>(experts), 0) {
  MOEPLAN_CHECK(slots >= 0 && slots <= experts);
}

void ExpertCache::pin(const std::vector<std::int32_t>& hottest) {
  for (const std::int32_t e : hottest) {
    if (held_ == slots_) return;
    here_[static_cast<std::size_t>(e)] = 1;
    ++held_;
  }
}

int ExpertCache::use(const std::vector<std::int32_t>& experts) {
  ++clock_;
  int missing = 0;
  for (const std::int32_t e : experts) {
    const auto at = static_cast<std::size_t>(e);
    missing += here_[at] == 0;
    score_[at] = policy_ == ExpertCachePolicy::kLfu ? score_[at] + 1 : clock_;
  }
  if (policy_ == ExpertCachePolicy::kPinnedHot || slots_ == 0) return missing;
  for (const std::int32_t e : experts) {
    const auto at = static_cast<std::size_t>(e);
    if (here_[at] != 0) continue;
    if (held_ == slots_) {
      std::size_t victim = here_.size();
      for (std::size_t i = 0; i < here_.size(); ++i) {
        if (here_[i] != 0 && (victim == here_.size() || score_[i] < score_[victim])) victim = i;
      }
      if (score_[victim] > score_[at]) continue;  // more is needed at once than there is room for
      here_[victim] = 0;
      --held_;
    }
    here_[at] = 1;
    ++held_;
  }
  return missing;
}

ExpertOffload::ExpertOffload(const CostInputs& inputs)
    : inputs_(inputs),
      config_(*inputs.offload),
      expert_bytes_(expert_bytes_per_gpu(inputs)),
      local_(share(inputs.model.moe()->experts, inputs.layout.expert)),
      slots_(config_.resident(local_)),
      locality_(make_locality_tables(inputs.locality, inputs.sampler->top_k())) {
  MOEPLAN_CHECK(inputs.sampler != nullptr && config_.link > 0);
}

std::vector<double> ExpertOffload::misses(RoutingPhase phase, std::int64_t tokens, unsigned samples, RandomStream& random) const {
  const LoadSampler& sampler = *inputs_.sampler;
  const int layers = sampler.layers();
  const int played = std::min(layers, kLayersPlayed);
  // What one rank holds: the experts of its number modulo the ranks would do as well; they are alike on average.
  const auto mine = [&](std::int32_t e) { return e / local_ == 0; };
  std::vector<double> out;
  LayerLoad load;
  for (int l = 0; l < played; ++l) {
    const int layer = l * layers / played;
    ExpertCache cache(config_.cache, local_, slots_);
    sampler.sample(layer, 20'000, RoutingPhase::kDecode, random, load);
    std::vector<std::int32_t> order(static_cast<std::size_t>(local_));
    std::iota(order.begin(), order.end(), 0);
    const std::vector<std::int32_t> popularity = load.tokens_per_expert;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int32_t a, std::int32_t b) { return popularity[static_cast<std::size_t>(a)] > popularity[static_cast<std::size_t>(b)]; });
    if (config_.cache == ExpertCachePolicy::kPinnedHot) cache.pin(order);

    const bool chains = phase == RoutingPhase::kDecode && tokens <= kMostChains && locality_.on() && sampler.top_k() < sampler.experts();
    const auto past = static_cast<std::size_t>(locality_.locality.reach * sampler.top_k());
    std::vector<std::uint16_t> history(chains ? past * static_cast<std::size_t>(tokens) : 0);
    std::vector<NeighbourDraws> sequences;  // each the tokens of one request
    for (std::size_t t = 0; chains && t < static_cast<std::size_t>(tokens); ++t) {
      sequences.emplace_back(sampler.choice(layer), locality_, std::span(history).subspan(t * past, past), random);
    }
    std::vector<char> needed(static_cast<std::size_t>(local_));
    std::vector<std::int32_t> list;
    const unsigned counted = std::max({samples, static_cast<unsigned>(kCountedSteps), static_cast<unsigned>(kCountedTokens / tokens)}) / static_cast<unsigned>(played) + 1;
    for (unsigned step = 0; step < kWarmUpSteps + counted; ++step) {
      std::fill(needed.begin(), needed.end(), 0);
      if (chains) {
        for (NeighbourDraws& tokens_of_one : sequences) {
          for (const std::uint16_t e : tokens_of_one.next()) {
            if (mine(e)) needed[static_cast<std::size_t>(e)] = 1;
          }
        }
      } else {
        sampler.sample(layer, tokens, phase, random, load);
        for (int e = 0; e < local_; ++e) needed[static_cast<std::size_t>(e)] = load.tokens_per_expert[static_cast<std::size_t>(e)] > 0;
      }
      list.clear();
      for (int e = 0; e < local_; ++e) {
        if (needed[static_cast<std::size_t>(e)] != 0) list.push_back(e);
      }
      const int missing = cache.use(list);
      if (step >= kWarmUpSteps && !list.empty()) out.push_back(static_cast<double>(missing) / static_cast<double>(list.size()));
    }
  }
  if (out.empty()) out.push_back(0);
  // Draws of neighbouring layers side by side, as the layers of a step are.
  for (std::size_t i = out.size() - 1; i > 0; --i) std::swap(out[i], out[random.below(static_cast<std::uint32_t>(i + 1))]);
  return out;
}

OffloadDraw ExpertOffload::time(double miss_share, double needed, double compute, double tokens, bool prefill) const {
  OffloadDraw draw;
  draw.lookups = needed;
  draw.hits = needed * (1.0 - miss_share);
  const double missing = needed - draw.hits;
  if (missing <= 0) return draw;
  const double stream = missing * expert_bytes_ / config_.link;
  draw.bytes = missing * expert_bytes_;
  // A decode step's fused kernel waits for all of them. The many tokens of a prompt are computed expert by expert while the next one arrives.
  const double along = prefill && missing > 1 ? std::min(compute, stream * (missing - 1.0) / missing) : 0.0;
  double exposed = stream - along;
  if (config_.prefetch_hit_rate > 0) {
    // As many experts as will be missing are guessed while the layer before computes; wrong guesses take the link in vain.
    const double guessed = std::max(0.0, stream - compute);
    const double demanded = (1.0 - config_.prefetch_hit_rate) * stream;
    draw.bytes *= 2.0 - config_.prefetch_hit_rate;
    exposed = guessed + demanded;
  }
  if (config_.cpu_execution && config_.cpu_bandwidth > 0) {
    // Weights are read from host memory once, whatever the tokens; activations go there and back over the link; the GPU works meanwhile.
    const double hidden = inputs_.model.moe()->input_width(inputs_.model.hidden);
    const double activations = 2.0 * 2.0 * tokens * hidden * miss_share / config_.link;
    const double on_cpu = std::max(0.0, missing * expert_bytes_ / config_.cpu_bandwidth + activations - compute);
    if (on_cpu < exposed) {
      exposed = on_cpu;
      draw.bytes = 2.0 * 2.0 * tokens * hidden * miss_share;
    }
  }
  draw.seconds = exposed;
  return draw;
}

}  // namespace moeplan
