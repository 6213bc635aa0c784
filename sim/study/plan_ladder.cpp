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

PlanLadder::PlanLadder(const PlanSpace& space, const PlanGroup& group)
    : space_(space),
      group_(group),
      packing_(pack_replicas(group.config.layout.gpus(), group.config.cluster.node.gpus)),
      node_gpus_(group.config.cluster.node.gpus),
      down_(nodes_down(space.search.reliability)) {
  const SearchConfig& search = space.search;
  if (!search.counts.empty()) {
    for (const int count : search.counts) {
      const PlanSize size = size_within(packing_, node_gpus_, count, down_);
      if (size.serving > 0 && (stated_.empty() || size.serving > stated_.back().serving)) stated_.push_back(size);
    }
    if (stated_.empty()) {
      limit_ = fmt::format("a replica needs {} GPUs{}, and at most {} may be bought", packing_.gpus_per_replica,
                           down_ > 0 ? fmt::format(" beside {} spare", down_ == 1 ? "node" : "nodes") : "", search.counts.back());
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
  if (stated_.empty()) return size_of(packing_, node_gpus_, rung, down_);
  return stated_.at(static_cast<std::size_t>(rung) - 1);
}

PlanPrice PlanLadder::price(int rung, double busy) const {
  return price_plan(space_.bases[group_.base].scenario, size(rung), busy);
}

std::string PlanLadder::beyond_limits(const PlanSize& size) const {
  const PlanLimits& limits = space_.search.limits;
  const PlanPrice price = price_plan(space_.bases[group_.base].scenario, size, 0);
  const int gpus = limits.gpus.value_or(kMostPlanGpus);
  const auto text = [&](const std::string& what) {
    return fmt::format("{} {} ({} GPUs) {}", size.serving + size.spare, size.serving + size.spare == 1 ? "replica" : "replicas", size.gpus, what);
  };
  if (size.gpus > gpus) return text(fmt::format("are beyond the {} GPUs of {}", gpus, limits.gpus ? "limits.gpus" : "any plan without limits.gpus"));
  if (limits.usd_per_hour && price.usd_per_hour > *limits.usd_per_hour) {
    return text(fmt::format("cost {:.2f} USD/h, beyond limits.budget of {:.2f}", price.usd_per_hour, *limits.usd_per_hour));
  }
  if (limits.watts && !(price.load_w > 0)) return text("draw an unknown power, and limits.power is stated");
  if (limits.watts && price.load_w > *limits.watts) {
    return text(fmt::format("draw {:.1f} kW at full load, beyond limits.power of {:.1f}", price.load_w / 1e3, *limits.watts / 1e3));
  }
  if (limits.racks) {
    const ClusterSpec& cluster = group_.config.cluster;
    const double node_w = cluster.node.max_watts ? *cluster.node.max_watts : cluster.gpu.tdp_watts * cluster.node.gpus;
    const int per_rack = nodes_per_rack(cluster.node, node_w, limits.rack_watts);
    const int racks = (size.nodes + per_rack - 1) / per_rack;
    if (racks > *limits.racks) return text(fmt::format("fill {} racks of {} {}, beyond limits.racks of {}", racks, per_rack, per_rack == 1 ? "node" : "nodes", *limits.racks));
  }
  return {};
}

}  // namespace moeplan
