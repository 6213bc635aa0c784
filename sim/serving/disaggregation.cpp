#include "serving/disaggregation.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "serving/pools_run.hpp"
#include "serving/step_ends.hpp"

namespace moeplan {

Pools::Pools(const DisaggregatedConfig& config, const StepCost& prefill_cost, const StepCost& decode_cost, RequestSource& source, Observer& observer,
             std::uint64_t seed)
    : config_(config),
      seed_(seed),
      source_(source),
      observer_(observer),
      arrivals_(source),
      prefill_router_(config.prefill.routing, seed),
      decode_router_(config.decode.routing, seed + 1),
      prefills_(static_cast<std::size_t>(config.prefill.replicas)) {
  add(config.prefill, prefill_cost, true);
  add(config.decode, decode_cost, false);
  if (!config.failures.on()) {
    if (config.topology != nullptr) network_.emplace(*config.topology);
    return;
  }
  MOEPLAN_CHECK(config.topology != nullptr);
  failures_.emplace(config.failures, config.topology->nodes(), seed);
  loads_.emplace(*config.topology, config.bandwidths);
  places_.resize(replicas_.size());
  report_.peak_replicas = static_cast<std::int32_t>(replicas_.size());
  look_ahead_control();
}

void Pools::add(const ServingPool& pool, const StepCost& cost, bool hands_over) {
  MOEPLAN_CHECK(pool.replicas > 0);
  ReplicaConfig replica = pool.replica;
  replica.keep_completions = source_.closed();
  replica.hands_over = hands_over;
  if (hands_over) replica.scheduler.admission_output_reserve = 0;  // outputs are written elsewhere
  replica.takes_over = !hands_over;
  replica_configs_.push_back(replica);
  costs_.push_back(&cost);
  probes_.emplace_back(0, replica, cost, observer_, seed_);
  for (int i = 0; i < pool.replicas; ++i) {
    const auto index = static_cast<std::int32_t>(replicas_.size());
    replicas_.emplace_back(std::in_place, index, replica, cost, observer_, seed_);
  }
}

void Pools::run() {
  for (;;) {
    const std::size_t chosen = next_to_end(replicas_);
    SimTime next = std::min({arrivals_.next_time(), next_transfer_, next_control_});
    if (chosen < replicas_.size()) {
      Replica& replica = *replicas_[chosen];
      const SimTime limit = std::min(next, next_end_beside(replicas_, chosen));
      if (chosen >= prefills_ && pending_.empty() && run_alone(replica, limit)) continue;
      next = std::min(limit, replica.step_end());
      if (!replica.completions().empty()) next = replica.clock();
    } else if (next == next_control_ && idle()) {
      break;
    }
    if (next == kNever) break;
    instant(next);
  }
}

// Steps of a decode replica that nothing outside can touch and that cause nothing outside; false when none was run.
bool Pools::run_alone(Replica& replica, SimTime limit) {
  bool ran = false;
  while (replica.step_end() < limit) {
    replica.complete_step();
    ran = true;
    if (!replica.completions().empty() || !replica.start_step()) break;
  }
  return ran && replica.completions().empty();
}

// Everything that happens at `now`: steps complete, KV arrives, nodes fail and replicas come back, requests arrive, finished prefills find their
// decode replica, steps are decided.
void Pools::instant(SimTime now) {
  complete_steps(now);
  complete_transfers(now);
  if (next_control_ <= now) control(now);
  while (arrivals_.next_time() == now) {
    const auto again = arrivals_.pop_again(now);
    again ? deliver(*again, now) : arrive(*arrivals_.pop(), now);
  }
  place(now);
  for (std::optional<Replica>& replica : replicas_) {
    if (replica && replica->step_end() == kNever && replica->has_work()) {
      replica->wake(now);
      replica->start_step();
    }
  }
}

void Pools::complete_steps(SimTime now) {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (!replicas_[i]) continue;
    Replica& replica = *replicas_[i];
    if (replica.step_end() == now) replica.complete_step();
    for (const Replica::Completion& done : replica.completions()) source_.on_finished(done.id, done.seen_at);
    replica.completions().clear();
    for (const HandOff& hand_off : replica.hand_offs()) pending_.push_back({i, hand_off});
    replica.hand_offs().clear();
  }
  arrivals_.refresh();
}

// Among the replicas of a pool that serve; nothing when none does.
std::optional<std::size_t> Pools::pick(RequestRouter& router, bool decode, const RequestSpec& spec) {
  load_.clear();
  serving_.clear();
  for (std::size_t i = decode ? prefills_ : 0; i < (decode ? replicas_.size() : prefills_); ++i) {
    if (!replicas_[i]) continue;
    std::int64_t load = replicas_[i]->outstanding_tokens();
    if (router.reads_prefixes() && replicas_[i]->kv_reuse() != nullptr) load -= replicas_[i]->kv_reuse()->on_gpu(spec);
    load_.push_back(load);
    serving_.push_back(i);
  }
  if (load_.empty()) return std::nullopt;
  return serving_[router.pick(load_)];
}

void Pools::arrive(const RequestSpec& spec, SimTime now) {
  observer_.on_arrival(spec);
  auto refusal = probes_[1].refuses(spec);
  if (!refusal && !stays(spec)) {
    RequestSpec prompt = spec;
    prompt.output_tokens = 1;
    refusal = probes_[0].refuses(prompt);
  }
  if (refusal) {
    reject(spec, *refusal, now);
  } else {
    deliver(spec, now);
  }
}

void Pools::deliver(const RequestSpec& spec, SimTime now) {
  const auto to = pick(stays(spec) ? decode_router_ : prefill_router_, stays(spec), spec);
  if (!to) {
    in_front_.push_back(spec);
    return;
  }
  Replica& replica = *replicas_[*to];
  if (!replica.queue_full(spec)) {
    replica.enqueue(spec, now);
  } else if (arrivals_.turned_away(spec, now)) {
    observer_.on_turned_away(spec, now);
  } else {
    reject(spec, RejectReason::kQueueFull, now);
  }
}

void Pools::reject(const RequestSpec& spec, RejectReason reason, SimTime now) {
  observer_.on_rejected(spec, reason, now);
  last_ = std::max(last_, now);
  source_.on_finished(spec.id, now);
  arrivals_.refresh();
}

void Pools::end() {
  MOEPLAN_CHECK(pending_.empty() && running_.empty() && timed_.empty() && retries_.empty() && in_front_.empty());
  for (const std::optional<Replica>& replica : replicas_) {
    if (!replica) continue;
    MOEPLAN_CHECK(!replica->has_work());
    last_ = std::max(last_, replica->last_seen());
    report_end(*replica, observer_);
  }
  for (std::size_t i = 0; i < places_.size(); ++i) enter(i, std::nullopt, std::max(places_[i].since, last_));
  if (failures_) observer_.on_fleet_end(report_);
  observer_.on_end(last_);
}

void simulate(const DisaggregatedConfig& config, const StepCost& prefill_cost, const StepCost& decode_cost, RequestSource& source, Observer& observer,
              std::uint64_t seed) {
  Pools pools(config, prefill_cost, decode_cost, source, observer, seed);
  pools.run();
  pools.end();
}

}  // namespace moeplan
