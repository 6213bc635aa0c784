#include "serving/cluster.hpp"

#include <algorithm>
#include <deque>
#include <vector>

#include "base/error.hpp"
#include "events/event_queue.hpp"
#include "serving/arrivals.hpp"
#include "serving/link_sharing.hpp"
#include "serving/step_ends.hpp"

namespace moeplan {
namespace {

class Cluster {
 public:
  Cluster(const ClusterConfig& config, const StepCost& cost, RequestSource& source, Observer& observer, std::uint64_t seed)
      : source_(source), observer_(observer), arrivals_(source), router_(config.routing, seed), links_(config.network) {
    MOEPLAN_CHECK(config.replicas > 0);
    ReplicaConfig replica = config.replica;
    replica.keep_completions = source.closed();
    for (int i = 0; i < config.replicas; ++i) replicas_.emplace_back(i, replica, cost, observer, seed);
    outstanding_.assign(replicas_.size(), 0);
  }

  void run_open();
  void run_closed();
  void run_step_by_step();
  void end() {
    SimTime last = last_rejection_;
    for (const Replica& replica : replicas_) {
      MOEPLAN_CHECK(!replica.has_work());
      last = std::max(last, replica.last_seen());
    }
    for (const Replica& replica : replicas_) report_end(replica, observer_);
    observer_.on_end(last);
  }

 private:
  [[nodiscard]] bool accepts(const RequestSpec& spec);
  Replica& route(const RequestSpec& spec);
  void enqueue(Replica& replica, const RequestSpec& spec, SimTime now);
  void reject(const RequestSpec& spec, RejectReason reason);
  void run_alone(Replica& replica, SimTime limit);
  void instant(SimTime now);
  void complete_steps(SimTime now);
  void deliver_next(SimTime now);
  void schedule_next_arrival(EventQueue& events);
  void schedule_decision(EventQueue& events, std::size_t replica);

