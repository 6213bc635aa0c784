#include "study/plan_ladder.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "study/plan_load.hpp"
#include "study/plan_words.hpp"

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

double node_watts(const ClusterSpec& cluster) { return cluster.node.max_watts ? *cluster.node.max_watts : cluster.gpu.tdp_watts * cluster.node.gpus; }

int rack_of(const ClusterSpec& cluster, double rack_watts) { return nodes_per_rack(cluster.node, node_watts(cluster), rack_watts); }

/// Whether even one node draws more than a rack gives. Nodes that are racks bring their own power.
bool overloads(const ClusterSpec& cluster, double rack_watts) {
  const bool rack_scale = cluster.node.topology == ScaleUpTopology::kRackSwitch || cluster.node.topology == ScaleUpTopology::kTorus;
  return !rack_scale && node_watts(cluster) > rack_watts;
}

int filled(int nodes, int per_rack) { return (nodes + per_rack - 1) / per_rack; }

}  // namespace

PackingRule packing_rule(const CostSpec& cost, const ClusterSpec& cluster) {
  PackingRule rule;
  rule.node_gpus = cluster.node.gpus;
  rule.whole_nodes = cost.owned.has_value();
  return rule;
}

PlanLadder::PlanLadder(const PlanSpace& space, const PlanGroup& group, int prefill)
    : space_(space),
      group_(group),
      prefill_(prefill),
      packing_(pack_replicas(group.config.layout.gpus(), group.config.cluster.node.gpus)),
      rule_(packing_rule(base().cost, group.config.cluster)),
      per_rack_(rack_of(group.config.cluster, space.search.limits.rack_watts)),
      down_(nodes_down(space.search.reliability)) {
  const SearchConfig& search = space.search;
  MOEPLAN_CHECK(group.pools.has_value() == (prefill > 0));
  if (prefill > 0) {
    const DeploymentConfig& other = group.pools->prefill;
    shared_ = !group.pools->own_cluster && search.reliability.spare_nodes == 0 && search.reliability.maintenance_nodes == 0;
    apart_ = other.cluster.node.id != group.config.cluster.node.id;
    const auto& own_price = base().disaggregation->cost;
    prefill_packing_ = pack_replicas(other.layout.gpus(), other.cluster.node.gpus);
    prefill_rule_ = packing_rule(own_price ? *own_price : base().cost, other.cluster);
    prefill_per_rack_ = rack_of(other.cluster, search.limits.rack_watts);
  }
  if (!search.counts.empty()) {
    take_stated();
    if (stated_.empty()) return;
  }
  const int most = stated_.empty() ? kMostPlanGpus : static_cast<int>(stated_.size());
  last_ = largest(most, [&](int rung) { return beyond_limits(size(rung)).empty(); });
  if (last_ < most) limit_ = beyond_limits(size(last_ + 1));
  if (limit_.empty()) limit_ = stated_.empty() ? fmt::format("{} GPUs", kMostPlanGpus) : fmt::format("at most {} may be bought", counted(search.counts.back(), "GPU"));
}

void PlanLadder::take_stated() {
  const std::vector<int>& counts = space_.search.counts;
  for (const int count : counts) {
    const int serving = largest(count / packing_.gpus_per_replica, [&](int n) { return size_for(n).gpus <= count; });
    if (serving > 0 && (stated_.empty() || serving > stated_.back().serving)) stated_.push_back(padded(size_for(serving), count));
  }
  if (!stated_.empty()) return;
  const PlanSize least = size_for(1);
  limit_ = fmt::format("{} needs {}{}{}, and at most {} may be bought", prefill_ > 0 ? fmt::format("a decode replica beside {} for prefill", prefill_) : "a replica",
                       counted(least.gpus, "GPU"), down_ > 0 ? fmt::format(" with what {} may take away", down_ == 1 ? "a failed node" : "failed nodes") : "",
                       rule_.whole_nodes ? " in whole nodes" : "", counts.back());
}

PlanSize PlanLadder::padded(PlanSize size, int gpus) const {
  int more = gpus - size.gpus;
  if (rule_.whole_nodes) {
    more -= more % rule_.node_gpus;
    size.nodes += more / rule_.node_gpus;
  }
  size.gpus += more;
  size.spare_gpus += more;
  if (!apart_) size.nodes = std::max(size.nodes, (size.gpus + rule_.node_gpus - 1) / rule_.node_gpus);
  return size;
}

PlanSize PlanLadder::size(int rung) const {
  MOEPLAN_CHECK(rung >= 1);
  return stated_.empty() ? size_for(rung) : stated_.at(static_cast<std::size_t>(rung) - 1);
}

PlanSize PlanLadder::size_for(int serving) const { return packed({serving, down_, 0, 0}, {prefill_, down_, 0, 0}); }

PlanSize PlanLadder::packed(const PackingNeed& need, const PackingNeed& prefill) const {
  PackingRule rule = rule_;
  if (prefill_ == 0) {
    rule.most_nodes = room_beside(0);
    return pack(packing_, rule, need);
  }
  const int gpus = packing_.gpus_per_replica;
  const int prefill_gpus = prefill_packing_.gpus_per_replica;
  if (shared_) {
    rule.whole_nodes = false;  // for each pool by itself
    return size_of_pools(pack(prefill_packing_, rule, prefill), prefill_gpus, pack(packing_, rule, need), gpus, true, rule_);
  }
  PlanSize best;
  double least = 0;
  for (const PoolSize& beside : prefill_packings(prefill)) {
    rule.most_nodes = room_beside(beside.nodes);
    const PlanSize size = size_of_pools(beside, prefill_gpus, pack(packing_, rule, need), gpus, false, rule_);
    const auto& racks_allowed = space_.search.limits.racks;
    if (best.nodes > 0 && racks_allowed && racks(size) > *racks_allowed) continue;
    const double usd = price_plan(base(), size, {}).usd_per_hour;
    if (best.nodes > 0 && usd >= least && !(racks_allowed && racks(best) > *racks_allowed)) continue;
    best = size;
    least = usd;
  }
  return best;
}

