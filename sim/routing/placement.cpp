#include "routing/placement.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/error.hpp"

namespace moeplan {

Placement::Placement(int ranks, const std::vector<std::vector<int>>& ranks_of) : ranks_(ranks) {
  first_.push_back(0);
  for (const auto& holders : ranks_of) {
    MOEPLAN_CHECK(!holders.empty());
    for (std::size_t i = 0; i < holders.size(); ++i) {
      MOEPLAN_CHECK(holders[i] >= 0 && holders[i] < ranks);
      MOEPLAN_CHECK(std::count(holders.begin(), holders.end(), holders[i]) == 1);
      rank_.push_back(static_cast<std::uint16_t>(holders[i]));
    }
    first_.push_back(static_cast<std::uint32_t>(rank_.size()));
  }
}

void Placement::spread(LayerLoad& load) const {
  MOEPLAN_CHECK(load.tokens_per_expert.size() + 1 == first_.size());
  load.ranks.assign(static_cast<std::size_t>(ranks_), RankLoad{});
  load.distinct_experts = 0;
  for (std::size_t e = 0; e + 1 < first_.size(); ++e) {
    const std::int32_t tokens = load.tokens_per_expert[e];
    if (tokens == 0) continue;
    ++load.distinct_experts;
    const std::uint32_t begin = first_[e];
    const auto replicas = static_cast<std::int32_t>(first_[e + 1] - begin);
    if (replicas == 1) {
      RankLoad& rank = load.ranks[rank_[begin]];
      rank.pairs += tokens;
      rank.experts += 1;
      continue;
    }
    // Which replica gets the odd token must not always be the same: it varies with the number of tokens.
    const std::int32_t each = tokens / replicas;
    const std::int32_t odd = tokens % replicas;
    for (std::int32_t i = 0; i < replicas; ++i) {
      const std::int32_t turn = (i + each) % replicas;
      const std::int32_t share = each + (turn < odd ? 1 : 0);
      if (share == 0) continue;
      RankLoad& rank = load.ranks[rank_[begin + static_cast<std::uint32_t>(i)]];
      rank.pairs += share;
      rank.experts += 1;
    }
  }
}

Placement contiguous_placement(int experts, int ranks) {
  MOEPLAN_CHECK(experts > 0 && ranks > 0);
  std::vector<std::vector<int>> ranks_of(static_cast<std::size_t>(experts));
  for (int e = 0; e < experts; ++e) ranks_of[static_cast<std::size_t>(e)] = {static_cast<int>(std::int64_t{e} * ranks / experts)};
  return {ranks, ranks_of};
}

namespace {

/// Ranks of each expert's replicas.
std::vector<std::vector<int>> balance(std::span<const double> shares, int ranks, int redundant) {
  const std::size_t experts = shares.size();
  std::vector<int> replicas(experts, 1);
  for (int r = 0; r < redundant; ++r) {
    std::size_t best = experts;
    for (std::size_t e = 0; e < experts; ++e) {
      if (replicas[e] >= ranks) continue;
      if (best == experts || shares[e] / replicas[e] > shares[best] / replicas[best]) best = e;
    }
    if (best == experts) break;
    ++replicas[best];
  }
  std::vector<std::size_t> order(experts);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return shares[a] / replicas[a] > shares[b] / replicas[b]; });
  const int slots = std::accumulate(replicas.begin(), replicas.end(), 0);
  std::vector<int> free(static_cast<std::size_t>(ranks));
  for (int r = 0; r < ranks; ++r) free[static_cast<std::size_t>(r)] = slots / ranks + (r < slots % ranks ? 1 : 0);
  std::vector<double> load(static_cast<std::size_t>(ranks), 0.0);
  std::vector<std::vector<int>> ranks_of(experts);
  for (const std::size_t e : order) {
    for (int i = 0; i < replicas[e]; ++i) {
      int best = -1;
      for (int r = 0; r < ranks; ++r) {
        const auto at = static_cast<std::size_t>(r);
        if (free[at] == 0 || std::find(ranks_of[e].begin(), ranks_of[e].end(), r) != ranks_of[e].end()) continue;
        if (best < 0 || load[at] < load[static_cast<std::size_t>(best)]) best = r;
      }
      if (best < 0) break;  // the free slots left are on ranks that already hold this expert: one replica fewer
      ranks_of[e].push_back(best);
      --free[static_cast<std::size_t>(best)];
      load[static_cast<std::size_t>(best)] += shares[e] / replicas[e];
    }
  }
  return ranks_of;
}

