// What clients see of the tokens: inter-token gaps, and the first token. With `stream_interval` n > 1 (TensorRT-LLM) a client sees tokens n
// at a time: n - 1 gaps of zero and one as long as n steps; its first token comes with the n-th, its last with the end of the output.
//
// Sequences that decode together share their gaps, so a step is one call of the observer however many sequences run; only sequences that
// have just joined have gaps of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "serving/observer.hpp"
#include "serving/sequence.hpp"

namespace moeplan {

class TokenStream {
 public:
  /// REQUIRES: interval > 0.
  TokenStream(int interval, Observer& observer);

  /// `s` has made its token number s.produced at `now` outside a decode step: reports the gap to its token before, if any. When it goes on
  /// to decode, join() follows; else finish().
  void prefill_token(Sequence& s, SimTime now);
  /// `s` (s.produced made) decodes from decode step `steps` + 1 on. Sets s.group_step.
  void join(Sequence& s, std::int64_t steps);
  /// Decode step number `step` ended at `now` for `decoders` sequences.
  void decode_step(std::int64_t step, SimTime now, std::int64_t decoders);
  /// Decode step s.group_step has ended: the client sees the first group since `s` joined.
  void first_group(Sequence& s, std::int64_t step, SimTime now);
  /// `s` has made its last token at `now`, in decode step `step` (or in prefill).
  void finish(Sequence& s, std::int64_t step, SimTime now);
  /// `s` (s.produced made) is preempted after decode step `step`.
  void preempt(Sequence& s, std::int64_t step);

 private:
  struct Newcomers {
    SimTime token_at{0};
    std::int64_t count = 0;
  };
  [[nodiscard]] std::size_t phase(std::int64_t step) const { return static_cast<std::size_t>(step % interval_); }
  void shared_gaps(SimTime now, std::int64_t decoders);

  Observer& observer_;
  std::int64_t interval_;
  // interval 1
  SimTime last_end_{-1};              ///< end of the last decode step
  std::vector<Newcomers> newcomers_;  ///< those whose last token is younger
  // interval > 1
  std::vector<SimTime> ends_;         ///< ends of the last `interval` decode steps, by step modulo interval
  std::vector<std::int64_t> groups_;  ///< decoding sequences whose groups end at that step modulo interval
};

}  // namespace moeplan
