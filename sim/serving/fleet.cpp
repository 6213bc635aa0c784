#include "serving/fleet.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "serving/fleet_run.hpp"

namespace moeplan {

Fleet::Fleet(const FleetConfig& config, std::span<const FleetService> services, std::uint64_t seed)
    : topology_(*config.topology),
      failure_config_(config.failures),
      failures_(config.failures, config.topology->nodes(), seed),
      loads_(*config.topology, config.bandwidths) {
  LoadId loads = 0;
  for (std::size_t k = 0; k < services.size(); ++k) {
    FleetMembers& members = services_.emplace_back(services[k], seed + k);
    together_ |= services[k].source->closed();
    if (services[k].collectives.empty()) continue;
    together_ = true;
    members.sharing = LinkSharing(&loads_.network(), loads);
    for (const auto& links : services[k].collectives) loads_.network().add_load(links);
    loads += static_cast<LoadId>(services[k].collectives.size());
  }
  look_ahead();
}


void Fleet::end() {
  release_drained(SimTime{0});
  for (FleetMembers& s : services_) s.end();
}

void Fleet::run() {
  for (;;) {
    SimTime next = std::min(next_arrival(), next_control_);
    if (together_) {
      next = std::min(next, next_step_end());
      if (next == kNever || (quiet() && !any_work())) return;
    } else if (quiet()) {
      // Nobody else comes: they run on by themselves to whatever is next.
      advance_all(next);
      if (!any_work()) return;
    }
    instant(next);
  }
}

SimTime Fleet::next_arrival() const {
  SimTime next = kNever;
  for (const FleetMembers& s : services_) next = std::min(next, s.arrivals.next_time());
  return next;
}

SimTime Fleet::next_step_end() {
  SimTime next = kNever;
  for (FleetMembers& s : services_) {
    for (const FleetMembers::Place& p : s.places()) {
      if (p.replica) next = std::min(next, p.replica->step_end());
    }
  }
  return next;
}

bool Fleet::quiet() const {
  if (!retries_.empty() || next_arrival() != kNever) return false;
  return std::all_of(services_.begin(), services_.end(), [](const FleetMembers& s) { return s.in_front.empty(); });
}

bool Fleet::any_work() {
  for (FleetMembers& s : services_) {
    for (const FleetMembers::Place& p : s.places()) {
      if (p.replica && p.replica->has_work()) return true;
    }
  }
  return false;
}

void Fleet::look_ahead() {
  next_control_ = std::min(failures_.next_time(), loads_.next_completion());
  if (!engines_.empty()) next_control_ = std::min(next_control_, engines_.begin()->first);
  if (!retries_.empty()) next_control_ = std::min(next_control_, retries_.begin()->first);
  for (const FleetMembers& s : services_) next_control_ = std::min(next_control_, s.next_evaluation);
}

void Fleet::advance_all(SimTime now) {
  for (FleetMembers& s : services_) {
    for (FleetMembers::Place& p : s.places()) {
      if (p.replica) p.replica->advance_to(now);
    }
  }
}

// Everything that happens at `now`: steps complete, nodes fail or come back, starts end, requests arrive, the fleet is weighed, steps are decided.
void Fleet::instant(SimTime now) {
  if (together_) complete_steps(now);
  const bool due = next_control_ <= now;
  if (due) control(now);
  for (FleetMembers& s : services_) {
    while (s.arrivals.next_time() == now) {
      const auto again = s.arrivals.pop_again(now);
      again ? deliver(s, *again, now) : arrive(s, *s.arrivals.pop());
    }
  }
  if (due) {
    for (std::size_t k = 0; k < services_.size(); ++k) {
      if (services_[k].next_evaluation <= now) evaluate(services_[k], now);
      adjust(k, now);
    }
    release_drained(now);
  }
  if (together_) start_steps(now);
  if (due || !retries_.empty()) look_ahead();
}

void Fleet::control(SimTime now) {
  change_nodes(now);
  finish_starts(now);
  send_in_front(now);
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const Retry retry = retries_.begin()->second;
    retries_.erase(retries_.begin());
    deliver(services_[retry.service], retry.spec, now);
  }
}

void Fleet::complete_steps(SimTime now) {
  for (FleetMembers& s : services_) {
    for (FleetMembers::Place& p : s.places()) {
      if (!p.replica) continue;
      if (p.replica->step_end() == now) p.replica->complete_step();
      for (const Replica::Completion& done : p.replica->completions()) s.config().source->on_finished(done.id, done.seen_at);
      p.replica->completions().clear();
    }
    s.arrivals.refresh();
  }
  release_drained(now);
}

void Fleet::start_steps(SimTime now) {
  for (FleetMembers& s : services_) {
    if (s.sharing.on()) {
      members_.clear();
      for (const FleetMembers::Place& p : s.places()) members_.push_back(p.replica.get());
      s.sharing.update(now, members_);
    }
    for (FleetMembers::Place& p : s.places()) {
      if (p.replica && p.replica->step_end() == kNever && p.replica->has_work()) p.replica->start_step();
    }
  }
}

void Fleet::arrive(FleetMembers& s, const RequestSpec& spec) {
  s.config().observer->on_arrival(spec);
  if (const auto reason = s.refuses(spec)) {
    reject(s, spec, *reason, spec.arrival);
    return;
  }
  deliver(s, spec, spec.arrival);
}

void Fleet::deliver(FleetMembers& s, const RequestSpec& spec, SimTime now) {
  if (!s.serves()) {
    s.in_front.push_back(spec);
    return;
  }
  Replica& replica = s.route(spec, now, !together_);
  if (!replica.queue_full(spec)) {
    replica.enqueue(spec, now);
  } else if (s.arrivals.turned_away(spec, now)) {
    s.config().observer->on_turned_away(spec, now);
  } else {
    reject(s, spec, RejectReason::kQueueFull, now);
  }
}

void Fleet::send_in_front(SimTime now) {
  for (FleetMembers& s : services_) {
    while (s.serves() && !s.in_front.empty()) {
      const RequestSpec spec = s.in_front.front();
      s.in_front.pop_front();
      deliver(s, spec, now);
    }
  }
}

void Fleet::reject(FleetMembers& s, const RequestSpec& spec, RejectReason reason, SimTime now) {
  s.config().observer->on_rejected(spec, reason, now);
  s.last = std::max(s.last, now);
  s.config().source->on_finished(spec.id, now);
  s.arrivals.refresh();
}

void simulate(const FleetConfig& config, std::span<const FleetService> services, std::uint64_t seed) {
  MOEPLAN_CHECK(config.topology != nullptr && !services.empty());
  Fleet fleet(config, services, seed);
  fleet.run();
  fleet.end();
}

}  // namespace moeplan
