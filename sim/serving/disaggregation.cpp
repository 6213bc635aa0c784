#include "serving/disaggregation.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "network/flow_network.hpp"
#include "serving/arrivals.hpp"
#include "serving/step_ends.hpp"

namespace moeplan {
namespace {

class Pools {
 public:
  Pools(const DisaggregatedConfig& config, const StepCost& prefill_cost, const StepCost& decode_cost, RequestSource& source, Observer& observer,
        std::uint64_t seed)
      : config_(config),
        source_(source),
        observer_(observer),
        arrivals_(source),
        prefill_router_(config.prefill.routing, seed),
        decode_router_(config.decode.routing, seed + 1),
        prefills_(static_cast<std::size_t>(config.prefill.replicas)) {
    add(config.prefill, prefill_cost, true, seed);
    add(config.decode, decode_cost, false, seed);
    if (config.topology != nullptr) network_.emplace(*config.topology);
  }

  void run() {
    for (;;) {
      const std::size_t chosen = next_to_end(replicas_);
      SimTime next = std::min(arrivals_.next_time(), next_transfer_);
      if (chosen < replicas_.size()) {
        const SimTime limit = std::min(next, next_end_beside(replicas_, chosen));
        if (chosen >= prefills_ && pending_.empty() && run_alone(replicas_[chosen], limit)) continue;
        next = std::min(limit, replicas_[chosen].step_end());
        if (!replicas_[chosen].completions().empty()) next = replicas_[chosen].clock();
      }
      if (next == kNever) break;
      instant(next);
    }
  }
  void end();

 private:
  struct Pending {
    std::size_t from = 0;
    HandOff hand_off;
  };
  struct Transfer {
    Pending what;
    std::size_t to = 0;
    SlotIndex slot = kNoSlot;  ///< at the decode replica
    KvTransferRecord record;
  };

  void add(const ServingPool& pool, const StepCost& cost, bool hands_over, std::uint64_t seed);
  bool run_alone(Replica& replica, SimTime limit);
  void instant(SimTime now);
  void complete_steps(SimTime now);
  void complete_transfers(SimTime now);
  void deliver(const RequestSpec& spec, SimTime now);
  void reject(const RequestSpec& spec, RejectReason reason);
  void place(SimTime now);
  [[nodiscard]] std::optional<std::size_t> decoder_for(const HandOff& hand_off);
  void send(const Pending& what, std::size_t to, SimTime now);
  std::span<const LinkUse> path(std::size_t from, std::size_t to);
  [[nodiscard]] double alone(std::span<const LinkUse> links) const;
  void look_ahead();
  std::size_t pick(RequestRouter& router, std::size_t first, std::size_t last, const RequestSpec& spec);

