#include "serving/replica.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

Replica::Replica(std::int32_t index, const ReplicaConfig& config, const StepCost& cost, Observer& observer, std::uint64_t seed)
    : index_(index),
      cost_(cost),
      observer_(observer),
      policy_(config.scheduler),
      request_latency_(config.request_latency),
      request_per_token_(config.request_per_token),
      request_per_stream_(config.request_per_stream),
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
  if (policy_.prefill_group() > 1) copies_.resize(static_cast<std::size_t>(policy_.prefill_group()));
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
  if (policy_.never_queues(spec.prompt_tokens)) return RejectReason::kQueueFull;
  return std::nullopt;
}

void Replica::enqueue(const RequestSpec& spec, SimTime now) {
  MOEPLAN_CHECK(spec.prompt_tokens > 0 && spec.output_tokens > 0);
  if (step_end_ == kNever && clock_ < now) {
    MOEPLAN_CHECK(!has_work() || in_pool_);
    clock_ = now;
  }
  waiting_.push_back(spec);
  if (step_end_ != kNever) ++came_in_step_;
  if (copies_wait()) {
    const auto least = std::min_element(copies_.begin(), copies_.end(), [](const auto& a, const auto& b) { return a.requests < b.requests; });
    ++least->requests;
    ++least->waiting;
  }
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
  look_at_queue();
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
  if (reuse_) reuse_->make_room(clock_);
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
  record_.kv_bytes_used = kv_.used();
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
  const SimTime path = to_sim_time(request_latency_ + s.spec.prompt_tokens * request_per_token_ + running_.size() * request_per_stream_);
  running_.remove(table_, slot);
  if (s.copy >= 0) --copies_[static_cast<std::size_t>(s.copy)].requests;
  const FinishedRequest finished{s.spec, index_, s.scheduled, s.first_token + path, clock_ + path, s.preemptions, s.cached};
  last_seen_ = std::max(last_seen_, clock_ + path);
  if (keep_completions_) completions_.push_back({s.spec.id, clock_ + path});
  observer_.on_finished(finished);
  table_.give_back(slot);
}

}  // namespace moeplan
