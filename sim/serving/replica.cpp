#include "serving/replica.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

Replica::Replica(std::int32_t index, const ReplicaConfig& config, const StepCost& cost, Observer& observer, std::uint64_t seed)
    : index_(index),
      cost_(cost),
      observer_(observer),
      policy_(config.scheduler),
      request_latency_(to_sim_time(config.request_latency)),
      keep_completions_(config.keep_completions),
      // Windows and constant states free blocks in another order; their sequences recompute all.
      finds_blocks_again_(config.scheduler.prefix_caching && config.kv_layout.window_blocks == KvLayout::kNoWindow &&
                          config.kv_layout.sequence_state.value() == 0 && config.kv_layout.block.value() > 0),
      hands_over_(config.hands_over),
      in_pool_(config.hands_over || config.takes_over),
      routing_(seed, "routing/replica", static_cast<std::uint64_t>(index)),
      kv_(config.kv_layout, config.kv_capacity),
      stream_(config.speculation.acceptance.empty() ? config.stream_interval : 1, observer),
      waiting_(policy_.by_priority()) {
  if (config.kv_reuse.enabled) reuse_ = std::make_unique<KvReuse>(config.kv_reuse, kv_);
  if (!config.speculation.acceptance.empty()) speculation_ = std::make_unique<Speculation>(config.speculation, seed, index);
  epoch_ = cost.epoch_at(SimTime{0});
  record_.replica = index;
  record_.prepared = &prepared_;
  record_.outcome = &outcome_;
}

std::optional<RejectReason> Replica::refuses(const RequestSpec& spec) const {
  const std::int64_t context = std::int64_t{spec.prompt_tokens} + spec.output_tokens;
  if (policy_.max_context() > 0 && context > policy_.max_context()) return RejectReason::kTooLong;
  if (kv_.layout().cost(context - 1) > kv_.capacity()) return RejectReason::kDoesNotFit;
  return std::nullopt;
}

void Replica::enqueue(const RequestSpec& spec, SimTime now) {
  MOEPLAN_CHECK(spec.prompt_tokens > 0 && spec.output_tokens > 0);
  if (step_end_ == kNever && clock_ < now) {
    MOEPLAN_CHECK(!has_work() || in_pool_);
    clock_ = now;
  }
  waiting_.push_back(spec);
  queued_tokens_ += spec.prompt_tokens;
  outstanding_tokens_ += std::int64_t{spec.prompt_tokens} + (hands_over_ ? 1 : spec.output_tokens);
}

void Replica::advance_to(SimTime horizon) {
  for (;;) {
    if (step_end_ != kNever) {
      if (step_end_ > horizon) return;
      complete_step();
    }
    if (clock_ >= horizon || !start_step()) return;
  }
}

bool Replica::start_step() {
  MOEPLAN_CHECK(step_end_ == kNever);
  if (!has_work() || !compose()) return false;
  time_step();
  return true;
}

// False when nothing can run: all KV is held for requests under way from or to another pool.
bool Replica::compose() {
  if (!arrived_.empty()) join_arrived();
  chunks_.clear();
  chunk_slots_.clear();
  decodes_ride_ = false;
  if (policy_.preempts_for_priority()) make_way();
  if (policy_.longest_prefix_first()) order_queue();
  if (policy_.fixed_batch()) form_batch();
  if (policy_.mixed()) {
    // Running requests come first; a step that had to preempt admits nobody.
    const bool room = make_room();
    decodes_ride_ = decoding_ > 0;
    if (decodes_ride_) grow_decodes();
    if (room && prefill_due()) fill_prefill(policy_.prefill_budget(decoding_));
  } else {
    if (prefill_due()) fill_prefill(policy_.prefill_budget(decoding_));
    if (chunks_.empty()) {
      batch_room_ = 0;
      make_room();
      decodes_ride_ = decoding_ > 0;
      if (decodes_ride_) grow_decodes();
    }
  }
  if (!decodes_ride_ && chunks_.empty()) {
    MOEPLAN_CHECK(in_pool_);
    return false;
  }
  if (decodes_ride_) {
    decode_context_ += decoding_;
    held_tokens_ += decoding_;
  }
  return true;
}

