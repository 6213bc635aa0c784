// Who has to leave the KV cache for others, and what is left of its blocks when it comes back.
#include "serving/replica.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

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

void Replica::preempt(SlotIndex slot) {
  Sequence& s = table_[slot];
  std::int64_t held = s.prefill_done;
  const Bytes free_before = kv_.capacity() - kv_.used();
  if (const auto part = std::find(partials_.begin(), partials_.end(), slot); part != partials_.end()) {
    partials_.erase(part);
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

}  // namespace moeplan
