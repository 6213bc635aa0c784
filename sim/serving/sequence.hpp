// The requests that run on one replica, in fixed slots. Two intrusive lists tie them: the running order (order of arrival, so the last one
// is preempted first) and the milestone calendar.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/units.hpp"
#include "serving/prefix_cache.hpp"
#include "workload/request_source.hpp"

namespace moeplan {

using SlotIndex = std::int32_t;
inline constexpr SlotIndex kNoSlot = -1;
/// A decode step that never comes.
inline constexpr std::int64_t kNoStep = std::numeric_limits<std::int64_t>::max();
/// A time not known yet.
inline constexpr SimTime kUnset{-1};

/// A request while it runs, or after preemption while it waits to run again. Decode steps are counted per replica; a decoding sequence
/// has produced `output - (end_step - steps so far)` tokens and holds `prompt + produced - 1` in the KV cache.
struct Sequence {
  RequestSpec spec;
  SimTime scheduled = kUnset;     ///< start of the first step with one of its tokens
  SimTime first_token = kUnset;   ///< when the client sees its first token, path latency not included
  SimTime token_at = kUnset;      ///< its last token made outside a decode step, or before preemption
  SimTime seen_at = kUnset;       ///< last time the client saw tokens, where the decode history does not tell
  std::int32_t produced = 0;      ///< output tokens made, kept while not decoding
  std::int32_t prefill_done = 0;  ///< tokens computed of the present prefill (prompt, after preemption also the output so far)
  std::int32_t preemptions = 0;
  std::int32_t cached = 0;        ///< prompt tokens found in the prefix cache when it was first admitted
  std::int32_t copy = -1;         ///< of attention that it runs on, where prompts of the copies wait for each other
  PrefixCache::Path path{};       ///< blocks that it shares
  std::int64_t held = 0;          ///< speculation: KV tokens while it decodes
  std::int64_t kept_tokens = 0;   ///< preempted, prefix caching: tokens in the blocks it gave back
  Bytes overwritten_from{0};      ///< KvCache::taken() at which others begin to overwrite those blocks, the last ones first
  bool in_groups = false;              ///< the client sees its tokens in regular groups (TokenStream)
  std::int64_t join_step = 0;          ///< decode steps done when it began to decode
  std::int64_t due = kNoStep;          ///< decode step of its next milestone: the least of the three below
  std::int64_t end_step = kNoStep;     ///< makes its last token
  std::int64_t window_step = kNoStep;  ///< has all blocks of its windowed layers
  std::int64_t group_step = kNoStep;   ///< completes the first group of tokens the client sees
  SlotIndex running_before = kNoSlot, running_after = kNoSlot;
  SlotIndex bucket_before = kNoSlot, bucket_after = kNoSlot;

  /// Tokens to compute before it decodes: the prompt and, when it was preempted, what it had produced.
  [[nodiscard]] std::int32_t prefill_tokens() const { return spec.prompt_tokens + produced; }
  /// KV tokens it holds in the end; the last output token is never written.
  [[nodiscard]] std::int64_t final_tokens() const { return std::int64_t{spec.prompt_tokens} + spec.output_tokens - 1; }
};

/// Slots for sequences, reused. Grows to the largest number ever in use at once.
class SequenceTable {
 public:
  [[nodiscard]] const Sequence& operator[](SlotIndex slot) const { return slots_[static_cast<std::size_t>(slot)]; }
  [[nodiscard]] Sequence& operator[](SlotIndex slot) { return slots_[static_cast<std::size_t>(slot)]; }
  SlotIndex take(const RequestSpec& spec) {
    SlotIndex slot = kNoSlot;
    if (free_.empty()) {
      slot = static_cast<SlotIndex>(slots_.size());
      slots_.emplace_back();
      free_.reserve(slots_.capacity());
    } else {
      slot = free_.back();
      free_.pop_back();
      (*this)[slot] = Sequence{};
    }
    (*this)[slot].spec = spec;
    return slot;
  }
  void give_back(SlotIndex slot) { free_.push_back(slot); }

 private:
  std::vector<Sequence> slots_;
  std::vector<SlotIndex> free_;
};

/// Running sequences in order of arrival.
class RunningList {
 public:
  [[nodiscard]] SlotIndex last() const { return last_; }
  /// Of those of lowest priority, the last. REQUIRES: not empty.
  [[nodiscard]] SlotIndex least(SequenceTable& table) const {
    SlotIndex found = last_;
    for (SlotIndex slot = last_; slot != kNoSlot; slot = table[slot].running_before) {
      if (table[slot].spec.priority < table[found].spec.priority) found = slot;
    }
    return found;
  }
  [[nodiscard]] std::int32_t size() const { return size_; }
  void append(SequenceTable& table, SlotIndex slot) {
    table[slot].running_before = last_;
    table[slot].running_after = kNoSlot;
    if (last_ != kNoSlot) table[last_].running_after = slot;
    last_ = slot;
    ++size_;
  }
  void remove(SequenceTable& table, SlotIndex slot) {
    const Sequence& s = table[slot];
    if (s.running_before != kNoSlot) table[s.running_before].running_after = s.running_after;
    if (s.running_after != kNoSlot) table[s.running_after].running_before = s.running_before;
    if (last_ == slot) last_ = s.running_before;
    --size_;
  }

 private:
  SlotIndex last_ = kNoSlot;
  std::int32_t size_ = 0;
};

/// Decoding sequences by the decode step at which something happens to them. A bucket holds the steps that are equal modulo kBuckets;
/// looking at a sequence once per lap costs less than a heap.
class MilestoneCalendar {
 public:
  void add(SequenceTable& table, SlotIndex slot) {
    SlotIndex& head = buckets_[bucket(table[slot].due)];
    table[slot].bucket_before = kNoSlot;
    table[slot].bucket_after = head;
    if (head != kNoSlot) table[head].bucket_before = slot;
    head = slot;
  }
  void remove(SequenceTable& table, SlotIndex slot) {
    const Sequence& s = table[slot];
    if (s.bucket_before == kNoSlot) {
      buckets_[bucket(s.due)] = s.bucket_after;
    } else {
      table[s.bucket_before].bucket_after = s.bucket_after;
    }
    if (s.bucket_after != kNoSlot) table[s.bucket_after].bucket_before = s.bucket_before;
  }
  /// First sequence of the bucket of `step`; follow bucket_after and compare `due`.
  [[nodiscard]] SlotIndex first(std::int64_t step) const { return buckets_[bucket(step)]; }

 private:
  static constexpr std::size_t kBuckets = 1024;
  static std::size_t bucket(std::int64_t step) { return static_cast<std::size_t>(step) & (kBuckets - 1); }
  std::vector<SlotIndex> buckets_ = std::vector<SlotIndex>(kBuckets, kNoSlot);
};

}  // namespace moeplan
