#include "network/flow_network.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {
namespace {

std::vector<double> capacities_of(const Topology& topology, const std::vector<double>& more) {
  std::vector<double> out;
  out.reserve(topology.links().size() + more.size());
  for (const Link& link : topology.links()) out.push_back(link.capacity.value());
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

// What rounding leaves of a transfer whose end was rounded up to a nanosecond.
constexpr double kRestBytes = 1e-3;

}  // namespace

FlowNetwork::FlowNetwork(const Topology& topology) : FlowNetwork(topology, {}) {}

FlowNetwork::FlowNetwork(const Topology& topology, const std::vector<double>& more)
    : paths_(topology), solver_(capacities_of(topology, more)), users_(topology.links().size() + more.size(), 0) {}

TransferId FlowNetwork::start(SimTime now, int from, int to, Bytes bytes, double limit) {
  return start(now, paths_.between(from, to), bytes, limit);
}
TransferId FlowNetwork::start_to_host(SimTime now, int gpu, Bytes bytes, double limit) { return start(now, paths_.to_host(gpu), bytes, limit); }
TransferId FlowNetwork::start_from_host(SimTime now, int gpu, Bytes bytes, double limit) {
  return start(now, paths_.from_host(gpu), bytes, limit);
}

TransferId FlowNetwork::start(SimTime now, std::span<const LinkUse> path, Bytes bytes, double limit) {
  MOEPLAN_CHECK(bytes.value() > 0 && limit > 0);
  settle(now);
  const TransferId id = next_id_++;
  // A path of its own needs no solve, and nobody else's rate changes.
  Transfer transfer{path, limit, path.empty() ? 0.0 : bytes.as_double(), limit};
  if (alone(path, 0) && rated_) {
    for (const LinkUse& use : path) {
      transfer.rate = std::min(transfer.rate, solver_.capacities()[static_cast<std::size_t>(use.link)] / use.share);
    }
  } else {
    changed();
  }
  count(path, 1);
  running_.emplace(id, transfer);
  return id;
}

bool FlowNetwork::cancel(SimTime now, TransferId id) {
  settle(now);
  const auto at = running_.find(id);
  if (at == running_.end()) return false;
  count(at->second.path, -1);
  if (!alone(at->second.path, 0)) changed();
  running_.erase(at);
  return true;
}

SimTime FlowNetwork::next_completion() {
  rate_transfers();
  SimTime next = moeplan::kNever;
  for (const auto& [id, t] : running_) {
    if (t.left <= 0) return now_;
    if (t.rate <= 0) continue;
    const double seconds = t.left / t.rate;
    if (seconds < 9e9) next = std::min(next, now_ + to_sim_time(Seconds(seconds)));
  }
  return next;
}

void FlowNetwork::advance(SimTime now, std::vector<TransferId>& ended) {
  MOEPLAN_CHECK(now <= next_completion());
  settle(now);
  for (auto at = running_.begin(); at != running_.end();) {
    if (at->second.left > 0) {
      ++at;
      continue;
    }
    ended.push_back(at->first);
    count(at->second.path, -1);
    if (!alone(at->second.path, 0)) changed();
    at = running_.erase(at);
  }
}

double FlowNetwork::rate(TransferId id) {
  rate_transfers();
  return running_.at(id).rate;
}

void FlowNetwork::settle(SimTime now) {
  MOEPLAN_CHECK(now >= now_);
  if (now == now_) return;
  rate_transfers();
  const double seconds = to_seconds(now - now_).value();
  for (auto& [id, t] : running_) {
    t.left -= t.rate * seconds;
    if (t.left < kRestBytes + 1e-12 * t.rate) t.left = 0;
  }
  now_ = now;
}

void FlowNetwork::changed() {
  rated_ = false;
  for (Load& load : loads_) load.slowdown.reset();
}

void FlowNetwork::rate_transfers() {
  if (rated_) return;
  rated_ = true;
  if (running_.empty()) return;
  demands_.clear();
  for (const auto& [id, t] : running_) demands_.push_back({t.path, 1.0, t.limit});
  for (const Load& load : loads_) {
    if (load.active && load.mean > 0) demands_.push_back({load.links, 1.0, load.mean});
  }
  const std::span<const double> rates = solver_.solve(demands_);
  ++solves_;
  std::size_t i = 0;
  for (auto& [id, t] : running_) t.rate = rates[i++];
}

void FlowNetwork::count(std::span<const LinkUse> path, int by) {
  for (const LinkUse& use : path) users_[static_cast<std::size_t>(use.link)] += by;
}

bool FlowNetwork::alone(std::span<const LinkUse> path, int own) const {
  return std::all_of(path.begin(), path.end(), [&](const LinkUse& use) { return users_[static_cast<std::size_t>(use.link)] == own; });
}

LoadId FlowNetwork::add_load(std::vector<LinkUse> links) {
  loads_.push_back({std::move(links), false, 0, 0, std::nullopt});
  return static_cast<LoadId>(loads_.size()) - 1;
}

void FlowNetwork::set_load(SimTime now, LoadId id, bool active, double mean, double burst) {
  MOEPLAN_CHECK(mean >= 0 && mean <= burst * (1 + 1e-9));
  settle(now);
  Load& load = loads_.at(static_cast<std::size_t>(id));
  if (load.active == active && load.mean == mean && load.burst == burst) return;
  if (load.active != active) count(load.links, active ? 1 : -1);
  const bool shared = !alone(load.links, active ? 1 : 0);
  load.active = active;
  load.mean = mean;
  load.burst = burst;
  load.slowdown.reset();
  if (shared) changed();
}

double FlowNetwork::slowdown(LoadId id) {
  Load& load = loads_.at(static_cast<std::size_t>(id));
  if (load.slowdown) return *load.slowdown;
  double factor = 1.0;
  if (load.burst > 0 && !load.links.empty() && !alone(load.links, load.active ? 1 : 0)) {
    const double shared = rate_of_load(load, false);
    const double lone = rate_of_load(load, true);
    MOEPLAN_CHECK(shared > 0);
    factor = std::max(1.0, lone / shared);
  }
  load.slowdown = factor;
  return factor;
}

double FlowNetwork::rate_of_load(const Load& subject, bool alone) {
  demands_.clear();
  demands_.push_back({subject.links, 1.0, subject.burst});
  if (!alone) {
    for (const auto& [id, t] : running_) demands_.push_back({t.path, 1.0, t.limit});
    for (const Load& load : loads_) {
      if (&load != &subject && load.active && load.mean > 0) demands_.push_back({load.links, 1.0, load.mean});
    }
  }
  ++solves_;
  return solver_.solve(demands_).front();
}

}  // namespace moeplan
