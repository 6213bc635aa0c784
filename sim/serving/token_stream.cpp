#include "serving/token_stream.hpp"

#include "base/error.hpp"

namespace moeplan {

TokenStream::TokenStream(int interval, Observer& observer) : observer_(observer), interval_(interval) {
  MOEPLAN_CHECK(interval > 0);
  ends_.assign(static_cast<std::size_t>(interval), SimTime{0});
  groups_.assign(static_cast<std::size_t>(interval), 0);
}

void TokenStream::prefill_token(Sequence& s, SimTime now) {
  if (interval_ == 1) {
    if (s.produced == 1) {
      s.first_token = now;
    } else {
      observer_.on_token_gaps(now, now - s.token_at, 1);
    }
  } else if (s.produced % interval_ == 0) {
    first_group(s, kNoStep, now);
  }
  s.token_at = now;
}

void TokenStream::join(Sequence& s, std::int64_t steps) {
  s.join_step = steps;
  if (interval_ > 1) {
    s.group_step = steps + interval_ - s.produced % interval_;
    return;
  }
  if (s.token_at == last_end_) return;  // made beside a decode step: shares the next gap with everybody
  if (newcomers_.empty() || newcomers_.back().token_at != s.token_at) newcomers_.push_back({s.token_at, 0});
  ++newcomers_.back().count;
}

void TokenStream::decode_step(std::int64_t step, SimTime now, std::int64_t decoders) {
  if (interval_ == 1) {
    shared_gaps(now, decoders);
    last_end_ = now;
    return;
  }
  const std::size_t at = phase(step);
  if (groups_[at] > 0) {
    observer_.on_token_gaps(now, now - ends_[at], groups_[at]);
    observer_.on_token_gaps(now, SimTime{0}, groups_[at] * (interval_ - 1));
  }
  ends_[at] = now;
}

void TokenStream::shared_gaps(SimTime now, std::int64_t decoders) {
  for (const Newcomers& group : newcomers_) decoders -= group.count;
  if (decoders > 0) observer_.on_token_gaps(now, now - last_end_, decoders);
  if (newcomers_.empty()) return;
  for (const Newcomers& group : newcomers_) {
    if (group.count > 0) observer_.on_token_gaps(now, now - group.token_at, group.count);
  }
  newcomers_.clear();
}

void TokenStream::first_group(Sequence& s, std::int64_t step, SimTime now) {
  if (s.first_token == kUnset) {
    s.first_token = now;
  } else {
    observer_.on_token_gaps(now, now - s.seen_at, 1);
  }
  observer_.on_token_gaps(now, SimTime{0}, interval_ - 1);
  s.seen_at = now;
  if (step == kNoStep) return;
  s.in_groups = true;
  ++groups_[phase(step)];
  s.group_step = kNoStep;
}

void TokenStream::finish(Sequence& s, std::int64_t step, SimTime now) {
  if (interval_ == 1) return;
  const std::int64_t unseen = s.spec.output_tokens % interval_;
  if (unseen > 0) {
    if (s.first_token == kUnset) {
      s.first_token = now;
    } else {
      observer_.on_token_gaps(now, now - (s.in_groups ? ends_[phase(step - unseen)] : s.seen_at), 1);
    }
    if (unseen > 1) observer_.on_token_gaps(now, SimTime{0}, unseen - 1);
  }
  if (s.in_groups) --groups_[phase(step - unseen)];
}

void TokenStream::preempt(Sequence& s, std::int64_t step) {
  const bool decoded = step > s.join_step;
  if (interval_ > 1) {
    if (!s.in_groups) return;
    const std::size_t at = phase(step - s.produced % interval_);
    s.seen_at = ends_[at];
    --groups_[at];
    s.in_groups = false;
    return;
  }
  if (decoded || s.token_at == last_end_) {
    s.token_at = last_end_;
    return;
  }
  for (Newcomers& group : newcomers_) {
    if (group.token_at == s.token_at) --group.count;
  }
}

}  // namespace moeplan
