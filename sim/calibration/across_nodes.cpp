#include "calibration/across_nodes.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "calibration/kernel_forms.hpp"

namespace moeplan {

AcrossConstants across_constants(ExchangeMode mode, bool combine, NetworkTransport transport) {
  // Fitted together on the H100 tables of two, four and eight nodes (hardware_profiles/measured/h100-sxm/all_to_all.csv) and DeepEP's published
  // figures for 16 to 256 H800 (measured/across_nodes.csv); eight nodes of normal mode from 64 tokens on are left out there (congested fabric).
  // EFA: DeepEP over NVSHMEM on p5 and p6, same file; its proxy sends every low latency message by itself.
  const bool efa = transport == NetworkTransport::kEfa;
  if (mode == ExchangeMode::kDeepEpNormal) {
    if (combine) return {65.5, 26.7, efa ? 0.67 : 0.775, efa ? 0.50 : 0.725, 0};
    return {26.2, 34.0, efa ? 0.70 : 0.884, efa ? 0.79 : 0.757, 0};
  }
  if (combine) return {23.9, 0.8, efa ? 0.67 : 0.908, 0.5, efa ? 0.90 : 0};
  return {16.7, 3.8, efa ? 0.70 : 0.938, 0.5, efa ? 1.95 : 0};
}

double exchange_card_bytes(const ExpertExchangeShape& s) {
  if (s.nodes <= 1) return 0;
  const double away = (s.nodes - 1.0) / s.nodes;
  const double row = exchange_row_bytes(s);
  if (s.mode == ExchangeMode::kDeepEpLowLatency) return s.tokens * s.top_k * row * away;
  const double nodes = s.top_nodes > 0 && s.top_nodes < s.nodes ? s.top_nodes : places_needed(s.nodes, s.top_k);
  return s.tokens * nodes * row * away;
}

double exchange_local_bytes(const ExpertExchangeShape& s) {
  const double row = exchange_row_bytes(s);
  if (s.mode == ExchangeMode::kDeepEpLowLatency) return s.tokens * s.top_k * row / s.nodes;
  // Over several nodes a token is forwarded to every rank that needs it on the nodes it reached.
  const double per_node = static_cast<double>(s.ranks) / s.nodes;
  const double nodes = s.top_nodes > 0 && s.top_nodes < s.nodes ? s.top_nodes : s.nodes;
  return s.tokens * places_needed(nodes * per_node, s.top_k) * row;
}

AcrossTime exchange_across(const AcrossConstants& c, const KernelDevice& device, const ExpertExchangeShape& s) {
  MOEPLAN_CHECK(s.nodes > 1 && s.scale_out > 0);
  AcrossTime time;
  time.card_bytes = exchange_card_bytes(s);
  time.card_us = time.card_bytes / (s.scale_out * 1e-6 * c.card);
  const double scale_up_us = exchange_local_bytes(s) / (device.scale_up * c.scale_up);
  const double messages_us = c.message * s.tokens * s.top_k * (s.nodes - 1.0) / s.nodes;
  time.us = c.t0 + c.t_double * std::log2(s.nodes) + smooth_max(time.card_us, scale_up_us, messages_us, 4);
  return time;
}

bool measured_network(const ExpertExchangeShape& s) {
  if (s.nodes <= 1) return true;
  const bool table = s.nodes == 2 || s.nodes == 4 || (s.nodes == 8 && s.mode == ExchangeMode::kDeepEpLowLatency);
  const bool same_card = s.scale_out <= 0 || std::abs(s.scale_out / 50e9 - 1) < 0.02;
  return table && s.ranks == 8 * s.nodes && same_card && s.transport == NetworkTransport::kInfiniBand;
}

}  // namespace moeplan
