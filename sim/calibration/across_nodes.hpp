// Token exchange of expert parallelism over several nodes as flows over its links, for what no kernel table holds: other cards, other counts of
// nodes, other transports, oversubscribed spines. Every GPU sends to the GPU of its place on the other nodes and from there over NVLink, so two
// links bound it: the card and the scale-up fabric.
//
// Left out: queueing inside switches, failed links. Where the profile has a table of just this network (H100, two to eight nodes, one
// 400 Gbit/s InfiniBand card per GPU), the table speaks; the test across_nodes_test shows how far both agree.
#pragma once

#include "calibration/kernel_device.hpp"
#include "calibration/kernel_shapes.hpp"

namespace moeplan {

struct AcrossConstants {
  double t0 = 0;        ///< us
  double t_double = 0;  ///< us per doubling of the nodes
  double card = 1;      ///< fraction of the card's rate
  double scale_up = 1;  ///< fraction of the scale-up bandwidth
  double message = 0;   ///< us per message to another node, where a proxy on the host sends each
};

/// Constants and their sources.
AcrossConstants across_constants(ExchangeMode mode, bool combine, NetworkTransport transport);

/// Seconds times 1e6, and what the cards carry of it.
struct AcrossTime {
  double us = 0;
  double card_us = 0;     ///< the cards alone, at their achieved rate
  double card_bytes = 0;  ///< a GPU sends to other nodes
};
/// t0 + t_double log2(nodes) + ((card)^4 + (scale-up)^4 + (messages)^4)^(1/4). REQUIRES: nodes > 1 and scale_out > 0.
AcrossTime exchange_across(const AcrossConstants& constants, const KernelDevice& device, const ExpertExchangeShape& shape);

/// Bytes a GPU sends to other nodes: once per expert in low latency mode, once per node that needs the token in normal mode.
double exchange_card_bytes(const ExpertExchangeShape& shape);
/// Bytes a GPU sends over the scale-up fabric, forwarding of what came from other nodes included.
double exchange_local_bytes(const ExpertExchangeShape& shape);

/// Whether kernel tables measured on H100 nodes describe this network: 8 ranks a node, 400 Gbit/s InfiniBand per GPU.
bool measured_network(const ExpertExchangeShape& shape);

}  // namespace moeplan
