#include "study/network_summary.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace moeplan {
namespace {

constexpr std::size_t kMostLinks = 20;
constexpr std::size_t kLinksInText = 3;

std::string time_text(double s) { return s >= 1e-3 ? fmt::format("{:.2f} ms", s * 1e3) : fmt::format("{:.0f} us", s * 1e6); }

CommunicationSummary communication(const NetworkMetrics& seen) {
  CommunicationSummary out;
  const CommunicationTime& decode = seen.decode();
  const CommunicationTime& prefill = seen.prefill();
  const double all = decode.step_seconds + prefill.step_seconds;
  if (all > 0) out.exposed_share = (decode.exposed + prefill.exposed) / all;
  if (decode.steps > 0) {
    out.exposed_decode_s = decode.per_step(decode.exposed);
    out.hidden_decode_s = decode.per_step(decode.hidden);
  }
  if (prefill.steps > 0) {
    out.exposed_prefill_s = prefill.per_step(prefill.exposed);
    out.hidden_prefill_s = prefill.per_step(prefill.hidden);
  }
  return out;
}

NetworkSummary with_links(const NetworkMetrics& seen, const Topology* topology) {
  NetworkSummary out;
  static_cast<CommunicationSummary&>(out) = communication(seen);
  out.slowdown = seen.slowdown();
  if (topology == nullptr) return out;
  for (const LinkUtilisation& u : seen.busiest(*topology, kMostLinks)) {
    const Link& link = topology->links()[static_cast<std::size_t>(u.link)];
    out.links.push_back({link.name, std::string(to_string(link.kind)), link.capacity.value(), u.mean, u.p50, u.p99});
  }
  return out;
}

}  // namespace

std::optional<NetworkSummary> summarise_network(const Scenario& scenario, const SharedLinks& links, const NetworkMetrics& seen) {
  if (scenario.deployment.layout.gpus() < 2) return std::nullopt;
  return with_links(seen, links.topology());
}

NetworkSummary summarise_network(const PoolNetworkMetrics& seen) {
  NetworkSummary out = with_links(seen.all(), seen.topology());
  out.pools = {communication(seen.pool(0)), communication(seen.pool(1))};
  return out;
}

std::optional<OffloadSummary> summarise_offload(const Scenario& scenario, const NetworkMetrics& seen) {
  if (!scenario.deployment.offload) return std::nullopt;
  OffloadSummary out;
  out.resident_share = scenario.deployment.offload->resident_share;
  const OffloadTotals& t = seen.offload();
  const std::uint64_t steps = seen.decode().steps + seen.prefill().steps;
  const double seconds = seen.decode().step_seconds + seen.prefill().step_seconds;
  if (t.lookups > 0) out.hit_rate = t.hits / t.lookups;
  if (steps > 0) out.bytes_streamed_per_step = t.bytes / static_cast<double>(steps);
  if (seconds > 0) out.stream_share_of_step = t.seconds / seconds;
  return out;
}

std::string network_text(const NetworkSummary& n) {
  std::string text = fmt::format("\nnetwork\n  exposed communication {:.1f} % of the step time", n.exposed_share * 100);
  if (n.exposed_decode_s) text += fmt::format("; {} of a mean decode step", time_text(*n.exposed_decode_s));
  if (n.exposed_prefill_s) text += fmt::format("{} {} of a mean prefill step", n.exposed_decode_s ? "," : ";", time_text(*n.exposed_prefill_s));
  const double hidden = std::max(n.hidden_decode_s.value_or(0), n.hidden_prefill_s.value_or(0));
  if (hidden > 0) text += fmt::format("\n  hidden behind computation: {} (decode), {} (prefill)", time_text(n.hidden_decode_s.value_or(0)), time_text(n.hidden_prefill_s.value_or(0)));
  if (n.pools) text += fmt::format("\n  of the prefill pool's step time {:.1f} %, of the decode pool's {:.1f} %", (*n.pools)[0].exposed_share * 100, (*n.pools)[1].exposed_share * 100);
  if (n.slowdown > 1.0005) text += fmt::format("\n  replicas on the same links stretch what crosses nodes by {:.2f}", n.slowdown);
  // Links of the same kind and load are alike: one of each.
  std::size_t shown = 0;
  std::string last;
  for (const LinkSummary& link : n.links) {
    const std::string key = fmt::format("{} {:.3f}", link.kind, link.utilisation_mean);
    if (key == last || shown == kLinksInText) continue;
    last = key;
    ++shown;
    text += fmt::format("\n  {:<28} {:>6.0f} GB/s, {:.1f} % busy (p50 {:.1f}, p99 {:.1f})", link.name, link.capacity_bytes_per_s / 1e9,
                        link.utilisation_mean * 100, link.utilisation_p50 * 100, link.utilisation_p99 * 100);
  }
  return text + "\n";
}

std::string offload_text(const OffloadSummary& o) {
  return fmt::format("\noffload\n  {:.0f} % of the experts on the GPU, {:.1f} % of those needed found there; {:.2f} GB streamed a step, waiting {:.0f} % of the step time\n",
                     o.resident_share * 100, o.hit_rate * 100, o.bytes_streamed_per_step / 1e9, o.stream_share_of_step * 100);
}

}  // namespace moeplan