  const DisaggregatedConfig& config_;
  RequestSource& source_;
  Observer& observer_;
  Arrivals arrivals_;
  RequestRouter prefill_router_, decode_router_;
  const std::size_t prefills_;
  std::deque<Replica> replicas_;  ///< prefill, then decode
  std::optional<FlowNetwork> network_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<LinkUse>> paths_;
  std::map<TransferId, Transfer> running_;
  std::multimap<SimTime, Transfer> timed_;  ///< transfers whose end is known: the last latency, or no network
  std::deque<Pending> pending_;             ///< hand-offs that no decode replica has room for, in order
  SimTime next_transfer_ = kNever;
  std::vector<std::int64_t> load_;
  std::vector<TransferId> ended_;
  SimTime last_rejection_{0};
};

void Pools::add(const ServingPool& pool, const StepCost& cost, bool hands_over, std::uint64_t seed) {
  MOEPLAN_CHECK(pool.replicas > 0);
  ReplicaConfig replica = pool.replica;
  replica.keep_completions = source_.closed();
  replica.hands_over = hands_over;
  if (hands_over) replica.scheduler.admission_output_reserve = 0;  // outputs are written elsewhere
  replica.takes_over = !hands_over;
  for (int i = 0; i < pool.replicas; ++i) replicas_.emplace_back(static_cast<std::int32_t>(replicas_.size()), replica, cost, observer_, seed);
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

// Everything that happens at `now`: steps complete, KV arrives, requests arrive, finished prefills find their decode replica, steps are decided.
void Pools::instant(SimTime now) {
  complete_steps(now);
  complete_transfers(now);
  while (arrivals_.next_time() == now) deliver(*arrivals_.pop(), now);
  place(now);
  for (Replica& replica : replicas_) {
    if (replica.step_end() == kNever && replica.has_work()) {
      replica.wake(now);
      replica.start_step();
    }
  }
}

void Pools::complete_steps(SimTime now) {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    Replica& replica = replicas_[i];
    if (replica.step_end() == now) replica.complete_step();
    for (const Replica::Completion& done : replica.completions()) source_.on_finished(done.id, done.seen_at);
    replica.completions().clear();
    for (const HandOff& hand_off : replica.hand_offs()) pending_.push_back({i, hand_off});
    replica.hand_offs().clear();
  }
  arrivals_.refresh();
}

void Pools::complete_transfers(SimTime now) {
  if (next_transfer_ > now) return;
  if (network_ && network_->transfers() > 0 && network_->next_completion() <= now) {
    ended_.clear();
    network_->advance(now, ended_);
    for (const TransferId id : ended_) {
      auto it = running_.find(id);
      timed_.emplace(now + to_sim_time(config_.transfer.latency), std::move(it->second));
      running_.erase(it);
    }
  }
  while (!timed_.empty() && timed_.begin()->first <= now) {
    Transfer& t = timed_.begin()->second;
    replicas_[t.what.from].sent(t.what.hand_off.slot);
    replicas_[t.to].arrive(t.slot, now);
    t.record.end = now;
    observer_.on_kv_transfer(t.record);
    timed_.erase(timed_.begin());
  }
  look_ahead();
}

std::size_t Pools::pick(RequestRouter& router, std::size_t first, std::size_t last, const RequestSpec& spec) {
  load_.clear();
  for (std::size_t i = first; i < last; ++i) {
    std::int64_t load = replicas_[i].outstanding_tokens();
    if (router.reads_prefixes() && replicas_[i].kv_reuse() != nullptr) load -= replicas_[i].kv_reuse()->on_gpu(spec);
    load_.push_back(load);
  }
  return first + router.pick(load_);
}

void Pools::deliver(const RequestSpec& spec, SimTime now) {
  observer_.on_arrival(spec);
  const bool stays = spec.prompt_tokens < config_.transfer.stay_below;
  auto refusal = replicas_[prefills_].refuses(spec);
  if (!refusal && !stays) {
    RequestSpec prompt = spec;
    prompt.output_tokens = 1;
    refusal = replicas_.front().refuses(prompt);
  }
  if (refusal) {
    reject(spec, *refusal);
    return;
  }
  Replica& replica = replicas_[stays ? pick(decode_router_, prefills_, replicas_.size(), spec) : pick(prefill_router_, 0, prefills_, spec)];
  if (replica.queue_full(spec)) {
    reject(spec, RejectReason::kQueueFull);
    return;
  }
  replica.enqueue(spec, now);
}

void Pools::reject(const RequestSpec& spec, RejectReason reason) {
  observer_.on_rejected(spec, reason, spec.arrival);
  last_rejection_ = spec.arrival;
  source_.on_finished(spec.id, spec.arrival);
  arrivals_.refresh();
}

// First come first served: who stands first waits for room and holds up the others, as in an engine's transfer queue.
void Pools::place(SimTime now) {
  while (!pending_.empty()) {
    const auto to = decoder_for(pending_.front().hand_off);
    if (!to) return;
    send(pending_.front(), *to, now);
    pending_.pop_front();
  }
}

/// The replica that the router prefers, or else the least loaded of those with room.
std::optional<std::size_t> Pools::decoder_for(const HandOff& hand_off) {
  const std::size_t first = pick(decode_router_, prefills_, replicas_.size(), hand_off.spec);
  if (replicas_[first].has_room(hand_off.spec)) return first;
  std::optional<std::size_t> best;
  for (std::size_t i = prefills_; i < replicas_.size(); ++i) {
    if (!replicas_[i].has_room(hand_off.spec)) continue;
    if (!best || replicas_[i].outstanding_tokens() < replicas_[*best].outstanding_tokens()) best = i;
  }
  return best;
}

void Pools::send(const Pending& what, std::size_t to, SimTime now) {
  const KvTransferConfig& c = config_.transfer;
  Transfer t{what, to, replicas_[to].take_over(what.hand_off, now), {}};
  const double bytes = c.bytes_per_token * what.hand_off.spec.prompt_tokens + c.state_per_sequence.as_double();
  const std::span<const LinkUse> links = network_ ? path(what.from, to) : std::span<const LinkUse>();
  double hidden = 0;
  if (c.layerwise) {
    // The last layer's KV cannot leave before the prefill ends.
    const double rate = std::min(c.limit, alone(links));
    hidden = std::min(bytes * (c.layers - 1) / c.layers, rate * to_seconds(what.hand_off.ready - what.hand_off.spec_scheduled).value());
  }
  const Bytes exposed(static_cast<std::int64_t>(bytes - hidden) + 1);
  t.record = {what.hand_off.spec.id, static_cast<std::int32_t>(what.from), static_cast<std::int32_t>(to), what.hand_off.ready, now, now,
              Bytes(static_cast<std::int64_t>(bytes)), Bytes(static_cast<std::int64_t>(hidden))};
  if (links.empty()) {
    timed_.emplace(now + to_sim_time(Seconds(exposed.as_double() / c.limit) + c.latency), std::move(t));
  } else {
    const TransferId id = network_->start(now, links, exposed, c.limit);
    running_.emplace(id, std::move(t));
  }
  look_ahead();
}

// Every GPU of the smaller side sends or receives an equal part, all at once.
std::span<const LinkUse> Pools::path(std::size_t from, std::size_t to) {
  auto [it, fresh] = paths_.try_emplace({from, to});
  if (!fresh) return it->second;
  const ServingPool& p = config_.prefill;
  const ServingPool& d = config_.decode;
  const int pairs = std::min(p.gpus, d.gpus);
  std::map<std::int32_t, double> shares;
  for (int i = 0; i < pairs; ++i) {
    const int source = p.first_gpu[from] + i * p.gpus / pairs;
    const int target = d.first_gpu[to - prefills_] + i * d.gpus / pairs;
    for (const LinkUse& use : network_->paths().between(source, target)) shares[use.link] += use.share / pairs;
  }
  for (const auto& [link, share] : shares) it->second.push_back({link, share});
  return it->second;
}

double Pools::alone(std::span<const LinkUse> links) const {
  double rate = FlowNetwork::kUnlimited;
  for (const LinkUse& use : links) {
    rate = std::min(rate, config_.topology->links()[static_cast<std::size_t>(use.link)].capacity.value() / use.share);
  }
  return rate;
}

void Pools::look_ahead() {
  next_transfer_ = timed_.empty() ? kNever : timed_.begin()->first;
  if (network_ && network_->transfers() > 0) next_transfer_ = std::min(next_transfer_, network_->next_completion());
}

void Pools::end() {
  MOEPLAN_CHECK(pending_.empty() && running_.empty() && timed_.empty());
  SimTime last = last_rejection_;
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    MOEPLAN_CHECK(!replicas_[i].has_work());
    last = std::max(last, replicas_[i].last_seen());
    report_end(replicas_[i], observer_);
  }
  observer_.on_end(last);
}

}  // namespace

void simulate(const DisaggregatedConfig& config, const StepCost& prefill_cost, const StepCost& decode_cost, RequestSource& source, Observer& observer,
              std::uint64_t seed) {
  Pools pools(config, prefill_cost, decode_cost, source, observer, seed);
  pools.run();
  pools.end();
}

}  // namespace moeplan
