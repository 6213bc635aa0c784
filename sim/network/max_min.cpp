#include "network/max_min.hpp"

#include <algorithm>
#include <functional>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kOpen = -1.0;  // rate of a flow that still rises

}  // namespace

MaxMinSolver::MaxMinSolver(std::vector<double> capacities) : capacities_(std::move(capacities)), links_(capacities_.size()) {
  for (const double c : capacities_) MOEPLAN_CHECK(c >= 0);
}

double MaxMinSolver::full_at(const LinkState& link) { return link.still == 0 ? kNever : std::max(0.0, link.left) / link.rising; }

void MaxMinSolver::index_users(std::span<const FlowDemand> flows) {
  for (const std::int32_t link : touched_) links_[static_cast<std::size_t>(link)] = {};
  touched_.clear();
  std::size_t uses = 0;
  for (const FlowDemand& flow : flows) {
    MOEPLAN_CHECK(flow.weight > 0 && flow.limit > 0);
    for (const LinkUse& use : flow.path) {
      MOEPLAN_CHECK(use.link >= 0 && static_cast<std::size_t>(use.link) < links_.size() && use.share > 0);
      LinkState& link = links_[static_cast<std::size_t>(use.link)];
      if (link.count == 0) touched_.push_back(use.link);
      ++link.count;
      link.rising += use.share * flow.weight;
      ++uses;
    }
  }
  std::uint32_t next = 0;
  for (const std::int32_t id : touched_) {
    LinkState& link = links_[static_cast<std::size_t>(id)];
    link.left = capacities_[static_cast<std::size_t>(id)];
    link.first = next;
    next += link.count;
  }
  users_.resize(uses);
  share_of_.resize(uses);
  for (std::uint32_t f = 0; f < flows.size(); ++f) {
    for (const LinkUse& use : flows[f].path) {
      LinkState& link = links_[static_cast<std::size_t>(use.link)];
      share_of_[link.first + link.still] = use.share;
      users_[link.first + link.still++] = f;
    }
  }
}

void MaxMinSolver::fix(std::span<const FlowDemand> flows, std::uint32_t flow, double rate) {
  rates_[flow] = rate;
  for (const LinkUse& use : flows[flow].path) {
    LinkState& link = links_[static_cast<std::size_t>(use.link)];
    link.left -= rate * use.share;
    link.rising -= use.share * flows[flow].weight;
    --link.still;
  }
}

double MaxMinSolver::rising_of(std::span<const FlowDemand> flows, std::int32_t id) const {
  const LinkState& link = links_[static_cast<std::size_t>(id)];
  double sum = 0;
  for (std::uint32_t i = 0; i < link.count; ++i) {
    const std::uint32_t f = users_[link.first + i];
    if (rates_[f] == kOpen) sum += share_of_[link.first + i] * flows[f].weight;
  }
  return sum;
}

std::span<const double> MaxMinSolver::solve(std::span<const FlowDemand> flows) {
  index_users(flows);
  rates_.assign(flows.size(), kOpen);
  by_limit_.clear();
  for (std::uint32_t f = 0; f < flows.size(); ++f) {
    if (flows[f].path.empty()) {
      rates_[f] = flows[f].limit;
    } else if (flows[f].limit < kNever) {
      by_limit_.push_back(f);
    }
  }
  const auto level_of = [&](std::uint32_t f) { return flows[f].limit / flows[f].weight; };
  std::sort(by_limit_.begin(), by_limit_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return level_of(a) != level_of(b) ? level_of(a) < level_of(b) : a < b; });
  heap_.clear();
  for (const std::int32_t link : touched_) heap_.push_back({full_at(links_[static_cast<std::size_t>(link)]), link});
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>{});

  std::size_t limited = 0;
  while (true) {
    while (limited < by_limit_.size() && rates_[by_limit_[limited]] != kOpen) ++limited;
    const double next_limit = limited < by_limit_.size() ? level_of(by_limit_[limited]) : kNever;
    if (heap_.empty() && next_limit == kNever) break;
    if (heap_.empty() || next_limit <= heap_.front().level) {
      fix(flows, by_limit_[limited], flows[by_limit_[limited]].limit);
      ++limited;
      continue;
    }
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
    const Full at = heap_.back();
    heap_.pop_back();
    LinkState& link = links_[static_cast<std::size_t>(at.link)];
    if (link.still == 0) continue;
    // Flows fixed below this level have left room: a link fills later than it seemed to, never earlier.
    double level = full_at(link);
    if (level <= at.level) {
      // The running difference has lost digits to rounding; count anew before flows are fixed by it.
      link.rising = rising_of(flows, at.link);
      level = full_at(link);
    }
    if (level > at.level) {
      heap_.push_back({level, at.link});
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
      continue;
    }
    for (std::uint32_t i = 0; i < link.count; ++i) {
      const std::uint32_t f = users_[link.first + i];
      if (rates_[f] == kOpen) fix(flows, f, at.level * flows[f].weight);
    }
  }
  return rates_;
}

}  // namespace moeplan
