// Experts in host memory: which of those that a step needs are on the GPU, and how long the rest keeps it waiting.
//
// A cache of experts per layer and GPU is played through with tokens drawn from the router, each sequence a chain in which a token repeats
// choices of an earlier one as the router's locality says: what decides hits. Missing experts are streamed over the GPU's link to its host,
// guessed one layer ahead where the deployment prefetches, or computed by the CPU. Left out: experts moving between GPUs, several GPUs sharing
// one host link, disk.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "cost/cost_inputs.hpp"
#include "routing/choice.hpp"

namespace moeplan {

/// Waiting for experts, of one layer or summed over layers.
struct OffloadDraw {
  double seconds = 0;  ///< what computation does not hide
  double bytes = 0;    ///< streamed, guesses in vain included
  double lookups = 0;  ///< experts needed on the GPU
  double hits = 0;     ///< of them found there

  void add(const OffloadDraw& d, double weight) {
    seconds += d.seconds * weight;
    bytes += d.bytes * weight;
    lookups += d.lookups * weight;
    hits += d.hits * weight;
  }
};

/// One layer's experts on one GPU under a replacement policy. REQUIRES: 0 <= slots <= experts.
class ExpertCache {
 public:
  ExpertCache(ExpertCachePolicy policy, int experts, int slots);
  /// The layer runs with these experts (each once); returns how many were missing. Those brought in stay as far as there is room.
  int use(const std::vector<std::int32_t>& experts);
  /// Pinned-hot: the experts to keep for ever, most popular first.
  void pin(const std::vector<std::int32_t>& hottest);

 private:
  ExpertCachePolicy policy_;
  int slots_;
  int held_ = 0;
  std::int64_t clock_ = 0;
  std::vector<char> here_;
  std::vector<std::int64_t> score_;  ///< last use, or uses
};

class ExpertOffload {
 public:
  /// REQUIRES: inputs.offload with a link rate, inputs.sampler; `inputs` outlives this.
  explicit ExpertOffload(const CostInputs& inputs);

  /// Share of the experts needed on a rank that were missing, for layers in a steady run of steps with `tokens` tokens: `samples` draws of
  /// it per MoE layer.
  [[nodiscard]] std::vector<double> misses(RoutingPhase phase, std::int64_t tokens, unsigned samples, RandomStream& random) const;

  /// One layer of one step: `needed` distinct experts on the busiest rank of which `miss_share` are missing; `compute` seconds of the expert
  /// kernel; `tokens` entering the layer.
  [[nodiscard]] OffloadDraw time(double miss_share, double needed, double compute, double tokens, bool prefill) const;

  /// Bytes of one expert's weights on one GPU.
  [[nodiscard]] double expert_bytes() const { return expert_bytes_; }
  [[nodiscard]] int slots() const { return slots_; }

 private:
  const CostInputs& inputs_;
  const OffloadConfig& config_;
  double expert_bytes_;
  int local_;
  int slots_;
  LocalityTables locality_;
};

/// Bytes of one routed expert on one GPU: its tensor share.
double expert_bytes_per_gpu(const CostInputs& inputs);

}  // namespace moeplan