// Bytes that the next decode step takes; with drafts, those of every token that may be accepted.
Bytes Replica::decode_growth() const {
  if (!speculation_) return kv_.growth();
  const std::int32_t tokens = 1 + speculation_->draft_tokens();
  const KvLayout& layout = kv_.layout();
  Bytes sum{0};
  for (const SlotIndex slot : speculation_->decoding()) {
    const Sequence& s = table_[slot];
    sum += layout.cost(std::min(s.held + tokens, s.final_tokens())) - layout.cost(s.held);
  }
  return sum;
}

void Replica::grow_decodes() {
  if (speculation_) {
    drafts_ = speculation_->draft_tokens();
    drafted_blocks_ = decode_growth();
    kv_.draw(drafted_blocks_);
  } else {
    kv_.grow();
  }
  if (reuse_) reuse_->make_room();
}

// Preempts the latest arrivals until the next decode step has its blocks; true when nobody had to go.
bool Replica::make_room() {
  if (decode_growth() <= kv_.free()) return true;
  while (decode_growth() > kv_.free()) {
    MOEPLAN_CHECK(running_.size() > (incoming_ > 0 ? 0 : 1));
    preempt(policy_.by_priority() ? running_.least(table_) : running_.last());
  }
  return false;
}

// Preempts running requests of lower priority than the one to be taken next until that finds a place and the KV of its prompt.
void Replica::make_way() {
  while (!waiting_.empty() && running_.size() > 0) {
    const RequestSpec& next = waiting_.front();
    const SlotIndex victim = running_.least(table_);
    if (table_[victim].spec.priority >= next.priority) return;
    const std::int64_t final_tokens = std::int64_t{next.prompt_tokens} + next.output_tokens - 1;
    if (running_.size() < policy_.max_requests() && kv_.admits(next.prompt_tokens, final_tokens, policy_.reserve())) return;
    preempt(victim);
  }
}

// A new batch when the last one has ended: those who wait now, as many as may run at once.
void Replica::form_batch() {
  if (running_.size() == 0) batch_room_ = std::min(waiting_size(), policy_.max_requests());
}

// The prompt with most cached tokens to the front.
void Replica::order_queue() {
  static constexpr std::size_t kMostCompared = 128;  // SGLang takes arrivals in order when more wait
  if (!reuse_ || waiting_.size() < 2 || waiting_.size() > kMostCompared) return;
  std::size_t best = 0;
  std::int32_t most = reuse_->on_gpu(waiting_.front());
  for (std::size_t i = 1; i < waiting_.size(); ++i) {
    const std::int32_t here = reuse_->on_gpu(waiting_.peek(i));
    if (here > most) {
      most = here;
      best = i;
    }
  }
  if (best > 0) waiting_.bring_forward(best);
}

void Replica::preempt(SlotIndex slot) {
  Sequence& s = table_[slot];
  std::int64_t held = s.prefill_done;
  const Bytes free_before = kv_.capacity() - kv_.used();
  if (slot == partial_) {
    partial_ = kNoSlot;
    outstanding_tokens_ += s.prefill_done;
    leave_kv(s, s.prefill_tokens(), held);
  } else {
    if (speculation_) {
      speculation_->remove(slot);
    } else {
      milestones_.remove(table_, slot);
      s.produced = static_cast<std::int32_t>(s.spec.output_tokens - (s.end_step - decode_steps_));
      stream_.preempt(s, decode_steps_);
    }
    held = std::int64_t{s.spec.prompt_tokens} + s.produced - 1;
    if (!speculation_) kv_.stop_decode(held);
    leave_kv(s, held, held);
    decode_context_ -= held;
    --decoding_;
    outstanding_tokens_ += s.prefill_tokens();
  }
  held_tokens_ -= held;
  s.prefill_done = 0;
  s.kept_tokens = held;
  s.overwritten_from = kv_.taken() + free_before;
  ++s.preemptions;
  running_.remove(table_, slot);
  preempted_.push_back(slot);
  observer_.on_preempted(s.spec.id, index_, clock_);
}

