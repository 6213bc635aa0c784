// How a fleet changes: nodes fail and come back, replicas start, load their weights, serve, drain.
#include <algorithm>

#include "base/error.hpp"
#include "serving/fleet_run.hpp"

namespace moeplan {

using State = FleetMembers::State;

void Fleet::change_nodes(SimTime now) {
  while (failures_.next_time() <= now) {
    const NodeFailures::Event event = failures_.pop();
    if (event.up) continue;  // adjust() finds its places usable again
    for (std::size_t k = 0; k < services_.size(); ++k) fail(k, event.node, now);
  }
}

void Fleet::fail(std::size_t service, int node, SimTime now) {
  FleetMembers& s = services_[service];
  bool hit = false;
  for (std::size_t i = 0; i < s.places().size(); ++i) {
    FleetMembers::Place& p = s.places()[i];
    const GpuRange gpus = s.gpus_of(i);
    if (p.state == State::kFree || node < topology_.node_of(gpus.first) || node > topology_.node_of(gpus.first + gpus.count - 1)) continue;
    hit = true;
    if (p.state == State::kStarting) {
      cancel_start(service, i, now);
      continue;
    }
    if (!together_) p.replica->advance_to(now);
    const std::vector<AbandonedRequest> lost = p.replica->in_flight();
    s.vacate(i, now);
    for (const AbandonedRequest& request : lost) lose(service, request, static_cast<std::int32_t>(i), now);
  }
  if (hit) ++s.report.node_failures;
}

void Fleet::lose(std::size_t service, const AbandonedRequest& lost, std::int32_t replica, SimTime now) {
  FleetMembers& s = services_[service];
  const int attempt = ++s.attempts[lost.spec.id];
  const bool again = attempt <= failure_config_.retries;
  s.config().observer->on_lost({lost.spec, replica, lost.computed_tokens, lost.output_tokens, again}, now);
  if (again) {
    retries_.emplace(now + to_sim_time(failure_config_.wait_before(attempt)), Retry{service, lost.spec});
    return;
  }
  s.config().observer->on_failed(lost.spec, now);
  s.last = std::max(s.last, now);
  s.config().source->on_finished(lost.spec.id, now);
  s.arrivals.refresh();
}

bool Fleet::usable(const FleetMembers& s, std::size_t place) const {
  const GpuRange gpus = s.gpus_of(place);
  for (int node = topology_.node_of(gpus.first); node <= topology_.node_of(gpus.first + gpus.count - 1); ++node) {
    if (failures_.down(node)) return false;
  }
  return true;
}

bool Fleet::current(const Start& start) {
  const FleetMembers::Place& p = services_[start.service].places()[start.place];
  return p.state == State::kStarting && p.starts == start.number;
}

void Fleet::finish_starts(SimTime now) {
  while (!engines_.empty() && engines_.begin()->first <= now) {
    const Start start = engines_.begin()->second;
    engines_.erase(engines_.begin());
    if (current(start)) load_weights(start, now);
  }
  if (loads_.next_completion() > now) return;
  ended_.clear();
  loads_.advance(now, ended_);
  for (const TransferId id : ended_) {
    const auto at = weights_.find(id);
    const Start start = at->second;
    weights_.erase(at);
    serve(start, now);
  }
}

void Fleet::load_weights(const Start& start, SimTime now) {
  FleetMembers& s = services_[start.service];
  const ColdStart& cold = s.config().cold_start;
  if (cold.weights.value() == 0) {
    serve(start, now);
    return;
  }
  std::optional<GpuRange> peer;
  if (cold.source == WeightSource::kPeer) {
    if (const auto other = s.peer_for(start.place)) peer = s.gpus_of(*other);
  }
  FleetMembers::Place& p = s.places()[start.place];
  p.loading = true;
  p.load = loads_.start(now, cold.source, cold.weights, s.gpus_of(start.place), peer);
  weights_.emplace(p.load, start);
}

void Fleet::serve(const Start& start, SimTime now) {
  FleetMembers& s = services_[start.service];
  s.places()[start.place].loading = false;
  s.serve(start.place, now);
}

void Fleet::evaluate(FleetMembers& s, SimTime now) {
  if (!together_) {
    for (FleetMembers::Place& p : s.places()) {
      if (p.replica) p.replica->advance_to(now);
    }
  }
  const AutoscalingConfig& config = s.autoscaler->config();
  const int wanted = s.autoscaler->decide(now, s.load(config.metric), s.count(), !s.in_front.empty());
  s.more_wanted = wanted > s.count();
  if (wanted < s.count()) ++s.report.scale_downs;
  s.wanted = wanted;
  s.next_evaluation = now + to_sim_time(config.period);
}

// Starts and stops replicas until there are as many as wanted, as far as there are places.
void Fleet::adjust(std::size_t service, SimTime now) {
  FleetMembers& s = services_[service];
  for (std::size_t i = 0; i < s.places().size() && s.count() < s.wanted; ++i) {
    if (s.places()[i].state != State::kFree || !usable(s, i)) continue;
    // What finds no place changes nothing.
    if (s.more_wanted) ++s.report.scale_ups;
    s.more_wanted = false;
    s.begin(i, now);
    engines_.emplace(now + to_sim_time(s.config().cold_start.start), Start{service, i, s.places()[i].starts});
  }
  while (s.count() > s.wanted) {
    const std::size_t place = s.least_needed();
    if (s.places()[place].state == State::kStarting) {
      cancel_start(service, place, now);
    } else {
      s.drain(place, now);
    }
  }
}

void Fleet::cancel_start(std::size_t service, std::size_t place, SimTime now) {
  FleetMembers& s = services_[service];
  FleetMembers::Place& p = s.places()[place];
  if (p.loading) {
    loads_.cancel(now, p.load);
    weights_.erase(p.load);
  }
  s.vacate(place, now);
}

void Fleet::release_drained(SimTime now) {
  for (FleetMembers& s : services_) {
    for (std::size_t i = 0; i < s.places().size(); ++i) {
      FleetMembers::Place& p = s.places()[i];
      if (p.state != State::kDraining) continue;
      if (!together_) p.replica->advance_to(now);
      if (!p.replica->has_work() && p.replica->step_end() == kNever) s.vacate(i, p.replica->clock());
    }
  }
}

}  // namespace moeplan
