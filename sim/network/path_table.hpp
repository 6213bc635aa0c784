// Shortest paths of a topology, computed once for each pair that asks: the way a flow takes from GPU to GPU, or between a GPU and the memory of
// its host.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "hardware/topology.hpp"
#include "network/max_min.hpp"

namespace moeplan {

/// Grows with the pairs asked for. Not for several threads at once. REQUIRES: the topology outlives it.
class PathTable {
 public:
  explicit PathTable(const Topology& topology) : topology_(topology) {}

  /// Links from one GPU to another, each with share 1; empty for a GPU to itself. Stays valid as long as the table.
  std::span<const LinkUse> between(int from, int to);
  /// Links from a GPU to its host's memory, or back.
  std::span<const LinkUse> to_host(int gpu);
  std::span<const LinkUse> from_host(int gpu);

  [[nodiscard]] const Topology& topology() const { return topology_; }

 private:
  std::span<const LinkUse> keep(std::int64_t key, const std::vector<std::int32_t>& links);

  const Topology& topology_;
  std::map<std::int64_t, std::vector<LinkUse>> known_;
};

}  // namespace moeplan
