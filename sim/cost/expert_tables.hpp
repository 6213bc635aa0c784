// The experts' time of a whole step as one random draw: per phase and token count, 64 equally likely outcomes of (expert time, all-to-all
// time, hottest rank, distinct experts) summed or averaged over the MoE layers.
//
// A node of the table takes a few draws of every layer and composes steps by picking one of them for each layer: the mean is that of
// all draws, the spread that of a sum over layers, which is what a step is. The composed steps are sorted by time and averaged in 64
// groups, so that neighbouring token counts can be blended at the same quantile.
#pragma once

#include <array>
#include <memory>

#include "base/random.hpp"
#include "cost/expert_layer.hpp"
#include "cost/expert_offload.hpp"
#include "cost/lazy_table.hpp"
#include "cost/octave_grid.hpp"

namespace moeplan {

/// Experts of one step, all MoE layers.
struct ExpertDraw {
  double experts_seconds = 0;
  double exchange_seconds = 0;
  double hottest_over_mean = 1;  ///< mean over layers
  double distinct = 0;           ///< mean over layers
  Traffic traffic{};             ///< of the exchange
  OffloadDraw offload{};
  double even_seconds = 0;  ///< experts and exchange of the same draw were every rank loaded like the mean rank

  void add(const ExpertDraw& d, double weight) {
    experts_seconds += d.experts_seconds * weight;
    exchange_seconds += d.exchange_seconds * weight;
    hottest_over_mean += d.hottest_over_mean * weight;
    distinct += d.distinct * weight;
    traffic.add(d.traffic, weight);
    offload.add(d.offload, weight);
    even_seconds += d.even_seconds * weight;
  }
};

/// One step sampled in full.
struct ExactExperts {
  ExpertDraw draw{0, 0, 0, 0};
  double degraded = 0;
};

class ExpertTables {
 public:
  static constexpr int kDraws = 64;
  struct Point {
    std::array<ExpertDraw, kDraws> draws{};  ///< from fastest to slowest
    ExpertDraw mean;
    double degraded = 0;      ///< share of the tokens that lose an expert to its capacity, mean over layers
    Origin origin = Origin::kDatasheet;
    Origin exchange_origin = Origin::kMeasured;
  };

  /// `layer_scale`: pipeline imbalance. `offload` may be null: all experts on the GPUs. `draws`: of a later routing epoch; null: those of
  /// `inputs`. REQUIRES: inputs.sampler is set; the references outlive this.
  ExpertTables(const CostInputs& inputs, const ExpertLayer& layer, double layer_scale, const ExpertOffload* offload = nullptr,
               const LoadDraws* draws = nullptr);

  [[nodiscard]] OctaveGrid::Position find(double tokens) const { return grid_.find(tokens); }
  /// Built on first use, from streams of its own: no order of visits shows in it.
  [[nodiscard]] const Point& point(RoutingPhase phase, std::uint32_t node) const;

  /// One step drawn layer by layer. Decode and prefill tokens meet in the same kernels: loads add up, and distinct experts of the two are
  /// taken as independent.
  [[nodiscard]] ExactExperts exact(std::int64_t decode_tokens, std::int64_t prefill_tokens, RandomStream& random) const;

 private:
  [[nodiscard]] Point build(RoutingPhase phase, std::uint32_t node) const;
  [[nodiscard]] ExpertDraw scaled(ExpertDraw sum) const;

  const CostInputs& inputs_;
  const ExpertLayer& layer_;
  const ExpertOffload* offload_;
  std::unique_ptr<LoadDraws> own_draws_;  ///< null when shared
  const LoadDraws& draws_;
  double layer_scale_;
  int layers_;
  OctaveGrid grid_;
  std::array<LazyRows<Point>, 2> points_;
};

}  // namespace moeplan