  RequestSource& source_;
  Observer& observer_;
  Arrivals arrivals_;
  RequestRouter router_;
  EventKey arrival_event_;  ///< step by step only
  LinkSharing links_;
  std::deque<Replica> replicas_;
  std::vector<std::int64_t> outstanding_;
  SimTime last_rejection_{0};
};

bool Cluster::accepts(const RequestSpec& spec) {
  observer_.on_arrival(spec);
  const auto reason = replicas_.front().refuses(spec);
  if (reason) reject(spec, *reason);
  return !reason;
}

// The replica that takes `spec`. Replicas must stand at the present time where the router looks.
Replica& Cluster::route(const RequestSpec& spec) {
  if (router_.reads_state()) {
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
      outstanding_[i] = replicas_[i].outstanding_tokens();
      if (router_.reads_prefixes() && replicas_[i].kv_reuse() != nullptr) outstanding_[i] -= replicas_[i].kv_reuse()->on_gpu(spec);
    }
  }
  return replicas_[router_.pick(outstanding_)];
}

// The replica stands at `now`.
void Cluster::enqueue(Replica& replica, const RequestSpec& spec, SimTime now) {
  if (!replica.queue_full(spec)) {
    replica.enqueue(spec, now);
  } else if (arrivals_.turned_away(spec, now)) {
    observer_.on_turned_away(spec, now);
  } else {
    reject(spec, RejectReason::kQueueFull);
  }
}

void Cluster::reject(const RequestSpec& spec, RejectReason reason) {
  observer_.on_rejected(spec, reason, spec.arrival);
  last_rejection_ = spec.arrival;
  source_.on_finished(spec.id, spec.arrival);
  arrivals_.refresh();
}

void Cluster::run_open() {
  while (const auto spec = arrivals_.pop()) {
    if (router_.reads_state()) {
      for (Replica& replica : replicas_) replica.advance_to(spec->arrival);
    }
    if (!accepts(*spec)) continue;
    Replica& replica = route(*spec);
    replica.advance_to(spec->arrival);
    enqueue(replica, *spec, spec->arrival);
  }
  for (Replica& replica : replicas_) replica.advance_to(kNever);
}

void Cluster::run_closed() {
  for (;;) {
    const std::size_t chosen = next_to_end(replicas_);
    if (chosen < replicas_.size()) {
      run_alone(replicas_[chosen], std::min(arrivals_.next_time(), next_end_beside(replicas_, chosen)));
      if (!replicas_[chosen].completions().empty()) {
        instant(replicas_[chosen].clock());
        continue;
      }
    }
    SimTime next = arrivals_.next_time();
    for (const Replica& replica : replicas_) next = std::min(next, replica.step_end());
    if (next == kNever) return;
    instant(next);
  }
}

// Steps that nothing outside can touch and that cause nothing outside: those that end before `limit`, up to the first completion.
void Cluster::run_alone(Replica& replica, SimTime limit) {
  while (replica.step_end() < limit) {
    replica.complete_step();
    if (!replica.completions().empty()) return;
    if (replica.start_step()) continue;
    links_.update(replica.clock(), replicas_);
    return;
  }
}

// Everything that happens at `now`: steps complete, requests arrive, steps are decided.
void Cluster::instant(SimTime now) {
  complete_steps(now);
  while (arrivals_.next_time() == now) deliver_next(now);
  links_.update(now, replicas_);
  for (Replica& replica : replicas_) {
    if (replica.step_end() == kNever && replica.has_work()) replica.start_step();
  }
}

// In the order of replicas, whatever order their steps began in, so that a closed source is told the same story every time.
void Cluster::complete_steps(SimTime now) {
  for (Replica& replica : replicas_) {
    if (replica.step_end() == now) replica.complete_step();
    for (const Replica::Completion& done : replica.completions()) source_.on_finished(done.id, done.seen_at);
    replica.completions().clear();
  }
  arrivals_.refresh();
}

// Who comes again goes before who comes for the first time.
void Cluster::deliver_next(SimTime now) {
  auto spec = arrivals_.pop_again(now);
  if (!spec) {
    spec = arrivals_.pop();
    if (!accepts(*spec)) return;
  }
  enqueue(route(*spec), *spec, now);
}

void Cluster::run_step_by_step() {
  EventQueue events;
  schedule_next_arrival(events);
  while (!events.empty()) {
    const Event event = events.pop();
    const auto target = static_cast<std::size_t>(event.target);
    switch (event.phase) {
      case EventPhase::kComplete:
        complete_steps(event.time);
        schedule_next_arrival(events);
        schedule_decision(events, target);
        break;
      case EventPhase::kArrive:
        deliver_next(event.time);
        schedule_next_arrival(events);
        for (std::size_t i = 0; i < replicas_.size(); ++i) schedule_decision(events, i);
        break;
      case EventPhase::kDecide:
        if (replicas_[target].step_end() == kNever && replicas_[target].start_step()) {
          events.schedule(replicas_[target].step_end(), EventPhase::kComplete, 0, target);
        }
        break;
    }
  }
}

// A completion may have decided an arrival before the one that was next.
void Cluster::schedule_next_arrival(EventQueue& events) {
  events.cancel(arrival_event_);
  if (arrivals_.next_time() != kNever) arrival_event_ = events.schedule(arrivals_.next_time(), EventPhase::kArrive, 0, 0);
}

void Cluster::schedule_decision(EventQueue& events, std::size_t replica) {
  if (replicas_[replica].step_end() == kNever && replicas_[replica].has_work())
    events.schedule(events.now(), EventPhase::kDecide, 0, replica);
}

}  // namespace

void simulate(const ClusterConfig& config, const StepCost& cost, RequestSource& source, Observer& observer, std::uint64_t seed) {
  Cluster cluster(config, cost, source, observer, seed);
  if (config.step_by_step) {
    cluster.run_step_by_step();
  } else if (source.closed() || config.network != nullptr) {
    // Replicas that share links touch each other: everything happens in the order of time.
    cluster.run_closed();
  } else {
    cluster.run_open();
  }
  cluster.end();
}

}  // namespace moeplan
