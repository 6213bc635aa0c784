// Requests that come from a prefill pool or go on to a decode pool.
#include "serving/replica.hpp"

namespace moeplan {

void Replica::hand_over(SlotIndex slot) {
  Sequence& s = table_[slot];
  running_.remove(table_, slot);
  if (s.copy >= 0) --copies_[static_cast<std::size_t>(s.copy)].requests;
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
  if (reuse_) reuse_->make_room(now);
  outstanding_tokens_ += s.spec.output_tokens - 1;
  ++incoming_;
  if (step_end_ == kNever) wake(now);
  return slot;
}

void Replica::release(SlotIndex slot) {
  Sequence& s = table_[slot];
  outstanding_tokens_ -= s.spec.output_tokens - 1;
  leave_kv(s, s.spec.prompt_tokens, 0);
  --incoming_;
  table_.give_back(slot);
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

}  // namespace moeplan