// Whether prompts may start: with several copies of attention, those that get none would idle as long as the others' prompts take.
bool Replica::prefill_due() {
  if (policy_.prefill_group() > 1 && decoding_ > 0 && partial_ == kNoSlot && has_waiting() && waiting_size() < policy_.prefill_group() &&
      held_steps_ < policy_.prefill_wait()) {
    ++held_steps_;
    return false;
  }
  held_steps_ = 0;
  return true;
}

void Replica::fill_prefill(std::int32_t budget) {
  if (partial_ != kNoSlot) {
    const Sequence& s = table_[partial_];
    const std::int32_t tokens = policy_.chunk(s.prefill_tokens() - s.prefill_done, budget, true);
    if (tokens == 0) return;
    budget -= tokens;
    add_chunk(partial_, tokens);
  }
  while (partial_ == kNoSlot && has_waiting() && running_.size() < policy_.max_requests()) {
    if (policy_.fixed_batch() && batch_room_ == 0) return;
    const SlotIndex slot = admit_next(budget);
    if (slot == kNoSlot) return;
    if (policy_.fixed_batch()) --batch_room_;
    const Sequence& s = table_[slot];
    const std::int32_t tokens = policy_.chunk(s.prefill_tokens() - s.prefill_done, budget, chunks_.empty());
    budget -= tokens;
    add_chunk(slot, tokens);
  }
}

// The preempted request to be taken before all who wait, if any: the latest, with priorities the highest of them.
SlotIndex Replica::next_preempted() const {
  if (preempted_.empty()) return kNoSlot;
  if (!policy_.by_priority()) return preempted_.back();
  SlotIndex next = preempted_.back();
  for (auto it = preempted_.rbegin(); it != preempted_.rend(); ++it) {
    if (table_[*it].spec.priority > table_[next].spec.priority) next = *it;
  }
  return waiting_.empty() || table_[next].spec.priority >= waiting_.front().priority ? next : kNoSlot;
}

// Admits the head of the queue if its KV blocks are free and the step has room for some of its prompt.
SlotIndex Replica::admit_next(std::int32_t budget) {
  SlotIndex slot = next_preempted();
  const bool again = slot != kNoSlot;
  const RequestSpec& spec = again ? table_[slot].spec : waiting_.front();
  const std::int32_t prefill = spec.prompt_tokens + (again ? table_[slot].produced : 0);
  const std::int64_t final_tokens = std::int64_t{spec.prompt_tokens} + spec.output_tokens - 1;
  KvReuse::Found found;
  if (reuse_) {
    found = reuse_->find(spec, prefill);
  } else if (again) {
    found.tokens = blocks_found(table_[slot]);
  }
  if (policy_.chunk(prefill - found.tokens, budget, chunks_.empty()) == 0) return kNoSlot;
  if (!kv_.admits(prefill, final_tokens, policy_.reserve(), found.shared)) return kNoSlot;
  kv_.admit(prefill, final_tokens, found.shared);
  if (again) {
    preempted_.erase(std::find(preempted_.begin(), preempted_.end(), slot));
  } else {
    slot = table_.take(spec);
    queued_tokens_ -= spec.prompt_tokens;
    waiting_.pop_front();
    table_[slot].scheduled = clock_;
    table_[slot].cached = found.tokens;
  }
  if (reuse_) table_[slot].path = reuse_->take(table_[slot].spec, found, clock_, again, prefill);
  resume(slot, found.tokens);
  running_.append(table_, slot);
  return slot;
}

// Tokens of a preempted sequence whose blocks nobody has overwritten. Free blocks are reused in the order in which they were given back,
// those of one sequence from its end; at least one token is computed again.
std::int32_t Replica::blocks_found(const Sequence& s) const {
  if (!finds_blocks_again_) return 0;
  const KvLayout& layout = kv_.layout();
  const Bytes overwritten = std::max(Bytes(0), kv_.taken() - s.overwritten_from);
  const std::int64_t whole = std::min<std::int64_t>(s.kept_tokens, s.prefill_tokens() - 1) / layout.block_tokens;
  const std::int64_t held = (s.kept_tokens + layout.block_tokens - 1) / layout.block_tokens;
  const std::int64_t lost = (overwritten.value() + layout.block.value() - 1) / layout.block.value();
  return static_cast<std::int32_t>(std::max<std::int64_t>(0, std::min(whole, held - lost)) * layout.block_tokens);
}

