// Time of one step of one replica: a model on GPUs of one kind under tensor, pipeline, expert and attention-data parallelism, run by an
// engine. Built from kernel times; what a simulation asks for is tabulated on the way, so that a step costs a few look-ups.
//
// A step = layers (projections, attention, FFN or experts, collectives, element-wise) + LM head on rows that sample + host time. Kernels
// and communication follow each other, unless the engine overlaps them: shared experts run while tokens travel, or a step runs as two half
// batches of which one computes while the other communicates. With data-parallel attention, projections and attention take the busiest copy's
// share and experts see all tokens. With pipeline stages, a step is one steady-state round of `pipeline` micro-batches: each holds an
// equal share of the tokens, passes all layers, and all stages are busy with one each. A prompt's chunk cannot be split over micro-batches:
// with fewer chunks than stages the others wait for it, which is the bubble of filling and draining (StepPart::kPipeline).
#pragma once

#include <memory>

#include "cost/attention_costs.hpp"
#include "cost/communicator.hpp"
#include "cost/cost_inputs.hpp"
#include "cost/device_kernels.hpp"
#include "cost/expert_tables.hpp"
#include "cost/layer_costs.hpp"
#include "cost/lazy_table.hpp"
#include "cost/octave_grid.hpp"
#include "cost/step_cost.hpp"

namespace moeplan {

/// Any number of threads may use one object: its tables fill on first touch, with values that do not depend on the order.
class DeploymentCost final : public StepCost {
 public:
  /// REQUIRES: a layout that divides the model (study checks with the user's words), inputs.kernels set, and inputs.sampler set for a model
  /// with routed experts.
  explicit DeploymentCost(CostInputs inputs);
  DeploymentCost(const DeploymentCost&) = delete;
  DeploymentCost& operator=(const DeploymentCost&) = delete;

  void prepare(std::int32_t decode_sequences, std::span<const PrefillChunk> prefill, PreparedStep& out) const override;
  StepOutcome evaluate(const PreparedStep& prepared, std::int64_t decode_context, RandomStream& routing) const override;
  /// Moving experts takes an all-to-all of what the rank that receives most receives, while nothing else runs.
  [[nodiscard]] RoutingEpoch epoch_at(SimTime now) const override;

  /// The step at the mean of the routing draws.
  [[nodiscard]] StepOutcome expected(const PreparedStep& prepared, std::int64_t decode_context) const;
  /// Seconds of one decode step of `batch` sequences whose contexts are `context` tokens on average, at the mean of the routing draws.
  [[nodiscard]] double steady_decode(std::int32_t batch, double context) const;
  /// Seconds of a step that prefills one chunk alone, at the mean of the routing draws.
  [[nodiscard]] double lone_prefill(std::int32_t tokens, std::int32_t prefix) const;

  [[nodiscard]] const CostInputs& inputs() const { return inputs_; }

 private:
  /// States that drift and rebalancing can bring about in eighths of a period.
  static constexpr std::size_t kMostEpochs = 1 << 14;
  /// Prefill of the busiest attention copy, per micro-batch.
  struct RankPrefill {
    double tokens = 0;
    double attention = 0;  ///< seconds above one launch
    double samples = 0;
    double chunks = 0;
    Origin origin = Origin::kMeasured;
  };
  /// How a step is cut: into micro-batches of the pipeline, and into two halves that overlap.
  struct Cut {
    double prefill_parts = 1;  ///< micro-batches that the busiest copy's prefill makes up
    int halves = 1;
  };
  [[nodiscard]] Cut cut_of(std::int32_t decode_sequences, const RankPrefill& rank) const;
  void add_overlap(const Tally& tally, int halves, PreparedStep& out) const;
  void finish(const PreparedStep& prepared, StepOutcome& out) const;
  [[nodiscard]] RankPrefill busiest_prefill(std::span<const PrefillChunk> prefill) const;
  void add_chunk(const PrefillChunk& chunk, RankPrefill& to) const;
  void add_layers(double tokens, KernelPhase phase, Tally& to) const;
  void add_head(double rows, KernelPhase phase, Tally& to) const;
  void add_drafts(std::int32_t decode_sequences, double micro_sequences, PreparedStep& out, Tally& to) const;
  void add_extras(double sequences, double prefill_tokens, Tally& to) const;
  [[nodiscard]] KernelTime prefill_node(std::uint32_t tokens, std::uint32_t prefix) const;
  [[nodiscard]] KernelTime decode_node(std::uint32_t sequences, std::uint32_t context) const;
  void add_attention(const PreparedStep& prepared, std::int64_t decode_context, StepOutcome& out) const;
  /// Of the routing epoch `index`.
  [[nodiscard]] const ExpertTables& tables(std::uint32_t index) const {
    return index == 0 ? *experts_ : *later_experts_.at(index, [&] { return make_tables(index); });
  }
  [[nodiscard]] std::unique_ptr<ExpertTables> make_tables(std::uint32_t index) const;
  void add_experts(const PreparedStep& prepared, int draw, StepOutcome& out) const;

  CostInputs inputs_;
  double layer_scale_;
  double launch_seconds_;
  DeviceKernels kernels_;
  Communicator comm_;
  LayerCosts layers_;
  AttentionCosts attention_;
  std::unique_ptr<ExpertLayer> expert_layer_;
  std::unique_ptr<ExpertOffload> offload_;  ///< null: all experts on the GPUs
  std::unique_ptr<ExpertTables> experts_;
  LazyRows<std::unique_ptr<ExpertTables>> later_experts_;  ///< by routing epoch

  OctaveGrid token_grid_;     ///< tokens of a step on one attention copy; also sequences
  OctaveGrid context_grid_;   ///< mean context of a sequence, or prefix of a chunk
  KernelTime prefill_floor_;  ///< attention launches of a step with the smallest chunk
  std::array<LazyRows<Tally>, 2> layer_rows_;
  std::array<LazyRows<Tally>, 2> head_rows_;
  std::array<LazyRows<Tally>, 2> extra_rows_;
  LazyTimes decode_attention_;
  LazyTimes prefill_attention_;
};

}  // namespace moeplan
