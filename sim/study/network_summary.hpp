// The `network` and `offload` sections of a result: communication that computation did not hide, the busiest links, experts from host memory.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "metrics/network_metrics.hpp"
#include "metrics/pool_network.hpp"
#include "study/scenario.hpp"
#include "study/shared_links.hpp"

namespace moeplan {

struct LinkSummary {
  std::string name, kind;
  double capacity_bytes_per_s = 0;
  double utilisation_mean = 0, utilisation_p50 = 0, utilisation_p99 = 0;
};

struct CommunicationSummary {
  double exposed_share = 0;  ///< of all step time
  std::optional<double> exposed_decode_s, exposed_prefill_s;  ///< per mean step
  std::optional<double> hidden_decode_s, hidden_prefill_s;
};

struct NetworkSummary : CommunicationSummary {
  double slowdown = 1;  ///< of what the cards do, by replicas on the same links
  std::vector<LinkSummary> links;
  std::optional<std::array<CommunicationSummary, 2>> pools;  ///< prefill, decode
};

struct OffloadSummary {
  double resident_share = 1;
  double hit_rate = 1;
  double bytes_streamed_per_step = 0;
  double stream_share_of_step = 0;  ///< step time spent waiting for experts
};

/// Nothing for a replica of one GPU.
std::optional<NetworkSummary> summarise_network(const Scenario& scenario, const SharedLinks& links, const NetworkMetrics& seen);
/// Of prefill and decode apart: both together, each, and the links under them with the KV on its way.
NetworkSummary summarise_network(const PoolNetworkMetrics& seen);
/// Nothing without offload.
std::optional<OffloadSummary> summarise_offload(const Scenario& scenario, const NetworkMetrics& seen);

/// Lines of the text summary; empty without a section.
std::string network_text(const NetworkSummary& network);
std::string offload_text(const OffloadSummary& offload);

}  // namespace moeplan
