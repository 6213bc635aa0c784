#include "cost/communicator.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "cost/tally.hpp"

namespace moeplan {
namespace {

// Datasheet-level constants of what no kernel table covers. Latency of one GPU-to-GPU message over InfiniBand or RoCE and the share of the
// NIC rate that large messages reach: DeepEP's published 43-58 GB/s of 50 GB/s on 400 Gb/s NICs, NCCL's inter-node latency of 10-20 us.
constexpr double kScaleOutLatency = 10e-6;
constexpr double kScaleOutEfficiency = 0.85;
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
  scale_out_rate_ = inputs.node.scale_out_bandwidth.value() * kScaleOutEfficiency;
}

RankGroup Communicator::group(int ranks, int stride) const {
  if (ranks <= 1) return {1, 1};
  return {ranks, std::clamp(share(ranks * stride, gpus_per_node_), 1, ranks)};
}

KernelTime Communicator::local(CollectiveKind kind, double bytes, int ranks, bool in_graph) const {
  if (ranks <= 1) return {0, Origin::kMeasured};
  const KernelCosts& kernels = *inputs_.kernels;
  // Through the host's memory every byte takes two transfers.
  if (!inputs_.node.peer_to_peer) bytes *= 2;
  const KernelTime replayed = kernels.collective({kind, bytes, ranks, 1, true});
  if (in_graph) return replayed;
  const KernelTime eager = kernels.collective({kind, bytes, ranks, 1, false});
  return eager.seconds < replayed.seconds ? eager : replayed;
}

KernelTime Communicator::scale_out(double bytes, int rounds) const {
  MOEPLAN_CHECK(scale_out_rate_ > 0);
  return {bytes / scale_out_rate_ + rounds * kScaleOutLatency, Origin::kDatasheet};
}

KernelTime Communicator::all_reduce(double bytes, RankGroup group, bool in_graph) const {
  const KernelTime inside = local(CollectiveKind::kAllReduce, bytes, group.per_node(), in_graph);
  if (group.nodes <= 1) return inside;
  const double n = group.nodes;
  return inside + scale_out(2.0 * (n - 1.0) / n * bytes / group.per_node(), 2 * rounds_of(group.nodes));
}

KernelTime Communicator::all_gather(double bytes, RankGroup group, bool in_graph) const {
  const KernelTime inside = local(CollectiveKind::kAllGather, bytes, group.per_node(), in_graph);
  if (group.nodes <= 1) return inside;
  const double n = group.nodes;
  return inside + scale_out((n - 1.0) / n * bytes / group.per_node(), rounds_of(group.nodes));
}

KernelTime Communicator::reduce_scatter(double bytes, RankGroup group, bool in_graph) const {
  const KernelTime inside = local(CollectiveKind::kReduceScatter, bytes, group.per_node(), in_graph);
  if (group.nodes <= 1) return inside;
  const double n = group.nodes;
  return inside + scale_out((n - 1.0) / n * bytes / group.per_node(), rounds_of(group.nodes));
}

KernelTime Communicator::all_to_all(double bytes, RankGroup group, bool in_graph) const {
  if (group.nodes <= 1) return local(CollectiveKind::kAllToAll, bytes, group.ranks, in_graph);
  const double n = group.nodes;
  const KernelTime inside = local(CollectiveKind::kAllToAll, bytes / n, group.per_node(), in_graph);
  return inside + scale_out((n - 1.0) / n * bytes, 1);
}

KernelTime Communicator::hand_over(double bytes) const {
  const int stages = inputs_.layout.pipeline;
  if (stages <= 1) return {0, Origin::kMeasured};
  const int stage_gpus = inputs_.layout.gpus_per_stage();
  int crossings = 0;
  for (int boundary = 1; boundary <= stages; ++boundary) {
    const int place = boundary * stage_gpus % (stages * stage_gpus);
    const int before = boundary * stage_gpus - 1;
    if (place / gpus_per_node_ != before / gpus_per_node_) ++crossings;
  }
  const double outside = static_cast<double>(crossings) / stages;
  const double rate = std::max(inputs_.node.scale_up_bandwidth.value(), inputs_.gpu.pcie_bandwidth.value());
  double seconds = (1.0 - outside) * (kCopyLatency + (rate > 0 ? bytes / (rate * kCopyEfficiency) : 0.0));
  if (crossings > 0) seconds += outside * scale_out(bytes, 1).seconds;
  return {seconds, Origin::kDatasheet};
}

}  // namespace moeplan