/// From the fewest nodes to the fewest GPUs; one where nothing bounds the nodes.
std::vector<PoolSize> PlanLadder::prefill_packings(const PackingNeed& need) const {
  const PoolSize cheapest = pack(prefill_packing_, prefill_rule_, need);
  if (!space_.search.limits.racks) return {cheapest};
  std::vector<PoolSize> out;
  PackingRule rule = prefill_rule_;
  rule.most_nodes = 1;
  do {
    const PoolSize size = pack(prefill_packing_, rule, need);
    if (out.empty() || size.gpus < out.back().gpus) out.push_back(size);
    rule.most_nodes = std::max(size.nodes, rule.most_nodes) + 1;
  } while (out.back().gpus > cheapest.gpus);
  return out;
}

int PlanLadder::rung_of(int serving) const {
  return last_ - largest(last_, [&](int n) { return size(last_ + 1 - n).serving >= serving; }) + 1;
}

int PlanLadder::last_within(double usd_per_hour) const {
  return largest(last_, [&](int rung) { return price(rung, {}).usd_per_hour <= usd_per_hour; });
}

PlanSize PlanLadder::off_peak(const PlanSize& size, PlanCounts least) const {
  const ReliabilityConfig& r = space_.search.reliability;
  const PlanSize out = packed({size.serving, r.spare_nodes, least.serving, r.maintenance_nodes}, {size.prefill.serving, r.spare_nodes, least.prefill, r.maintenance_nodes});
  const std::vector<int>& counts = space_.search.counts;
  const auto count = std::lower_bound(counts.begin(), counts.end(), std::max(out.gpus, size.gpus));
  return counts.empty() || count == counts.end() ? out : padded(out, *count);
}

PlanPrice PlanLadder::price(int rung, const PlanBusy& busy) const { return price_plan(base(), size(rung), busy); }

int PlanLadder::racks(const PlanSize& size) const {
  // Nodes of another kind fill racks of their own.
  const int others = apart_ ? size.prefill.nodes : 0;
  return filled(size.nodes - others, per_rack_) + filled(others, prefill_per_rack_);
}

int PlanLadder::racks_for(int serving, int gpus) const {
  const PlanSize size = size_for(serving);
  return racks(padded(size, std::max(gpus, size.gpus)));
}

int PlanLadder::room_beside(int prefill_nodes) const {
  const auto& allowed = space_.search.limits.racks;
  if (!allowed) return std::numeric_limits<int>::max();
  if (apart_) return (*allowed - filled(prefill_nodes, prefill_per_rack_)) * per_rack_;
  return *allowed * per_rack_ - prefill_nodes;
}

std::string PlanLadder::beyond_limits(const PlanSize& size) const {
  const PlanLimits& limits = space_.search.limits;
  // Limits hold while nothing has failed, too: then spares serve and draw power.
  const PlanPrice price = price_plan(base(), with_spares_up(size, group_.config.layout.gpus(), group_.pools ? group_.pools->prefill.layout.gpus() : 0), {});
  const int gpus = limits.gpus.value_or(kMostPlanGpus);
  const bool one = size.replicas() == 1;
  const auto text = [&](const std::string& what) { return fmt::format("{} ({}) {}", counted(size.replicas(), "replica"), counted(size.gpus, "GPU"), what); };
  if (size.gpus > gpus) {
    return text(fmt::format("{} beyond the {} of {}", one ? "is" : "are", counted(gpus, "GPU"), limits.gpus ? "limits.gpus" : "any plan without limits.gpus"));
  }
  if (!space_.search.counts.empty() && size.gpus > space_.search.counts.back()) {
    return text(fmt::format("{} beyond the {} that may be bought", one ? "is" : "are", counted(space_.search.counts.back(), "GPU")));
  }
  if (limits.usd_per_hour && price.usd_per_hour > *limits.usd_per_hour) {
    return text(fmt::format("{} {:.2f} USD/h, beyond limits.budget of {:.2f} USD/h", one ? "costs" : "cost", price.usd_per_hour, *limits.usd_per_hour));
  }
  if (limits.watts && !price.load_w) return text(fmt::format("{} an unknown power, and limits.power is stated", one ? "draws" : "draw"));
  if (limits.watts && *price.load_w > *limits.watts) {
    return text(fmt::format("{} {} at full load, beyond limits.power of {}", one ? "draws" : "draw", watts_text(*price.load_w), watts_text(*limits.watts)));
  }
  for (const ClusterSpec* cluster : {&group_.config.cluster, group_.pools ? &group_.pools->prefill.cluster : nullptr}) {
    if (!limits.racks || cluster == nullptr || !overloads(*cluster, limits.rack_watts)) continue;
    return text(fmt::format("{} nodes of {}, beyond limits.rack_power of {}", one ? "needs" : "need", watts_text(node_watts(*cluster)), watts_text(limits.rack_watts)));
  }
  if (limits.racks && racks(size) > *limits.racks) {
    return text(fmt::format("{} {} of {}, beyond the {} of limits.racks", one ? "fills" : "fill", counted(racks(size), "rack"), counted(per_rack_, "node"), *limits.racks));
  }
  return {};
}

}  // namespace moeplan