// `found` tokens need no prefill. Their blocks left the queue of free blocks behind those of all who still wait, so nobody's were overwritten
// for them.
void Replica::resume(SlotIndex slot, std::int32_t found) {
  if (found == 0) return;
  table_[slot].prefill_done = found;
  held_tokens_ += found;
  outstanding_tokens_ -= found;
  if (reuse_) return;
  const Bytes blocks = kv_.layout().cost(found);
  for (const SlotIndex waiting : preempted_) table_[waiting].overwritten_from += blocks;
}

// `s` gives back its KV, of which `counted` tokens are taken and the first `computed` can be found again.
void Replica::leave_kv(Sequence& s, std::int64_t counted, std::int64_t computed) {
  if (!reuse_) {
    kv_.release(counted, s.final_tokens());
    return;
  }
  reuse_->computed(s.spec, s.path, computed);
  reuse_->leave(s.path, counted, s.final_tokens());
}

// Puts `tokens` of a prompt into the step. A prompt that does not end in it stays `partial_`, the only one.
void Replica::add_chunk(SlotIndex slot, std::int32_t tokens) {
  Sequence& s = table_[slot];
  const bool ends = s.prefill_done + tokens == s.prefill_tokens();
  chunks_.push_back({tokens, s.prefill_done, ends});
  chunk_slots_.push_back(slot);
  s.prefill_done += tokens;
  held_tokens_ += tokens;
  partial_ = ends ? kNoSlot : slot;
}

void Replica::time_step() {
  const std::int32_t decodes = decodes_ride_ ? decoding_ : 0;
  const bool same = prepared_valid_ && chunks_.empty() && prepared_.decode_sequences == decodes;
  if (!same) {
    cost_.prepare(decodes, chunks_, prepared_);
    prepared_.decode_sequences = decodes;
    prepared_valid_ = chunks_.empty();
  }
  const SimTime start = clock_ < epoch_.end ? clock_ : clock_ + enter_epoch();
  prepared_.epoch = epoch_.index;
  prepared_.network_slowdown = network_slowdown_;
  outcome_ = cost_.evaluate(prepared_, decodes_ride_ ? decode_context_ : 0, routing_);
  MOEPLAN_CHECK(outcome_.seconds >= 0.0 && outcome_.seconds < 1e9);
  sent_.bytes += prepared_.fixed_traffic.scale_out_bytes + outcome_.draw_traffic.scale_out_bytes;
  sent_.card_seconds += prepared_.fixed_traffic.scale_out_seconds + outcome_.draw_traffic.scale_out_seconds;
  sent_.step_seconds += outcome_.seconds;
  step_end_ = start + to_sim_time(Seconds(outcome_.seconds));
  if (reuse_ && reuse_->fetched_at() > step_end_) {
    reuse_->waited(reuse_->fetched_at() - step_end_);
    step_end_ = reuse_->fetched_at();
  }
  record_.start = start;
  record_.stall = start - clock_;
  record_.end = step_end_;
  record_.decode_context = decodes_ride_ ? decode_context_ : 0;
  record_.kv_tokens_used = held_tokens_;
  record_.running = running_.size();
  record_.waiting = waiting_size();
}

// What of the stall fell into idle time is not felt.
SimTime Replica::enter_epoch() {
  epoch_ = cost_.epoch_at(clock_);
  const SimTime moved = std::max(epoch_.begin, busy_until_) + to_sim_time(Seconds(epoch_.stall_seconds));
  return std::max(SimTime{0}, moved - clock_);
}

void Replica::complete_step() {
  MOEPLAN_CHECK(step_end_ != kNever);
  clock_ = step_end_;
  busy_until_ = clock_;
  step_end_ = kNever;
  observer_.on_step(record_);
  if (decodes_ride_) complete_decodes();
  for (std::size_t i = 0; i < chunks_.size(); ++i) complete_chunk(i);
}

