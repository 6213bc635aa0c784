#include "serving/fleet_service.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

namespace {

ReplicaConfig member_config(const FleetService& service) {
  ReplicaConfig config = service.replica;
  config.keep_completions = service.source->closed();
  return config;
}

ReplicaPhase phase_of(FleetMembers::State state) {
  return state == FleetMembers::State::kStarting ? ReplicaPhase::kStarting
         : state == FleetMembers::State::kServing ? ReplicaPhase::kServing
                                                  : ReplicaPhase::kDraining;
}

}  // namespace

FleetMembers::FleetMembers(const FleetService& config, std::uint64_t seed)
    : arrivals(*config.source),
      wanted(config.replicas),
      config_(config),
      seed_(seed),
      replica_config_(member_config(config)),
      probe_(0, replica_config_, *config.cost, *config.observer, seed),
      router_(config.routing, seed),
      places_(config.first_gpu.size()),
      copies_(config.first_gpu.size(), 0) {
  MOEPLAN_CHECK(config.replicas >= 0 && static_cast<std::size_t>(config.replicas) <= places_.size());
  for (int i = 0; i < config.replicas; ++i) {
    begin(static_cast<std::size_t>(i), SimTime{0});
    serve(static_cast<std::size_t>(i), SimTime{0});
  }
  if (config.autoscaling) {
    MOEPLAN_CHECK(static_cast<std::size_t>(config.autoscaling->max_replicas) <= places_.size());
    autoscaler.emplace(*config.autoscaling);
    next_evaluation = to_sim_time(config.autoscaling->period);
  }
}

// Every replica begun in a place has streams of its own; the first ones those of a cluster.
std::unique_ptr<Replica> FleetMembers::make(std::size_t place) {
  const std::uint64_t seed = seed_ + 0x9E3779B97F4A7C15ULL * (places_[place].starts - 1);
  return std::make_unique<Replica>(static_cast<std::int32_t>(place), replica_config_, *config_.cost, *config_.observer, seed);
}

void FleetMembers::enter(std::size_t place, State state, SimTime now) {
  Place& p = places_[place];
  if (p.state != State::kFree && p.since < now) config_.observer->on_replica_phase({static_cast<std::int32_t>(place), phase_of(p.state), p.since, now, p.state != State::kStarting || state == State::kServing});
  const auto counts = [](State s) { return s == State::kStarting || s == State::kServing ? 1 : 0; };
  count_ += counts(state) - counts(p.state);
  const bool changes = (p.state == State::kServing) != (state == State::kServing);
  p.state = state;
  p.since = now;
  report.peak_replicas = std::max(report.peak_replicas, count_);
  if (!changes) return;
  serving_.clear();
  for (const Place& each : places_) {
    if (each.state == State::kServing) serving_.push_back(each.replica.get());
  }
}

void FleetMembers::begin(std::size_t place, SimTime now) {
  MOEPLAN_CHECK(places_[place].state == State::kFree);
  ++places_[place].starts;
  copies_[place] = 0;
  enter(place, State::kStarting, now);
}

void FleetMembers::serve(std::size_t place, SimTime now) {
  MOEPLAN_CHECK(places_[place].state == State::kStarting);
  places_[place].replica = make(place);
  places_[place].replica->wake(now);
  enter(place, State::kServing, now);
}

void FleetMembers::drain(std::size_t place, SimTime now) {
  MOEPLAN_CHECK(places_[place].state == State::kServing);
  enter(place, State::kDraining, now);
}

void FleetMembers::vacate(std::size_t place, SimTime now) {
  Place& p = places_[place];
  enter(place, State::kFree, std::max(p.since, now));
  p.loading = false;
  if (!p.replica) return;
  last = std::max(last, p.replica->last_seen());
  report_end(*p.replica, *config_.observer);
  p.replica.reset();
}

Replica& FleetMembers::route(const RequestSpec& spec, SimTime now, bool advance) {
  outstanding_.assign(serving_.size(), 0);
  if (router_.reads_state()) {
    for (std::size_t i = 0; i < serving_.size(); ++i) {
      Replica& replica = *serving_[i];
      if (advance) replica.advance_to(now);
      outstanding_[i] = replica.outstanding_tokens();
      if (router_.reads_prefixes() && replica.kv_reuse() != nullptr) outstanding_[i] -= replica.kv_reuse()->on_gpu(spec);
    }
  }
  Replica& chosen = *serving_[router_.pick(outstanding_)];
  if (advance) chosen.advance_to(now);
  return chosen;
}

double FleetMembers::load(ScaleMetric metric) const {
  double sum = 0;
  for (const Replica* replica : serving_) {
    switch (metric) {
      case ScaleMetric::kOutstandingRequests: sum += replica->requests(); break;
      case ScaleMetric::kOutstandingTokens: sum += static_cast<double>(replica->outstanding_tokens()); break;
      case ScaleMetric::kQueuedRequests: sum += replica->waiting_requests(); break;
      case ScaleMetric::kKvUse: sum += replica->kv_cache().used() / replica->kv_cache().capacity(); break;
    }
  }
  if (metric == ScaleMetric::kOutstandingTokens) {
    for (const RequestSpec& spec : in_front) sum += spec.prompt_tokens + spec.output_tokens;
  } else if (metric != ScaleMetric::kKvUse) {
    sum += static_cast<double>(in_front.size());
  }
  return sum;
}

std::size_t FleetMembers::least_needed() const {
  std::size_t best = places_.size();
  for (std::size_t i = places_.size(); i-- > 0;) {
    if (places_[i].state == State::kStarting) return i;
    if (places_[i].state != State::kServing) continue;
    if (best == places_.size() || places_[i].replica->outstanding_tokens() < places_[best].replica->outstanding_tokens()) best = i;
  }
  MOEPLAN_CHECK(best < places_.size());
  return best;
}

std::optional<std::size_t> FleetMembers::peer_for(std::size_t place) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (i == place || places_[i].state != State::kServing) continue;
    if (!best || copies_[i] < copies_[*best]) best = i;
  }
  if (best) ++copies_[*best];
  return best;
}

void FleetMembers::end() {
  for (const Place& p : places_) {
    if (p.replica) last = std::max(last, p.replica->last_seen());
  }
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].replica) MOEPLAN_CHECK(!places_[i].replica->has_work());
    if (places_[i].state != State::kFree) vacate(i, last);
  }
  config_.observer->on_fleet_end(report);
  config_.observer->on_end(last);
}

}  // namespace moeplan
