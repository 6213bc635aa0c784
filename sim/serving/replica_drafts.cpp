// The end of a decode step with drafted tokens.
#include "serving/replica.hpp"

#include <algorithm>

namespace moeplan {

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

}  // namespace moeplan
