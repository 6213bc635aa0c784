#include "metrics/pool_network.hpp"

#include <utility>

namespace moeplan {

namespace {

std::vector<GroupLinks> links_of(const std::array<PoolPlace, 2>& pools, std::optional<PathTable>& paths) {
  std::vector<GroupLinks> groups;
  if (!paths) return groups;
  for (const PoolPlace& pool : pools) {
    for (const int first : pool.first_gpu) groups.push_back(group_links(*paths, first, pool.gpus));
  }
  return groups;
}

}  // namespace

PoolNetworkMetrics::PoolNetworkMetrics(std::array<PoolPlace, 2> pools, const Topology* topology)
    : places_(std::move(pools)),
      paths_(topology != nullptr ? std::optional<PathTable>(std::in_place, *topology) : std::nullopt),
      all_(links_of(places_, paths_)) {}

void PoolNetworkMetrics::on_step(const StepRecord& step) {
  all_.on_step(step);
  pools_[static_cast<std::size_t>(step.replica) < places_[0].first_gpu.size() ? 0 : 1].on_step(step);
}

void PoolNetworkMetrics::on_kv_transfer(const KvTransferRecord& r) {
  if (!paths_) return;
  const auto [it, fresh] = senders_.try_emplace({r.from, r.to});
  if (fresh) {
    const auto from = static_cast<std::size_t>(r.from);
    const std::size_t to = static_cast<std::size_t>(r.to) - places_[0].first_gpu.size();
    it->second = all_.add_sender(hand_over_links(*paths_, places_[0].first_gpu[from], places_[0].gpus, places_[1].first_gpu[to], places_[1].gpus));
  }
  if (r.hidden.value() > 0) all_.sends(it->second, r.begun, r.ready, r.hidden.as_double());
  all_.sends(it->second, r.start, r.end, (r.bytes - r.hidden).as_double());
}

}  // namespace moeplan
