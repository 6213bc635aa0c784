// Collectives of one replica. Inside a node their time is calibrated; a group that spans nodes is composed hierarchically: the part inside
// each node, then the same kind among equal ranks of the nodes over each GPU's share of the scale-out network, a spine that carries less than
// the cards below it included.
//
// Left out: what other replicas put on the same links (the network floor's; serving passes the factor on).
#pragma once

#include "calibration/kernel_costs.hpp"
#include "cost/cost_inputs.hpp"
#include "cost/traffic.hpp"

namespace moeplan {

/// Ranks of a collective and how they lie over nodes.
struct RankGroup {
  int ranks = 1;
  int nodes = 1;
  [[nodiscard]] int per_node() const { return share(ranks, nodes); }
};

class Communicator {
 public:
  /// REQUIRES: `inputs` outlives this.
  explicit Communicator(const CostInputs& inputs);

  /// `ranks` GPUs, each `stride` GPU places after the one before. Places count tensor first, then attention data, then pipeline.
  [[nodiscard]] RankGroup group(int ranks, int stride) const;

  /// `bytes` per rank. In steps with prefill the engine takes the better of its custom kernel and NCCL.
  [[nodiscard]] CommTime all_reduce(double bytes, RankGroup group, bool in_graph) const;
  /// `bytes`: the gathered whole. Zero time for a group of one, as everywhere here.
  [[nodiscard]] CommTime all_gather(double bytes, RankGroup group, bool in_graph) const;
  [[nodiscard]] CommTime reduce_scatter(double bytes, RankGroup group, bool in_graph) const;
  /// `bytes`: what the busiest rank sends or receives, its own share included.
  [[nodiscard]] CommTime all_to_all(double bytes, RankGroup group, bool in_graph) const;
  /// Activations of one micro-batch handed from one pipeline stage to the next, averaged over the `pipeline` hand-overs of a round (the
  /// last stage returns tokens, charged like a hand-over).
  [[nodiscard]] CommTime hand_over(double bytes) const;

  /// How the bytes that leave a node spread: evenly over all other nodes, or to the next node of a ring.
  enum class Spread : std::uint8_t { kAllNodes, kNextNode };
  /// Bytes/s per GPU and direction that the wiring carries when the whole group sends off its nodes at once: the card's rate, less where a
  /// spine is the narrower. REQUIRES: group.nodes > 1.
  [[nodiscard]] double wire_rate(RankGroup group, Spread spread) const;

 private:
  [[nodiscard]] CommTime local(CollectiveKind kind, double bytes, int ranks, bool in_graph) const;
  /// `bytes` through one GPU's scale-out link in `rounds` dependent messages.
  [[nodiscard]] CommTime scale_out(double bytes, int rounds, RankGroup group, Spread spread) const;
  [[nodiscard]] double achieved() const;

  const CostInputs& inputs_;
  int gpus_per_node_;
};

}  // namespace moeplan
