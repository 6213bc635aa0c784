// Nodes that fail under two pools: what is lost, what goes elsewhere, how replicas come back.
#include <algorithm>

#include "base/error.hpp"
#include "serving/pools_run.hpp"

namespace moeplan {

GpuRange Pools::gpus_of(std::size_t place) const {
  const ServingPool& pool = pool_of(place);
  return {pool.first_gpu[place - (place < prefills_ ? 0 : prefills_)], pool.gpus};
}

bool Pools::on_node(std::size_t place, int node) const {
  const GpuRange gpus = gpus_of(place);
  return node >= config_.topology->node_of(gpus.first) && node <= config_.topology->node_of(gpus.first + gpus.count - 1);
}

void Pools::look_ahead_control() {
  next_control_ = failures_->next_time();
  if (!engines_.empty()) next_control_ = std::min(next_control_, engines_.begin()->first);
  if (!retries_.empty()) next_control_ = std::min(next_control_, retries_.begin()->first);
}

// Nothing is left to do but failures and starts.
bool Pools::idle() const {
  if (arrivals_.next_time() != kNever || !retries_.empty() || !in_front_.empty() || !pending_.empty() || !running_.empty() || !timed_.empty()) return false;
  return std::none_of(replicas_.begin(), replicas_.end(), [](const std::optional<Replica>& r) { return r && r->has_work(); });
}

void Pools::control(SimTime now) {
  while (failures_->next_time() <= now) {
    const NodeFailures::Event event = failures_->pop();
    event.up ? restart(now) : fail(event.node, now);
  }
  while (!engines_.empty() && engines_.begin()->first <= now) {
    const Start start = engines_.begin()->second;
    engines_.erase(engines_.begin());
    const Place& p = places_[start.place];
    if (p.phase == ReplicaPhase::kStarting && p.starts == start.number) load_weights(start, now);
  }
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const RequestSpec spec = retries_.begin()->second;
    retries_.erase(retries_.begin());
    deliver(spec, now);
  }
  look_ahead_control();
}

void Pools::fail(int node, SimTime now) {
  bool hit = false;
  std::vector<std::size_t> dying;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (!places_[i].phase || !on_node(i, node)) continue;
    hit = true;
    if (replicas_[i]) {
      dying.push_back(i);
      continue;
    }
    if (places_[i].load) {
      loads_->cancel(now, *places_[i].load);
      weights_.erase(*places_[i].load);
      places_[i].load.reset();
    }
    enter(i, std::nullopt, now);
  }
  // KV on its way first: a slot that is given back needs its replica.
  for (const std::size_t place : dying) cut_transfers(place, now);
  for (const std::size_t place : dying) lose_replica(place, now);
  if (hit) ++report_.node_failures;
  look_ahead();
}

// KV that leaves `place` is lost; what was to come there stays where it is and waits for another decode replica.
void Pools::cut_transfers(std::size_t place, SimTime now) {
  std::vector<Pending> back;
  const auto cut = [&](const Transfer& t) {
    if (t.what.from == place) {
      replicas_[t.to]->release(t.slot);
      lose({t.what.hand_off.spec, t.what.hand_off.spec.prompt_tokens, 0}, place, now);
    } else {
      back.push_back(t.what);
      back.back().again = true;
    }
  };
  const auto touched = [&](const Transfer& t) { return t.what.from == place || t.to == place; };
  for (auto it = running_.begin(); it != running_.end();) {
    if (!touched(it->second)) {
      ++it;
      continue;
    }
    loads_->network().cancel(now, it->first);
    cut(it->second);
    it = running_.erase(it);
  }
  for (auto it = timed_.begin(); it != timed_.end();) {
    if (!touched(it->second)) {
      ++it;
      continue;
    }
    cut(it->second);
    it = timed_.erase(it);
  }
  pending_.insert(pending_.begin(), back.begin(), back.end());
  for (std::size_t i = 0; i < pending_.size();) {
    if (pending_[i].from != place) {
      ++i;
      continue;
    }
    const RequestSpec spec = pending_[i].hand_off.spec;
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    lose({spec, spec.prompt_tokens, 0}, place, now);
  }
}

void Pools::lose_replica(std::size_t place, SimTime now) {
  const std::vector<AbandonedRequest> lost = replicas_[place]->in_flight();
  last_ = std::max(last_, replicas_[place]->last_seen());
  report_end(*replicas_[place], observer_);
  replicas_[place].reset();
  enter(place, std::nullopt, now);
  for (const AbandonedRequest& request : lost) lose(request, place, now);
}

void Pools::lose(const AbandonedRequest& lost, std::size_t replica, SimTime now) {
  const FailureConfig& config = config_.failures;
  const int attempt = ++attempts_[lost.spec.id];
  const bool again = attempt <= config.retries;
  observer_.on_lost({lost.spec, static_cast<std::int32_t>(replica), lost.computed_tokens, lost.output_tokens, again}, now);
  if (again) {
    retries_.emplace(now + to_sim_time(config.wait_before(attempt)), lost.spec);
    return;
  }
  observer_.on_failed(lost.spec, now);
  last_ = std::max(last_, now);
  source_.on_finished(lost.spec.id, now);
  arrivals_.refresh();
}

// A node is up again: replicas all of whose nodes are start.
void Pools::restart(SimTime now) {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].phase) continue;
    const GpuRange gpus = gpus_of(i);
    bool up = true;
    for (int node = config_.topology->node_of(gpus.first); node <= config_.topology->node_of(gpus.first + gpus.count - 1); ++node) up = up && !failures_->down(node);
    if (!up) continue;
    ++places_[i].starts;
    enter(i, ReplicaPhase::kStarting, now);
    engines_.emplace(now + to_sim_time(pool_of(i).cold_start.start), Start{i, places_[i].starts});
  }
}

void Pools::load_weights(const Start& start, SimTime now) {
  const ColdStart& cold = pool_of(start.place).cold_start;
  if (cold.weights.value() == 0) {
    serve(start.place, now);
    return;
  }
  std::optional<GpuRange> peer;
  const std::size_t first = start.place < prefills_ ? 0 : prefills_;
  const std::size_t last = start.place < prefills_ ? prefills_ : replicas_.size();
  for (std::size_t i = first; i < last && cold.source == WeightSource::kPeer && !peer; ++i) {
    if (replicas_[i]) peer = gpus_of(i);
  }
  const TransferId id = loads_->start(now, cold.source, cold.weights, gpus_of(start.place), peer);
  places_[start.place].load = id;
  weights_.emplace(id, start);
  look_ahead();
}

void Pools::serve(std::size_t place, SimTime now) {
  const std::size_t pool = place < prefills_ ? 0 : 1;
  places_[place].load.reset();
  const std::uint64_t seed = seed_ + 0x9E3779B97F4A7C15ULL * (places_[place].starts - 1);
  replicas_[place].emplace(static_cast<std::int32_t>(place), replica_configs_[pool], *costs_[pool], observer_, seed);
  replicas_[place]->wake(now);
  enter(place, ReplicaPhase::kServing, now);
  std::deque<RequestSpec> waited;
  waited.swap(in_front_);
  for (const RequestSpec& spec : waited) deliver(spec, now);
}

void Pools::enter(std::size_t place, std::optional<ReplicaPhase> phase, SimTime now) {
  Place& p = places_[place];
  const bool finished = p.phase != ReplicaPhase::kStarting || phase == ReplicaPhase::kServing;
  if (p.phase && p.since < now) observer_.on_replica_phase({static_cast<std::int32_t>(place), *p.phase, p.since, now, finished});
  p.phase = phase;
  p.since = now;
}

}  // namespace moeplan
