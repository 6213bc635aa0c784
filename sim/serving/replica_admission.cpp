// Who enters the next step: the queue's order, the head of it, the parts of prompts that the step has room for.
#include "serving/replica.hpp"

#include <algorithm>
#include <utility>

namespace moeplan {

// Where the step was decided as the last one started, those who came since are not in it; with nothing else to run they are taken at once.
void Replica::look_at_queue() {
  unseen_ = policy_.schedules_ahead() ? came_in_step_ : 0;
  came_in_step_ = 0;
  if (decoding_ == 0 && partials_.empty() && !has_seen()) unseen_ = 0;
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

// Whether prompts may start: with several copies of attention, those that get none would idle as long as the others' prompts take. While a copy has
// nothing to decode there is nothing to wait for. The count of steps runs whether or not prompts wait, as in TensorRT-LLM: a lone prompt finds it
// anywhere.
bool Replica::prefill_due() {
  const auto waits = [](const AttentionCopy& copy) { return copy.waiting > 0; };
  const auto decodes = [](const AttentionCopy& copy) { return copy.requests > copy.waiting; };
  const bool hold = copies_wait() && partials_.empty() && std::all_of(copies_.begin(), copies_.end(), decodes) && !std::all_of(copies_.begin(), copies_.end(), waits);
  if (hold && ++held_steps_ < policy_.prefill_wait()) return false;
  held_steps_ = 0;
  return true;
}

// The copy of attention that computes the next prompt: of those with one waiting, the one with fewest tokens in this step, then with fewest
// requests running; -1: none.
std::int32_t Replica::next_copy() const {
  std::int32_t next = -1;
  const auto load = [](const AttentionCopy& copy) { return std::pair(copy.in_step, copy.requests - copy.waiting); };
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    if (copies_[i].waiting > 0 && (next < 0 || load(copies_[i]) < load(copies_[static_cast<std::size_t>(next)]))) next = static_cast<std::int32_t>(i);
  }
  return next;
}

void Replica::fill_prefill(std::int32_t budget) {
  for (AttentionCopy& copy : copies_) copy.in_step = 0;
  for (std::size_t i = 0; i < partials_.size();) {
    const SlotIndex slot = partials_[i];
    const Sequence& s = table_[slot];
    const std::int32_t tokens = policy_.chunk(s.prefill_tokens() - s.prefill_done, budget, chunks_.size());
    if (tokens == 0) return;
    budget -= tokens;
    add_chunk(slot, tokens);
    if (s.prefill_done < s.prefill_tokens()) ++i;
  }
  while (partials_.size() < policy_.copies() && has_seen() && running_.size() < policy_.max_requests()) {
    if (policy_.fixed_batch() && batch_room_ == 0) return;
    const SlotIndex slot = admit_next(budget);
    if (slot == kNoSlot) return;
    if (policy_.fixed_batch()) --batch_room_;
    const Sequence& s = table_[slot];
    const std::int32_t tokens = policy_.chunk(s.prefill_tokens() - s.prefill_done, budget, chunks_.size());
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
    found = reuse_->find(spec, prefill, clock_);
  } else if (again) {
    found.tokens = blocks_found(table_[slot]);
  }
  const std::int32_t copy = again ? -1 : next_copy();
  if (copy >= 0 && copies_[static_cast<std::size_t>(copy)].in_step > 0 &&
      copies_[static_cast<std::size_t>(copy)].in_step + prefill - found.tokens > policy_.copy_budget()) {
    return kNoSlot;
  }
  if (policy_.chunk(prefill - found.tokens, budget, chunks_.size()) == 0) return kNoSlot;
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
    if (copy >= 0) {
      table_[slot].copy = copy;
      --copies_[static_cast<std::size_t>(copy)].waiting;
    }
  }
  if (reuse_) table_[slot].path = reuse_->take(table_[slot].spec, found, clock_, again, prefill);
  resume(slot, found.tokens);
  running_.append(table_, slot);
  return slot;
}

// Puts `tokens` of a prompt into the step. A prompt that does not end in it stays among `partials_`.
void Replica::add_chunk(SlotIndex slot, std::int32_t tokens) {
  Sequence& s = table_[slot];
  const bool ends = s.prefill_done + tokens == s.prefill_tokens();
  chunks_.push_back({tokens, s.prefill_done, ends});
  chunk_slots_.push_back(slot);
  if (s.copy >= 0) copies_[static_cast<std::size_t>(s.copy)].in_step += tokens;
  s.prefill_done += tokens;
  held_tokens_ += tokens;
  const auto at = std::find(partials_.begin(), partials_.end(), slot);
  if (ends && at != partials_.end()) partials_.erase(at);
  if (!ends && at == partials_.end()) partials_.push_back(slot);
}

}  // namespace moeplan
