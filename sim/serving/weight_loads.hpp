// How the weights of a starting replica reach its GPUs: from each node's own disk, over the network from a store, or from the GPUs of a replica
// that has them. All GPUs of the replica load at once; whoever loads at the same time shares disks, cards, store and fabric max-min fairly.
//
// A peer's copy runs over the links of the topology, where it meets the collectives of replicas that share links. Loads from a store fill the cards
// of their nodes; what collectives send there at the same time is left out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "network/flow_network.hpp"

namespace moeplan {

enum class WeightSource : std::uint8_t { kDisk, kNetwork, kPeer };
std::string_view to_string(WeightSource source);
std::optional<WeightSource> weight_source(std::string_view name);

/// Bytes per second.
struct WeightBandwidths {
  double disk = 0;                                 ///< per node
  double network = 0;                              ///< per node, all cards
  double store = FlowNetwork::kUnlimited;          ///< all nodes together
  double gpu = FlowNetwork::kUnlimited;            ///< from its host into the memory of one GPU; peers copy past the host
};

/// GPUs first .. first + count - 1.
struct GpuRange {
  int first = 0, count = 1;
};

class WeightLoads {
 public:
  /// REQUIRES: the topology outlives it.
  WeightLoads(const Topology& topology, const WeightBandwidths& bandwidths);

  /// Starts to load `bytes` > 0, spread evenly over the GPUs `to`. `peer`: GPUs of a replica that has the weights; without one kPeer means kDisk.
  TransferId start(SimTime now, WeightSource source, Bytes bytes, GpuRange to, std::optional<GpuRange> peer);
  void cancel(SimTime now, TransferId id);
  /// kNever when nothing is loaded.
  [[nodiscard]] SimTime next_completion() { return network_.transfers() > 0 ? network_.next_completion() : kNever; }
  /// Appends what has ended by `now`. REQUIRES: now <= next_completion().
  void advance(SimTime now, std::vector<TransferId>& ended);

  /// For the collectives that share links.
  [[nodiscard]] FlowNetwork& network() { return network_; }

 private:
  [[nodiscard]] std::vector<LinkUse> path(WeightSource source, GpuRange to, const std::optional<GpuRange>& peer);

  const Topology& topology_;
  WeightBandwidths bandwidths_;
  FlowNetwork network_;  ///< behind the topology's links: a disk per node, the cards of each node, the store
  std::map<TransferId, std::vector<LinkUse>> paths_;
};

}  // namespace moeplan
