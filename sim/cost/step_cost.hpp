// Time of one engine step, prepared once per batch composition and then cheap arithmetic in the growing context.
//
// Serving holds a StepCost and knows nothing of GPUs; the analytic screening of the planner calls the same functions. The interface is
// virtual because serving's tests time steps with plain numbers; it is called twice per step, never per token.
#pragma once

#include <array>

#include "base/random.hpp"
#include "base/units.hpp"
#include "cost/step_shape.hpp"
#include "cost/traffic.hpp"

namespace moeplan {

/// Everything about a step that does not change while its batch composition (decode_sequences, prefill chunks) stays. Plain numbers; the
/// `table_*` fields are the implementation's cursor into its tables.
struct PreparedStep {
  std::int32_t decode_sequences = 0;
  std::int32_t prefill_tokens = 0;
  double fixed_seconds = 0;                      ///< all parts but decode attention, experts and expert communication
  std::array<double, kStepParts> fixed_parts{};  ///< the same by part
  std::array<double, kOrigins> fixed_origins{};  ///< the same (host excluded) by origin
  // decode attention: seconds = f(decode_context); coefficients of the implementation (DeploymentCost: [0] = 1 / decode_sequences,
  // [1] = attention of drafted tokens over that of the step)
  std::array<double, 8> attention{};
  // cursors into the implementation's tables (DeploymentCost: [0] sequences of the busiest attention copy, [1] tokens entering the experts)
  // and how far to blend to the next node; blend [2]: share of prefill among the tokens
  std::array<std::uint32_t, 4> table_index{};
  std::array<double, 4> table_blend{};
  bool pure_decode = true;
  Traffic fixed_traffic{};         ///< of the collectives among the fixed parts
  double may_hide_seconds = 0;     ///< fixed computation that communication may hide behind; 0 without overlap
  double hidden_at_most = 0;       ///< share of the all-to-all that overlap can hide at best
  bool routed_may_hide = false;    ///< attention and experts of the step count as such computation, too (two half batches)
  double passes = 1;               ///< times that attention, experts and their all-to-all run in one step: 2 with two half batches
  double launch_seconds = 0;       ///< the host launches the step's kernels for so long: it takes no less
  double network_slowdown = 1;     ///< set by serving before every evaluation: others on the same links stretch scale_out_seconds by it
  std::uint32_t epoch = 0;  ///< RoutingEpoch::index; prepare() leaves it 0, the caller sets it
};

/// A stretch of simulated time in which the popularity and the placement of the experts stay as they are.
struct RoutingEpoch {
  std::uint32_t index = 0;  ///< of the implementation's tables
  SimTime begin{0};
  SimTime end = kNever;
  double stall_seconds = 0;  ///< experts move to new places at its beginning, which stops the replica for so long
};

/// One evaluated step.
struct StepOutcome {
  double seconds = 0;             ///< whole step, as the clock sees it
  double attention_seconds = 0;   ///< decode attention
  double experts_seconds = 0;     ///< routed experts, hottest rank, summed over layers
  double all_to_all_seconds = 0;  ///< exposed expert-parallel communication that depends on the routing draw
  double hottest_over_mean = 1;   ///< load of the hottest expert rank over the mean rank, mean over layers; 1 for dense models
  double distinct_experts = 0;    ///< experts touched per MoE layer, mean over layers
  double contention_seconds = 0;  ///< communication takes longer by this because others use the same links
  double hidden_seconds = 0;      ///< all-to-all that ran behind computation: not part of `seconds`
  double launch_wait_seconds = 0;  ///< the GPUs wait for the host to launch kernels: part of `seconds`
  double offload_seconds = 0;     ///< waiting for experts that were not on the GPU
  double offload_bytes = 0;       ///< expert weights streamed to a GPU, all layers
  double expert_lookups = 0, expert_hits = 0;  ///< experts needed on a GPU and those found there, all layers; 0 without offload
  Traffic draw_traffic{};         ///< of the all-to-all that depends on the routing draw
  double imbalance_seconds = 0;   ///< part of the experts and their communication that an even load of the ranks would save
  double degraded_tokens = 0;     ///< share of the tokens that lose an expert to its capacity in a MoE layer, mean over layers
  Origin attention_origin = Origin::kDatasheet;
  Origin experts_origin = Origin::kDatasheet;
};

class StepCost {
 public:
  virtual ~StepCost() = default;
  /// Prepares a batch composition. `out` is overwritten.
  virtual void prepare(std::int32_t decode_sequences, std::span<const PrefillChunk> prefill, PreparedStep& out) const = 0;
  /// Evaluates a step of that composition whose decoding sequences hold `decode_context` KV tokens in all; takes one draw of `routing`.
  virtual StepOutcome evaluate(const PreparedStep& prepared, std::int64_t decode_context, RandomStream& routing) const = 0;
  /// The epoch that holds `now`; one epoch for all time where routing does not drift.
  [[nodiscard]] virtual RoutingEpoch epoch_at(SimTime /*now*/) const { return {}; }
};

}  // namespace moeplan
