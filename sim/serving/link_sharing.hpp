// How replicas feel each other over shared links: their collectives as steady loads on one FlowNetwork, and the slow-down each gets from it.
//
// A load is what all replicas have sent per second of their steps so far, for all are alike. It is solved anew when a replica starts or runs out
// of work, when a bulk transfer changes, or when the mean has drifted by a tenth; never per step or token.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "network/flow_network.hpp"
#include "serving/replica.hpp"

namespace moeplan {

class LinkSharing {
 public:
  /// `network` may be null: nothing is shared. Load first + i of it is that of replica i. REQUIRES: it outlives this.
  explicit LinkSharing(FlowNetwork* network, LoadId first = 0) : network_(network), first_(first) {}

  [[nodiscard]] bool on() const { return network_ != nullptr; }
  /// Tells the network which replicas have work at `now`, and the replicas how much slower their collectives are. Times must not go back.
  void update(SimTime now, std::deque<Replica>& replicas);
  /// The same where a replica may be missing (null).
  void update(SimTime now, std::span<Replica* const> replicas);

 private:
  FlowNetwork* network_;
  LoadId first_;
  std::vector<Replica*> all_;
  double mean_ = 0;   ///< bytes/s of a GPU, as last told
  double burst_ = 0;  ///< while it communicates
};

}  // namespace moeplan
