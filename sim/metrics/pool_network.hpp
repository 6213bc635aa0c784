// What communication costs in each of two pools, and what their steps and the KV that goes between them put on the links. Prefill replicas come
// first in the numbering. KV on its way and collectives do not slow each other down in the simulation: links that are busy with both show it.
#pragma once

#include <array>
#include <map>
#include <optional>

#include "metrics/network_metrics.hpp"
#include "network/path_table.hpp"

namespace moeplan {

/// Where one pool's replicas stand.
struct PoolPlace {
  std::vector<int> first_gpu;  ///< of each replica
  int gpus = 1;                ///< per replica
};

class PoolNetworkMetrics final : public Observer {
 public:
  /// `pools`: prefill, decode. Without a topology no links are watched. REQUIRES: it outlives this.
  PoolNetworkMetrics(std::array<PoolPlace, 2> pools, const Topology* topology);

  void on_step(const StepRecord& step) override;
  void on_kv_transfer(const KvTransferRecord& r) override;
  void on_end(SimTime now) override { all_.on_end(now); }

  /// Of both pools together, with the links.
  [[nodiscard]] const NetworkMetrics& all() const { return all_; }
  /// 0: prefill, 1: decode. Times only.
  [[nodiscard]] const NetworkMetrics& pool(std::size_t i) const { return pools_[i]; }
  [[nodiscard]] const Topology* topology() const { return paths_ ? &paths_->topology() : nullptr; }

 private:
  std::array<PoolPlace, 2> places_;
  std::optional<PathTable> paths_;
  std::map<std::pair<std::int32_t, std::int32_t>, std::size_t> senders_;  ///< by replicas that KV goes from and to
  NetworkMetrics all_;
  std::array<NetworkMetrics, 2> pools_{NetworkMetrics({}), NetworkMetrics({})};
};

}  // namespace moeplan
