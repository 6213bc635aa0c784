#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "study/plan.hpp"

namespace moeplan {

namespace {

/// The largest of 1 .. most that `fits`, which holds up to some point and not beyond; 0 when none does.
template <class Fits>
int largest(int most, Fits fits) {
  int low = 0;
  int high = most;
  while (low < high) {
    const int middle = low + (high - low + 1) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace

PlanLadder::PlanLadder(const PlanSpace& space, const PlanGroup& group, int prefill)
    : space_(space),
      group_(group),
      packing_(pack_replicas(group.config.layout.gpus(), group.config.cluster.node.gpus)),
      node_gpus_(group.config.cluster.node.gpus),
      down_(nodes_down(space.search.reliability)) {
  const SearchConfig& search = space.search;
  MOEPLAN_CHECK(group.pools.has_value() == (prefill > 0));
  if (prefill > 0) {
    const DeploymentConfig& other = group.pools->prefill;
    shared_ = !group.pools->own_cluster && search.reliability.spare_nodes == 0 && search.reliability.maintenance_nodes == 0;
    prefill_ = size_of(pack_replicas(other.layout.gpus(), other.cluster.node.gpus), other.cluster.node.gpus, prefill, down_);
  }
  if (!search.counts.empty()) {
    for (const int count : search.counts) {
      PlanSize size = combine(prefill_, size_within(packing_, node_gpus_, count - prefill_.gpus, down_));
      if (prefill > 0) size.nodes = std::max(size.nodes, (size.gpus + node_gpus_ - 1) / node_gpus_);
      if (size.serving > 0 && (stated_.empty() || size.serving > stated_.back().serving)) stated_.push_back(size);
    }
    if (stated_.empty()) {
      limit_ = fmt::format("{} needs {} GPUs{}, and at most {} may be bought", prefill > 0 ? fmt::format("a decode replica beside {} for prefill", prefill) : "a replica",
                           packing_.gpus_per_replica + prefill_.gpus, down_ > 0 ? fmt::format(" beside {} spare", down_ == 1 ? "node" : "nodes") : "", search.counts.back());
      return;
    }
  }
  const int most = stated_.empty() ? kMostPlanGpus : static_cast<int>(stated_.size());
  last_ = largest(most, [&](int rung) { return beyond_limits(size(rung)).empty(); });
  if (last_ < most) limit_ = beyond_limits(size(last_ + 1));
  if (limit_.empty()) limit_ = stated_.empty() ? fmt::format("{} GPUs", kMostPlanGpus) : fmt::format("at most {} GPUs may be bought", search.counts.back());
}

PlanSize PlanLadder::size(int rung) const {
  MOEPLAN_CHECK(rung >= 1);
  return stated_.empty() ? size_for(rung) : stated_.at(static_cast<std::size_t>(rung) - 1);
}

PlanSize PlanLadder::size_for(int serving) const { return combine(prefill_, size_of(packing_, node_gpus_, serving, down_)); }

PlanSize PlanLadder::combine(const PoolSize& prefill, const PlanSize& decode) const {
  if (prefill.serving == 0 || decode.serving == 0) return decode;
  return size_of_pools(prefill, group_.pools->prefill.layout.gpus(), decode, packing_.gpus_per_replica, shared_, node_gpus_);
}

int PlanLadder::rung_of(int serving) const {
  return last_ - largest(last_, [&](int n) { return size(last_ + 1 - n).serving >= serving; }) + 1;
}

int PlanLadder::last_within(double usd_per_hour) const {
  return largest(last_, [&](int rung) { return price(rung, {}).usd_per_hour <= usd_per_hour; });
}

PlanSize PlanLadder::off_peak(const PlanSize& size, PlanCounts least) const {
  const ReliabilityConfig& r = space_.search.reliability;
  PlanSize out = size_off_peak(packing_, node_gpus_, size.serving, least.serving, r.spare_nodes, r.maintenance_nodes);
  if (size.pools()) {
    const DeploymentConfig& other = group_.pools->prefill;
    const int node_gpus = other.cluster.node.gpus;
    out = combine(size_off_peak(pack_replicas(other.layout.gpus(), node_gpus), node_gpus, size.prefill.serving, least.prefill, r.spare_nodes, r.maintenance_nodes), out);
  }
  const std::vector<int>& counts = space_.search.counts;
  const auto count = std::lower_bound(counts.begin(), counts.end(), std::max(out.gpus, size.gpus));
  if (counts.empty() || count == counts.end()) return out;
  out.spare_gpus += *count - out.gpus;
  out.gpus = *count;
  return out;
}

PlanPrice PlanLadder::price(int rung, const PlanBusy& busy) const {
  return price_plan(space_.bases[group_.base].scenario, size(rung), busy);
}

std::string PlanLadder::beyond_limits(const PlanSize& size) const {
  const PlanLimits& limits = space_.search.limits;
  const PlanPrice price = price_plan(space_.bases[group_.base].scenario, size, {});
  const int gpus = limits.gpus.value_or(kMostPlanGpus);
  const auto text = [&](const std::string& what) {
    return fmt::format("{} {} ({} GPUs) {}", size.replicas(), size.replicas() == 1 ? "replica" : "replicas", size.gpus, what);
  };
  if (size.gpus > gpus) return text(fmt::format("are beyond the {} GPUs of {}", gpus, limits.gpus ? "limits.gpus" : "any plan without limits.gpus"));
  if (!space_.search.counts.empty() && size.gpus > space_.search.counts.back()) return text(fmt::format("are beyond the {} GPUs that may be bought", space_.search.counts.back()));
  if (limits.usd_per_hour && price.usd_per_hour > *limits.usd_per_hour) {
    return text(fmt::format("cost {:.2f} USD/h, beyond limits.budget of {:.2f}", price.usd_per_hour, *limits.usd_per_hour));
  }
  if (limits.watts && !(price.load_w > 0)) return text("draw an unknown power, and limits.power is stated");
  if (limits.watts && price.load_w > *limits.watts) {
    return text(fmt::format("draw {:.1f} kW at full load, beyond limits.power of {:.1f}", price.load_w / 1e3, *limits.watts / 1e3));
  }
  if (limits.racks) {
    const auto per_rack_of = [&](const ClusterSpec& cluster) {
      const double node_w = cluster.node.max_watts ? *cluster.node.max_watts : cluster.gpu.tdp_watts * cluster.node.gpus;
      return nodes_per_rack(cluster.node, node_w, limits.rack_watts);
    };
    const int per_rack = per_rack_of(group_.config.cluster);
    // Nodes of another kind fill racks of their own.
    const bool apart = size.pools() && group_.pools->prefill.cluster.node.id != group_.config.cluster.node.id;
    const int others = apart ? size.prefill.nodes : 0;
    const int per_other = apart ? per_rack_of(group_.pools->prefill.cluster) : 1;
    const int racks = (size.nodes - others + per_rack - 1) / per_rack + (others + per_other - 1) / per_other;
    if (racks > *limits.racks) return text(fmt::format("fill {} racks of {} {}, beyond limits.racks of {}", racks, per_rack, per_rack == 1 ? "node" : "nodes", *limits.racks));
  }
  return {};
}

}  // namespace moeplan
