#include "serving/weight_loads.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

namespace {

std::vector<double> links_behind(const Topology& topology, const WeightBandwidths& b) {
  const auto nodes = static_cast<std::size_t>(topology.nodes());
  std::vector<double> out(nodes, b.disk);
  out.insert(out.end(), nodes, b.network);
  out.push_back(b.store);
  return out;
}

}  // namespace

std::string_view to_string(WeightSource source) {
  switch (source) {
    case WeightSource::kDisk: return "disk";
    case WeightSource::kNetwork: return "network";
    case WeightSource::kPeer: return "peer";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::optional<WeightSource> weight_source(std::string_view name) {
  for (const WeightSource source : {WeightSource::kDisk, WeightSource::kNetwork, WeightSource::kPeer}) {
    if (to_string(source) == name) return source;
  }
  return std::nullopt;
}

WeightLoads::WeightLoads(const Topology& topology, const WeightBandwidths& bandwidths)
    : topology_(topology), bandwidths_(bandwidths), network_(topology, links_behind(topology, bandwidths)) {}

std::vector<LinkUse> WeightLoads::path(WeightSource source, GpuRange to, const std::optional<GpuRange>& peer) {
  std::map<std::int32_t, double> shares;
  if (source == WeightSource::kPeer && peer) {
    const int pairs = std::max(to.count, peer->count);
    for (int i = 0; i < pairs; ++i) {
      for (const LinkUse& use : network_.paths().between(peer->first + i * peer->count / pairs, to.first + i * to.count / pairs)) {
        shares[use.link] += use.share / pairs;
      }
    }
  } else {
    const auto own = static_cast<std::int32_t>(topology_.links().size());
    const auto nodes = static_cast<std::int32_t>(topology_.nodes());
    const bool store = source == WeightSource::kNetwork;
    for (int i = 0; i < to.count; ++i) shares[own + (store ? nodes : 0) + topology_.node_of(to.first + i)] += 1.0 / to.count;
    if (store && bandwidths_.store < FlowNetwork::kUnlimited) shares[own + 2 * nodes] = 1;
  }
  std::vector<LinkUse> out;
  for (const auto& [link, share] : shares) out.push_back({link, share});
  return out;
}

TransferId WeightLoads::start(SimTime now, WeightSource source, Bytes bytes, GpuRange to, std::optional<GpuRange> peer) {
  std::vector<LinkUse> links = path(source, to, peer);
  const bool from_peer = source == WeightSource::kPeer && peer;
  const TransferId id = network_.start(now, links, bytes, from_peer ? FlowNetwork::kUnlimited : bandwidths_.gpu * to.count);
  paths_.emplace(id, std::move(links));  // the links themselves stay where they are
  return id;
}

void WeightLoads::cancel(SimTime now, TransferId id) {
  network_.cancel(now, id);
  paths_.erase(id);
}

void WeightLoads::advance(SimTime now, std::vector<TransferId>& ended) {
  const std::size_t before = ended.size();
  network_.advance(now, ended);
  for (std::size_t i = before; i < ended.size(); ++i) paths_.erase(ended[i]);
}

}  // namespace moeplan
