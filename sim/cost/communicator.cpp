#include "cost/communicator.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "cost/tally.hpp"

namespace moeplan {
namespace {

// Share of a card's rate that large NCCL messages reach. InfiniBand: 46-49 of 50 GB/s (NVIDIA, nccl-tests issues 267 and 290). EFA: all-to-all
// of 16 to 256 GPUs on p5 and p6, fitted (hardware_profiles/networks); the same fit gives what one more peer costs.
constexpr double kInfiniBandEfficiency = 0.95;
constexpr double kEfaEfficiency = 0.81;
constexpr double kPerPeer = 1.76e-6;
// One dependent message between GPUs of two nodes. Assumed: NCCL's inter-node latency is given as 10-20 us, no table was found.
constexpr double kScaleOutLatency = 10e-6;
// Point-to-point copy between GPUs of one node.
constexpr double kCopyLatency = 8e-6;
constexpr double kCopyEfficiency = 0.7;

int rounds_of(int nodes) { return static_cast<int>(std::bit_width(static_cast<unsigned>(nodes - 1))); }

}  // namespace

Communicator::Communicator(const CostInputs& inputs) : inputs_(inputs) {
  const int gpus = inputs.layout.gpus();
  const int node_gpus = std::max(1, inputs.node.gpus);
  const int nodes = std::max(inputs.nodes, share(gpus, node_gpus));
  gpus_per_node_ = std::min(node_gpus, share(gpus, nodes));
}

RankGroup Communicator::group(int ranks, int stride) const {
  if (ranks <= 1) return {1, 1};
  return {ranks, std::clamp(share(ranks * stride, gpus_per_node_), 1, ranks)};
}

double Communicator::achieved() const {
  return inputs_.node.transport == NetworkTransport::kEfa ? kEfaEfficiency : kInfiniBandEfficiency;
}

double Communicator::wire_rate(RankGroup group, Spread spread) const {
  const double card = inputs_.node.scale_out_bandwidth.value();
  MOEPLAN_CHECK(group.nodes > 1 && card > 0);
  const FabricConfig& fabric = inputs_.fabric;
  if (group.nodes <= fabric.nodes_per_leaf) return card;
  // All nodes of a full leaf send: the uplinks carry the cards' rate over the oversubscription, for the part of it that climbs.
  const double below = fabric.nodes_per_leaf;
  const double climbing = spread == Spread::kNextNode ? 1.0 / below : (group.nodes - below) / (group.nodes - 1.0);
  return std::min(card, card / fabric.oversubscription / climbing);
}

CommTime Communicator::local(CollectiveKind kind, double bytes, int ranks, bool in_graph) const {
  if (ranks <= 1) return {{0, Origin::kMeasured}};
  const KernelCosts& kernels = *inputs_.kernels;
  Traffic traffic;
  traffic.scale_up_bytes = (kind == CollectiveKind::kAllReduce ? 2.0 : 1.0) * (ranks - 1.0) / ranks * bytes;
  // Through the host's memory every byte takes two transfers.
  if (!inputs_.node.peer_to_peer) bytes *= 2;
  const KernelTime replayed = kernels.collective({kind, bytes, ranks, 1, true});
  if (in_graph) return {replayed, traffic};
  const KernelTime eager = kernels.collective({kind, bytes, ranks, 1, false});
  return {eager.seconds < replayed.seconds ? eager : replayed, traffic};
}

CommTime Communicator::scale_out(double bytes, int rounds, RankGroup group, Spread spread) const {
  const double seconds = bytes / (wire_rate(group, spread) * achieved());
  return {{seconds + rounds * kScaleOutLatency, Origin::kDatasheet}, {0, bytes, seconds}};
}

CommTime Communicator::all_reduce(double bytes, RankGroup group, bool in_graph) const {
  const CommTime inside = local(CollectiveKind::kAllReduce, bytes, group.per_node(), in_graph);
  if (group.nodes <= 1) return inside;
  const double n = group.nodes;
  return inside + scale_out(2.0 * (n - 1.0) / n * bytes / group.per_node(), 2 * rounds_of(group.nodes), group, Spread::kNextNode);
}

CommTime Communicator::all_gather(double bytes, RankGroup group, bool in_graph) const {
  const CommTime inside = local(CollectiveKind::kAllGather, bytes, group.per_node(), in_graph);
  if (group.nodes <= 1) return inside;
  const double n = group.nodes;
  return inside + scale_out((n - 1.0) / n * bytes / group.per_node(), rounds_of(group.nodes), group, Spread::kNextNode);
}

CommTime Communicator::reduce_scatter(double bytes, RankGroup group, bool in_graph) const {
  const CommTime inside = local(CollectiveKind::kReduceScatter, bytes, group.per_node(), in_graph);
  if (group.nodes <= 1) return inside;
  const double n = group.nodes;
  return inside + scale_out((n - 1.0) / n * bytes / group.per_node(), rounds_of(group.nodes), group, Spread::kNextNode);
}

CommTime Communicator::all_to_all(double bytes, RankGroup group, bool in_graph) const {
  if (group.nodes <= 1) return local(CollectiveKind::kAllToAll, bytes, group.ranks, in_graph);
  const double n = group.nodes;
  CommTime inside = local(CollectiveKind::kAllToAll, bytes / n, group.per_node(), in_graph);
  CommTime outside = scale_out((n - 1.0) / n * bytes, 1, group, Spread::kAllNodes);
  outside.seconds += (group.ranks - group.per_node()) * kPerPeer;
  // Peers inside and outside the node are served at once.
  outside.traffic.scale_up_bytes = inside.traffic.scale_up_bytes;
  if (outside.seconds >= inside.seconds) return outside;
  inside.traffic.scale_out_bytes = outside.traffic.scale_out_bytes;
  return inside;
}

CommTime Communicator::hand_over(double bytes) const {
  const int stages = inputs_.layout.pipeline;
  if (stages <= 1) return {{0, Origin::kMeasured}};
  const int stage_gpus = inputs_.layout.gpus_per_stage();
  int crossings = 0;
  for (int boundary = 1; boundary <= stages; ++boundary) {
    const int place = boundary * stage_gpus % (stages * stage_gpus);
    const int before = boundary * stage_gpus - 1;
    if (place / gpus_per_node_ != before / gpus_per_node_) ++crossings;
  }
  const double outside = static_cast<double>(crossings) / stages;
  const double rate = std::max(inputs_.node.scale_up_bandwidth.value(), inputs_.gpu.pcie_bandwidth.value());
  CommTime time{{(1.0 - outside) * (kCopyLatency + (rate > 0 ? bytes / (rate * kCopyEfficiency) : 0.0)), Origin::kDatasheet},
                {(1.0 - outside) * bytes, 0, 0}};
  if (crossings > 0) {
    const RankGroup stage{stages * stage_gpus, share(stages * stage_gpus, gpus_per_node_)};
    const CommTime across = scale_out(bytes, 1, stage, Spread::kNextNode);
    time.seconds += outside * across.seconds;
    time.traffic.add(across.traffic, outside);
  }
  return time;
}

}  // namespace moeplan
