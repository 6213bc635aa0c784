// The links of a cluster: scale-up fabric inside a node, the host's memory, one network port per GPU or shared NIC, leaf (one per rail where the
// fabric has rails) and spine switches above. Capacities only; latency belongs to the cost profiles. Adaptive routing and failed links are left
// out: traffic takes one shortest path (across rails that is over the scale-up fabric to the GPU on the receiver's rail, as NCCL's PXN does), and
// switches are non-blocking unless an oversubscription is given.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "hardware/node_spec.hpp"

namespace moeplan {

enum class LinkKind : std::uint8_t { kScaleUp, kPcie, kSocket, kHost, kNic, kSpine };
std::string_view to_string(LinkKind kind);

/// One direction of a cable or bus.
struct Link {
  std::string name;  ///< "node0.gpu1>node0.switch"
  LinkKind kind = LinkKind::kScaleUp;
  BytesPerSecond capacity;
};

/// GPUs are numbered node by node from 0. Pure and thread-safe after construction; memory grows with the GPUs of the nodes in use.
class Topology {
 public:
  /// Builds the nodes that hold the cluster's usable GPUs. Throws InputError when the cluster's fabric makes no sense.
  explicit Topology(const ClusterSpec& cluster);
  ~Topology();
  Topology(Topology&&) noexcept;
  Topology& operator=(Topology&&) noexcept;

  [[nodiscard]] int gpus() const;
  [[nodiscard]] int nodes() const;
  [[nodiscard]] int node_of(int gpu) const;
  [[nodiscard]] int gpus_per_node() const;
  /// All links; a path names them by index.
  [[nodiscard]] const std::vector<Link>& links() const;

  /// Links in order on the shortest path from one GPU to another; empty for a GPU to itself. Scale-up links are preferred to the network.
  [[nodiscard]] std::vector<std::int32_t> path(int from, int to) const;
  /// Links from a GPU to the memory of its host, and back; empty where the node names no way there.
  [[nodiscard]] std::vector<std::int32_t> path_to_host(int gpu) const;
  [[nodiscard]] std::vector<std::int32_t> path_from_host(int gpu) const;
  /// Capacity of the narrowest link on the path between two GPUs; they must differ.
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
