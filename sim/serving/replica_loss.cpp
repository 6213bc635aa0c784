// What a replica holds when its node fails.
#include <algorithm>

#include "serving/replica.hpp"

namespace moeplan {

std::vector<AbandonedRequest> Replica::in_flight() const {
  std::vector<AbandonedRequest> lost;
  for (SlotIndex slot = running_.last(); slot != kNoSlot; slot = table_[slot].running_before) {
    const Sequence& s = table_[slot];
    AbandonedRequest request{s.spec, s.prefill_done, s.produced};
    const auto chunk = step_end_ == kNever ? chunk_slots_.end() : std::find(chunk_slots_.begin(), chunk_slots_.end(), slot);
    if (chunk != chunk_slots_.end()) {
      // What the running step computes of it is lost before it was there.
      request.computed_tokens -= chunks_[static_cast<std::size_t>(chunk - chunk_slots_.begin())].tokens;
    } else if (std::find(partials_.begin(), partials_.end(), slot) == partials_.end()) {
      if (!speculation_) request.output_tokens = static_cast<std::int32_t>(s.spec.output_tokens - (s.end_step - decode_steps_));
      request.computed_tokens = std::int64_t{s.spec.prompt_tokens} + request.output_tokens - 1;
    }
    lost.push_back(request);
  }
  std::reverse(lost.begin(), lost.end());
  for (const SlotIndex slot : arrived_) lost.push_back({table_[slot].spec, table_[slot].spec.prompt_tokens, table_[slot].produced});
  for (auto it = preempted_.rbegin(); it != preempted_.rend(); ++it) lost.push_back({table_[*it].spec, 0, table_[*it].produced});
  waiting_.for_each([&](const RequestSpec& spec) { lost.push_back({spec, 0, 0}); });
  return lost;
}

}  // namespace moeplan
