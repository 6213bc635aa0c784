// Time of the routed experts of one MoE layer on its slowest expert-parallel rank, and of the all-to-all that brings tokens there and back
// where the engine dispatches. Everything that depends on a routing draw goes through here.
#pragma once

#include "cost/communicator.hpp"
#include "cost/cost_inputs.hpp"
#include "cost/device_kernels.hpp"

namespace moeplan {

class ExpertLayer {
 public:
  /// REQUIRES: a model with routed experts, and that the references outlive this.
  ExpertLayer(const CostInputs& inputs, const DeviceKernels& kernels, const Communicator& comm);

  /// Fused expert kernel of one rank holding `load` out of `tokens` that entered the layer on all attention copies together.
  [[nodiscard]] KernelTime experts(double tokens, RankLoad load, KernelPhase phase) const;
  /// Dispatch and combine when the busiest rank has `pairs` token-expert pairs; zero where the engine does not dispatch.
  [[nodiscard]] CommTime exchange(double tokens, double pairs, KernelPhase phase) const;

  [[nodiscard]] bool dispatched() const { return dispatched_; }
  [[nodiscard]] int ranks() const { return inputs_.layout.expert; }
  [[nodiscard]] const MoeSpec& moe() const { return moe_; }

 private:
  [[nodiscard]] CommTime exchange_of(double tokens, double pairs, KernelPhase phase) const;
  /// Tokens of which at least one of `pairs` pairs belongs to a rank: a token seldom sends all its pairs to one rank.
  [[nodiscard]] double tokens_on_rank(double tokens, double pairs) const;

  const CostInputs& inputs_;
  const DeviceKernels& kernels_;
  const Communicator& comm_;
  const MoeSpec& moe_;
  RankGroup group_;
  bool dispatched_;
  Precision payload_;
};

}  // namespace moeplan
