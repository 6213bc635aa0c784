// Which links the collectives of a group of GPUs use, and how much of each: the bridge from "bytes that a GPU sends" (cost) to links.
#pragma once

#include <vector>

#include "network/path_table.hpp"

namespace moeplan {

/// Bytes over each link per byte that every GPU of the group sends, spread evenly over the others.
struct GroupLinks {
  std::vector<LinkUse> inside;   ///< of what stays on the sender's node: to all other members there
  std::vector<LinkUse> between;  ///< of what leaves it: to the member of like place on every other node
};

/// GPUs first .. first + count - 1. Hierarchical collectives and DeepEP alike send what leaves a node to the GPU of the same place.
GroupLinks group_links(PathTable& paths, int first, int count);

/// Bytes over each link per byte that goes from one group of GPUs to another: every GPU of the smaller one sends or receives an equal part, all at once.
std::vector<LinkUse> hand_over_links(PathTable& paths, int from, int from_gpus, int to, int to_gpus);

/// First GPU of each of `replicas` replicas of `gpus` GPUs: in order, none straddling nodes without need when the cluster has the room, else
/// one after the other. REQUIRES: they fit.
std::vector<int> place_replicas(const Topology& topology, int replicas, int gpus);

}  // namespace moeplan
