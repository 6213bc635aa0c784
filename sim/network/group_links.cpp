#include "network/group_links.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"

namespace moeplan {
namespace {

class Sum {
 public:
  void add(std::span<const LinkUse> path, double share) {
    for (const LinkUse& use : path) shares_[use.link] += use.share * share;
  }
  [[nodiscard]] std::vector<LinkUse> uses() const {
    std::vector<LinkUse> out;
    out.reserve(shares_.size());
    for (const auto& [link, share] : shares_) out.push_back({link, share});
    return out;
  }

 private:
  std::map<std::int32_t, double> shares_;
};

}  // namespace

GroupLinks group_links(PathTable& paths, int first, int count) {
  const Topology& topology = paths.topology();
  std::vector<std::vector<int>> by_node;
  for (int gpu = first; gpu < first + count; ++gpu) {
    if (gpu == first || topology.node_of(gpu) != topology.node_of(gpu - 1)) by_node.emplace_back();
    by_node.back().push_back(gpu);
  }
  Sum inside;
  Sum between;
  for (const std::vector<int>& members : by_node) {
    for (std::size_t place = 0; place < members.size(); ++place) {
      for (const int peer : members) {
        if (peer != members[place]) inside.add(paths.between(members[place], peer), 1.0 / static_cast<double>(members.size() - 1));
      }
      for (const std::vector<int>& others : by_node) {
        if (&others == &members) continue;
        const int peer = others[std::min(place, others.size() - 1)];
        between.add(paths.between(members[place], peer), 1.0 / static_cast<double>(by_node.size() - 1));
      }
    }
  }
  return {inside.uses(), between.uses()};
}

std::vector<LinkUse> hand_over_links(PathTable& paths, int from, int from_gpus, int to, int to_gpus) {
  const int pairs = std::min(from_gpus, to_gpus);
  Sum sum;
  for (int i = 0; i < pairs; ++i) sum.add(paths.between(from + i * from_gpus / pairs, to + i * to_gpus / pairs), 1.0 / pairs);
  return sum.uses();
}

std::vector<int> place_replicas(const Topology& topology, int replicas, int gpus) {
  MOEPLAN_CHECK(replicas >= 1 && gpus >= 1);
  const int per_node = topology.gpus_per_node();
  std::vector<int> first;
  const int stride = gpus >= per_node ? (gpus + per_node - 1) / per_node * per_node : gpus;
  const int in_node = gpus >= per_node ? 1 : per_node / gpus;
  for (int r = 0; r < replicas; ++r) {
    first.push_back(gpus >= per_node ? r * stride : r / in_node * per_node + r % in_node * gpus);
  }
  if (first.back() + gpus > topology.gpus()) {
    for (int r = 0; r < replicas; ++r) first[static_cast<std::size_t>(r)] = r * gpus;
  }
  MOEPLAN_CHECK(first.back() + gpus <= topology.gpus());
  return first;
}

}  // namespace moeplan
