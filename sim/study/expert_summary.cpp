#include "study/expert_summary.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "routing/placement.hpp"
#include "study/routing_text.hpp"

namespace moeplan {

namespace {

constexpr int kMostLayers = 16;

std::string placement_name(PlacementKind kind) {
  switch (kind) {
    case PlacementKind::kContiguous: return "contiguous";
    case PlacementKind::kBalanced: return "balanced";
    case PlacementKind::kHierarchical: return "hierarchical";
  }
  return {};
}

/// Load of each rank over the mean rank, hottest first.
std::vector<double> rank_profile(const Placement& placement, const std::vector<double>& shares) {
  std::vector<double> load(static_cast<std::size_t>(placement.ranks()), 0.0);
  for (int e = 0; e < placement.experts(); ++e) {
    const auto holders = placement.ranks_of(e);
    for (const auto rank : holders) load[rank] += shares[static_cast<std::size_t>(e)] * placement.ranks() / static_cast<double>(holders.size());
  }
  std::sort(load.begin(), load.end(), std::greater<>());
  return load;
}

}  // namespace

ExpertSummary describe_experts(const Deployment& deployment) {
  ExpertSummary summary;
  summary.routing = routing_text(deployment.config().routing);
  const LoadSampler* sampler = deployment.cost().inputs().sampler;
  if (sampler == nullptr) return summary;  // soft routing
  summary.placement = placement_name(deployment.config().placement.kind);
  summary.redundant_experts = deployment.config().placement.redundant_experts;
  const int layers = sampler->layers();
  const int shown = std::min(layers, kMostLayers);
  for (int i = 0; i < shown; ++i) summary.load_layers.push_back(shown == 1 ? 0 : i * (layers - 1) / (shown - 1));
  summary.rank_load.assign(static_cast<std::size_t>(sampler->ranks()), 0.0);
  for (int layer = 0; layer < layers; ++layer) {
    std::vector<double> shares = sampler->shares(layer);
    const std::vector<double> profile = rank_profile(sampler->placement(layer), shares);
    for (std::size_t r = 0; r < profile.size(); ++r) summary.rank_load[r] += profile[r] / layers;
    if (std::find(summary.load_layers.begin(), summary.load_layers.end(), layer) == summary.load_layers.end()) continue;
    for (double& share : shares) share *= sampler->experts();
    summary.load.push_back(std::move(shares));
  }
  return summary;
}

}  // namespace moeplan
