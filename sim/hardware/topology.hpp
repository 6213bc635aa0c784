// The links of a cluster: scale-up fabric inside a node, one network port per GPU or shared NIC, leaf and spine switches above. Capacities only;
// latency belongs to the cost profiles. Rails, adaptive routing and failed links are left out: traffic takes one shortest path, and switches
// are non-blocking unless an oversubscription is given.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "hardware/node_spec.hpp"

namespace moeplan {

/// The scale-out network that the catalogue does not know.
struct FabricConfig {
  int nodes_per_leaf = 4;
  double oversubscription = 1.0;  ///< NIC bandwidth below a leaf switch over its bandwidth to the spine; 1 = non-blocking
};

enum class LinkKind : std::uint8_t { kScaleUp, kPcie, kSocket, kNic, kSpine };

/// One direction of a cable or bus.
struct Link {
  std::string name;  ///< "node0.gpu1>node0.switch"
  LinkKind kind = LinkKind::kScaleUp;
  BytesPerSecond capacity;
};

/// GPUs are numbered node by node from 0. Pure and thread-safe after construction; memory grows with the GPUs of the nodes in use.
class Topology {
 public:
  /// Builds the nodes that hold the cluster's usable GPUs. Throws InputError when `fabric` makes no sense.
  explicit Topology(const ClusterSpec& cluster, const FabricConfig& fabric = {});
  ~Topology();
  Topology(Topology&&) noexcept;
  Topology& operator=(Topology&&) noexcept;

  [[nodiscard]] int gpus() const;
  [[nodiscard]] int nodes() const;
  [[nodiscard]] int node_of(int gpu) const;
  /// All links; a path names them by index.
  [[nodiscard]] const std::vector<Link>& links() const;

  /// Links in order on the shortest path from one GPU to another; empty for a GPU to itself. Scale-up links are preferred to the network.
  [[nodiscard]] std::vector<std::int32_t> path(int from, int to) const;
  /// Capacity of the narrowest link on that path; both GPUs must differ.
  [[nodiscard]] BytesPerSecond bottleneck(int from, int to) const;

  /// Nodes that ranks first .. first + count - 1 lie on, one rank per GPU in order.
  [[nodiscard]] int nodes_spanned(int first, int count) const;
  /// Bandwidth per GPU and direction that a group inside one node sees when each member sends to all others evenly; 0 for a group of one.
  [[nodiscard]] BytesPerSecond intra_node_bandwidth(int first, int count) const;
  /// Bandwidth per GPU and direction between nodes when all members of the group send at once; 0 when the group lies on one node.
  [[nodiscard]] BytesPerSecond cross_node_bandwidth(int first, int count) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moeplan