// Every sequence makes one token and those accepted; the blocks of the others are free again.
void Replica::complete_drafts() {
  const KvLayout& layout = kv_.layout();
  kv_.put_back(drafted_blocks_);
  std::int64_t together = 0;
  std::int64_t more = 0;
  std::vector<SlotIndex>& decoding = speculation_->decoding();
  std::size_t stay = 0;
  for (std::size_t i = 0; i < decoding.size(); ++i) {
    const SlotIndex slot = decoding[i];
    Sequence& s = table_[slot];
    const std::int32_t made = speculation_->verify(drafts_, s.spec.output_tokens - s.produced);
    const std::int64_t held = std::min(s.held + made, s.final_tokens());
    kv_.draw(layout.cost(held) - layout.cost(s.held));
    // compose() has counted one token for each.
    decode_context_ += held - s.held - 1;
    held_tokens_ += held - s.held - 1;
    s.held = held;
    s.produced += made;
    outstanding_tokens_ -= made;
    more += made - 1;
    if (s.token_at == last_drafts_) {
      ++together;
    } else {
      observer_.on_token_gaps(clock_, clock_ - s.token_at, 1);
    }
    s.token_at = clock_;
    decoding[stay] = slot;
    stay += s.produced < s.spec.output_tokens ? 1 : 0;
    if (s.produced == s.spec.output_tokens) ended_.push_back(slot);
  }
  decoding.resize(stay);
  if (together > 0) observer_.on_token_gaps(clock_, clock_ - last_drafts_, together);
  if (more > 0) observer_.on_token_gaps(clock_, SimTime{0}, more);
  last_drafts_ = clock_;
  for (const SlotIndex slot : ended_) {
    decode_context_ -= table_[slot].held;
    --decoding_;
    finish(slot, table_[slot].held);
  }
  ended_.clear();
}

void Replica::complete_decodes() {
  if (speculation_) {
    complete_drafts();
    return;
  }
  ++decode_steps_;
  outstanding_tokens_ -= decoding_;
  stream_.decode_step(decode_steps_, clock_, decoding_);
  on_milestones();
}

void Replica::on_milestones() {
  SlotIndex slot = milestones_.first(decode_steps_);
  while (slot != kNoSlot) {
    Sequence& s = table_[slot];
    const SlotIndex after = s.bucket_after;
    if (s.due == decode_steps_) {
      milestones_.remove(table_, slot);
      if (s.window_step == decode_steps_) {
        kv_.cross_window(s.final_tokens() - (s.end_step - decode_steps_));
        s.window_step = kNoStep;
      }
      if (s.group_step == decode_steps_) stream_.first_group(s, decode_steps_, clock_);
      if (s.end_step == decode_steps_) {
        finish_decoding(slot);
      } else {
        schedule_milestone(slot);
      }
    }
    slot = after;
  }
}

void Replica::complete_chunk(std::size_t index) {
  const SlotIndex slot = chunk_slots_[index];
  Sequence& s = table_[slot];
  outstanding_tokens_ -= chunks_[index].tokens;
  if (reuse_) reuse_->computed(s.spec, s.path, chunks_[index].prefix + chunks_[index].tokens);
  if (!chunks_[index].samples) return;
  const std::int64_t held = s.prefill_tokens();
  ++s.produced;
  --outstanding_tokens_;
  // The client has its first token from the replica that goes on.
  const bool leaves = hands_over_ && s.produced < s.spec.output_tokens;
  if (!leaves) stream_.prefill_token(s, clock_);
  if (s.produced == s.spec.output_tokens) {
    stream_.finish(s, decode_steps_, clock_);
    finish(slot, held);
  } else if (hands_over_) {
    hand_over(slot);
  } else {
    start_decode(slot);
  }
}

void Replica::hand_over(SlotIndex slot) {
  Sequence& s = table_[slot];
  running_.remove(table_, slot);
  hand_offs_.push_back({s.spec, slot, s.scheduled, clock_, s.cached});
}