/// Node of each of equally many items per node: the heaviest first, to the lightest node with room.
std::vector<std::size_t> pack(const std::vector<double>& weights, std::size_t nodes) {
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
  std::vector<double> load(nodes, 0.0);
  std::vector<std::size_t> room(nodes, weights.size() / nodes);
  std::vector<std::size_t> node_of(weights.size());
  for (const std::size_t item : order) {
    std::size_t best = nodes;
    for (std::size_t n = 0; n < nodes; ++n) {
      if (room[n] > 0 && (best == nodes || load[n] < load[best])) best = n;
    }
    node_of[item] = best;
    --room[best];
    load[best] += weights[item];
  }
  return node_of;
}

}  // namespace

Placement balanced_placement(std::span<const double> shares, int ranks, int redundant) {
  return {ranks, balance(shares, ranks, redundant)};
}

Placement hierarchical_placement(std::span<const double> shares, int ranks, int redundant, int nodes, int groups) {
  const auto experts = static_cast<int>(shares.size());
  if (groups <= 1 || groups % nodes != 0) groups = experts;
  if (nodes <= 1 || groups % nodes != 0 || ranks % nodes != 0 || experts % groups != 0) return balanced_placement(shares, ranks, redundant);
  const int size = experts / groups;
  std::vector<double> weight(static_cast<std::size_t>(groups), 0.0);
  for (int e = 0; e < experts; ++e) weight[static_cast<std::size_t>(e / size)] += shares[static_cast<std::size_t>(e)];
  const std::vector<std::size_t> node_of = pack(weight, static_cast<std::size_t>(nodes));
  std::vector<std::vector<int>> ranks_of(shares.size());
  for (int node = 0; node < nodes; ++node) {
    std::vector<std::size_t> held;
    std::vector<double> local;
    for (std::size_t e = 0; e < shares.size(); ++e) {
      if (node_of[e / static_cast<std::size_t>(size)] != static_cast<std::size_t>(node)) continue;
      held.push_back(e);
      local.push_back(shares[e]);
    }
    const int extra = redundant / nodes + (node < redundant % nodes ? 1 : 0);
    const auto placed = balance(local, ranks / nodes, extra);
    for (std::size_t i = 0; i < held.size(); ++i) {
      for (const int rank : placed[i]) ranks_of[held[i]].push_back(node * (ranks / nodes) + rank);
    }
  }
  return {ranks, ranks_of};
}


Placement make_placement(const PlacementConfig& config, std::span<const double> shares, int layer, int groups) {
  const auto experts = static_cast<int>(shares.size());
  if (config.kind == PlacementKind::kContiguous) return contiguous_placement(experts, config.ranks);
  if (!config.tuned_on.layers.empty()) {
    const auto& past = config.tuned_on.layers[static_cast<std::size_t>(layer) % config.tuned_on.layers.size()];
    if (past.size() != shares.size()) {
      throw InputError(config.tuned_on.source,
                       "has " + std::to_string(past.size()) + " experts per layer, the model has " + std::to_string(shares.size()));
    }
    shares = past;
  }
  if (config.kind == PlacementKind::kHierarchical)
    return hierarchical_placement(shares, config.ranks, config.redundant_experts, config.nodes, groups);
  return balanced_placement(shares, config.ranks, config.redundant_experts);
}

std::vector<int> experts_received(const Placement& before, const Placement& after) {
  MOEPLAN_CHECK(before.ranks() == after.ranks() && before.experts() == after.experts());
  std::vector<int> received(static_cast<std::size_t>(after.ranks()), 0);
  for (int e = 0; e < after.experts(); ++e) {
    const auto held = before.ranks_of(e);
    for (const auto rank : after.ranks_of(e)) {
      if (std::find(held.begin(), held.end(), rank) == held.end()) ++received[rank];
    }
  }
  return received;
}

double rank_imbalance(const Placement& placement, std::span<const double> shares) {
  std::vector<double> load(static_cast<std::size_t>(placement.ranks()), 0.0);
  double sum = 0;
  for (int e = 0; e < placement.experts(); ++e) {
    const auto holders = placement.ranks_of(e);
    const double share = shares[static_cast<std::size_t>(e)];
    sum += share;
    for (const auto rank : holders) load[rank] += share / static_cast<double>(holders.size());
  }
  return *std::max_element(load.begin(), load.end()) / sum * placement.ranks();
}

}  // namespace moeplan
