// KV on its way from the prefill to the decode pool: who takes it, over which links, how much of it the prefill has hidden.
#include <algorithm>

#include "network/group_links.hpp"
#include "serving/pools_run.hpp"

namespace moeplan {

void Pools::complete_transfers(SimTime now) {
  if (next_transfer_ > now) return;
  FlowNetwork* const links = network();
  if (links != nullptr && links->transfers() > 0 && links->next_completion() <= now) {
    ended_.clear();
    loads_ ? loads_->advance(now, ended_) : links->advance(now, ended_);
    for (const TransferId id : ended_) {
      if (const auto load = weights_.find(id); load != weights_.end()) {
        const std::size_t place = load->second.place;
        weights_.erase(load);
        serve(place, now);
        continue;
      }
      auto it = running_.find(id);
      timed_.emplace(now + to_sim_time(config_.transfer.latency), std::move(it->second));
      running_.erase(it);
    }
  }
  while (!timed_.empty() && timed_.begin()->first <= now) {
    Transfer& t = timed_.begin()->second;
    replicas_[t.what.from]->sent(t.what.hand_off.slot);
    replicas_[t.to]->arrive(t.slot, now);
    t.record.end = now;
    observer_.on_kv_transfer(t.record);
    timed_.erase(timed_.begin());
  }
  look_ahead();
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
  const auto first = pick(decode_router_, true, hand_off.spec);
  if (!first || replicas_[*first]->has_room(hand_off.spec)) return first;
  std::optional<std::size_t> best;
  for (std::size_t i = prefills_; i < replicas_.size(); ++i) {
    if (!replicas_[i] || !replicas_[i]->has_room(hand_off.spec)) continue;
    if (!best || replicas_[i]->outstanding_tokens() < replicas_[*best]->outstanding_tokens()) best = i;
  }
  return best;
}

void Pools::send(const Pending& what, std::size_t to, SimTime now) {
  const KvTransferConfig& c = config_.transfer;
  Transfer t{what, to, replicas_[to]->take_over(what.hand_off, now), {}};
  const double bytes = c.bytes_per_token * what.hand_off.spec.prompt_tokens + c.state_per_sequence.as_double();
  FlowNetwork* const net = network();
  const std::span<const LinkUse> links = net != nullptr ? path(what.from, to) : std::span<const LinkUse>();
  double hidden = 0;
  if (c.layerwise && !what.again) {
    // The last layer's KV cannot leave before the prefill ends.
    const double rate = std::min(c.limit, alone(links));
    hidden = std::min(bytes * (c.layers - 1) / c.layers, rate * to_seconds(what.hand_off.ready - what.hand_off.spec_scheduled).value());
  }
  const Bytes exposed(static_cast<std::int64_t>(bytes - hidden) + 1);
  t.record = {what.hand_off.spec.id, static_cast<std::int32_t>(what.from), static_cast<std::int32_t>(to), what.hand_off.ready, now, now,
              Bytes(static_cast<std::int64_t>(bytes)), Bytes(static_cast<std::int64_t>(hidden)), what.hand_off.spec_scheduled};
  if (links.empty()) {
    timed_.emplace(now + to_sim_time(Seconds(exposed.as_double() / c.limit) + c.latency), std::move(t));
  } else {
    const TransferId id = net->start(now, links, exposed, c.limit);
    running_.emplace(id, std::move(t));
  }
  look_ahead();
}

std::span<const LinkUse> Pools::path(std::size_t from, std::size_t to) {
  auto [it, fresh] = paths_.try_emplace({from, to});
  if (!fresh) return it->second;
  const ServingPool& p = config_.prefill;
  const ServingPool& d = config_.decode;
  it->second = hand_over_links(network()->paths(), p.first_gpu[from], p.gpus, d.first_gpu[to - prefills_], d.gpus);
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
  FlowNetwork* const net = network();
  if (net != nullptr && net->transfers() > 0) next_transfer_ = std::min(next_transfer_, net->next_completion());
}

}  // namespace moeplan
