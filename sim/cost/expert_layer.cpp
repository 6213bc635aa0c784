#include "cost/expert_layer.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "calibration/across_nodes.hpp"
#include "cost/tally.hpp"

namespace moeplan {

ExpertLayer::ExpertLayer(const CostInputs& inputs, const DeviceKernels& kernels, const Communicator& comm)
    : inputs_(inputs),
      kernels_(kernels),
      comm_(comm),
      moe_(*inputs.model.moe()),
      group_(comm.group(inputs.layout.expert, inputs.layout.expert_tensor())),
      dispatched_(dispatches(inputs)),
      payload_(bytes_per_weight(inputs.precision.experts) < 2.0 ? Precision::kFp8 : Precision::kBf16) {
  // Experts held in fewer bits than 16 on a device that multiplies in 16 are fed 16-bit activations.
  if (bytes_per_weight(inputs.gpu.compute_precision(inputs.precision.experts)) >= 2.0) payload_ = Precision::kBf16;
}

double ExpertLayer::tokens_on_rank(double tokens, double pairs) const {
  const double k = std::max(1, moe_.top_k);
  const double share_of_pairs = std::min(1.0, pairs / (tokens * k));
  return tokens * (1.0 - std::pow(1.0 - share_of_pairs, k));
}

KernelTime ExpertLayer::experts(double tokens, RankLoad load, KernelPhase phase) const {
  const double all_pairs = tokens * moe_.top_k;
  const MoeShape shape{.tokens = dispatched_ ? tokens_on_rank(tokens, load.pairs) : tokens,
                       .pairs = load.pairs,
                       .experts = load.experts,
                       .pairs_nonlocal = dispatched_ ? 0.0 : std::max(0.0, all_pairs - load.pairs),
                       .hidden = moe_.input_width(inputs_.model.hidden),
                       .inter = share(moe_.expert_inter, inputs_.layout.expert_tensor()),
                       .local_experts = share(moe_.experts + inputs_.redundant_experts, inputs_.layout.expert),
                       .top_k = moe_.top_k,
                       .total_experts = moe_.experts,
                       .gated = inputs_.model.gated_ffn,
                       .weights = inputs_.precision.experts};
  return kernels_.moe(shape, phase);
}

CommTime ExpertLayer::exchange(double tokens, double pairs, KernelPhase phase) const {
  if (!dispatched_) return {{0, Origin::kMeasured}};
  return exchange_of(tokens, pairs, phase).stretched(inputs_.engine.operations.communication);
}

CommTime ExpertLayer::exchange_of(double tokens, double pairs, KernelPhase phase) const {
  const bool decode = phase == KernelPhase::kDecode;
  const double hidden = moe_.input_width(inputs_.model.hidden);
  const ExpertParallelComm kind = inputs_.engine.expert_comm;
  const bool one_domain = kind == ExpertParallelComm::kNvlinkOneSided || kind == ExpertParallelComm::kNvlinkTwoSided;
  if (kind == ExpertParallelComm::kAllToAll || (one_domain && group_.nodes > 1)) {
    const double moved = tokens_on_rank(tokens, pairs) * hidden;
    return comm_.all_to_all(moved * bytes_per_activation(payload_), group_, decode) + comm_.all_to_all(moved * 2.0, group_, decode);
  }
  ExpertExchangeShape shape;
  shape.mode = kind == ExpertParallelComm::kNvlinkOneSided   ? ExchangeMode::kNvlinkOneSided
               : kind == ExpertParallelComm::kNvlinkTwoSided ? ExchangeMode::kNvlinkTwoSided
               : decode                                      ? ExchangeMode::kDeepEpLowLatency
                                                             : ExchangeMode::kDeepEpNormal;
  shape.hidden = moe_.input_width(inputs_.model.hidden);
  shape.top_k = moe_.top_k;
  shape.total_experts = moe_.experts;
  shape.ranks = group_.ranks;
  shape.nodes = group_.nodes;
  shape.payload = payload_;
  if (group_.nodes > 1) {
    shape.scale_out = comm_.wire_rate(group_, Communicator::Spread::kAllNodes);
    shape.transport = inputs_.node.transport;
    // Groups of experts lie on the nodes in order.
    if (moe_.top_groups > 0) shape.top_nodes = std::max(1, share(moe_.top_groups * group_.nodes, std::max(moe_.groups, group_.nodes)));
  }
  // Ranks send alike; the busiest receives `pairs`. The variable part of the measured curve follows it; links carry the mean.
  const double busiest = pairs / std::max(1, moe_.top_k);
  const double mean = tokens / group_.ranks;
  CommTime sum{{0, Origin::kMeasured}};
  for (const bool combine : {false, true}) {
    shape.combine = combine;
    shape.tokens = mean;
    Traffic traffic{exchange_local_bytes(shape), exchange_card_bytes(shape), 0};
    shape.tokens = busiest;
    if (group_.nodes > 1) {
      traffic.scale_out_seconds = exchange_card_bytes(shape) / (shape.scale_out * across_constants(shape.mode, combine, shape.transport).card);
    }
    sum = sum + CommTime{inputs_.kernels->expert_exchange(shape), traffic};
  }
  return sum;
}

}  // namespace moeplan