void Replica::sent(SlotIndex slot) {
  Sequence& s = table_[slot];
  leave_kv(s, s.spec.prompt_tokens, s.spec.prompt_tokens);
  held_tokens_ -= s.spec.prompt_tokens;
  table_.give_back(slot);
}

bool Replica::has_room(const RequestSpec& spec) const {
  const std::int64_t final_tokens = std::int64_t{spec.prompt_tokens} + spec.output_tokens - 1;
  return running_.size() + incoming_ < policy_.max_requests() && kv_.admits(spec.prompt_tokens, final_tokens, policy_.reserve());
}

SlotIndex Replica::take_over(const HandOff& hand_off, SimTime now) {
  const SlotIndex slot = table_.take(hand_off.spec);
  Sequence& s = table_[slot];
  s.scheduled = hand_off.spec_scheduled;
  s.cached = hand_off.cached;
  kv_.admit(s.spec.prompt_tokens, s.final_tokens());
  if (reuse_) reuse_->make_room();
  outstanding_tokens_ += s.spec.output_tokens - 1;
  ++incoming_;
  if (step_end_ == kNever) wake(now);
  return slot;
}

void Replica::arrive(SlotIndex slot, SimTime now) {
  Sequence& s = table_[slot];
  s.prefill_done = s.prefill_tokens();
  ++s.produced;
  held_tokens_ += s.spec.prompt_tokens;
  stream_.prefill_token(s, now);
  arrived_.push_back(slot);
}

void Replica::join_arrived() {
  for (const SlotIndex slot : arrived_) {
    running_.append(table_, slot);
    start_decode(slot);
    --incoming_;
  }
  arrived_.clear();
}

void report_end(const Replica& replica, Observer& observer) {
  ReplicaReport report;
  report.replica = replica.index();
  KvReuseReport reuse;
  if (const KvReuse* kv = replica.kv_reuse()) {
    reuse = kv->report();
    report.kv_reuse = &reuse;
  }
  if (const Speculation* speculation = replica.speculation()) report.speculation = &speculation->report();
  observer.on_replica_end(report);
}

void Replica::start_decode(SlotIndex slot) {
  Sequence& s = table_[slot];
  const std::int64_t held = std::int64_t{s.spec.prompt_tokens} + s.produced - 1;
  ++decoding_;
  decode_context_ += held;
  if (speculation_) {
    s.held = held;
    speculation_->add(slot);
    return;
  }
  kv_.start_decode(held);
  stream_.join(s, decode_steps_);
  s.end_step = decode_steps_ + (s.spec.output_tokens - s.produced);
  const KvLayout& layout = kv_.layout();
  s.window_step = kNoStep;
  if (layout.window_blocks != KvLayout::kNoWindow && !layout.past_window(held)) {
    s.window_step = decode_steps_ + ((layout.window_blocks - 1) * layout.block_tokens + 1 - held);
  }
  schedule_milestone(slot);
}

void Replica::schedule_milestone(SlotIndex slot) {
  Sequence& s = table_[slot];
  s.due = std::min({s.end_step, s.window_step, s.group_step});
  milestones_.add(table_, slot);
}

void Replica::finish_decoding(SlotIndex slot) {
  Sequence& s = table_[slot];
  const std::int64_t held = s.final_tokens();
  stream_.finish(s, decode_steps_, clock_);
  kv_.stop_decode(held);
  decode_context_ -= held;
  --decoding_;
  finish(slot, held);
}

void Replica::finish(SlotIndex slot, std::int64_t held_tokens) {
  Sequence& s = table_[slot];
  leave_kv(s, held_tokens, held_tokens);
  held_tokens_ -= held_tokens;
  running_.remove(table_, slot);
  last_seen_ = clock_ + request_latency_;
  const FinishedRequest finished{s.spec, index_, s.scheduled, s.first_token + request_latency_, last_seen_, s.preemptions, s.cached};
  if (keep_completions_) completions_.push_back({s.spec.id, last_seen_});
  observer_.on_finished(finished);
  table_.give_back(slot);
}

}  // namespace moeplan
