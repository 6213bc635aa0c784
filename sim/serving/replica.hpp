// One copy of the model behind the request router: continuous batching over a paged KV cache, first come first served, preemption by
// recompute. It has its own clock and runs its steps inline up to a horizon, the earliest instant at which something outside can touch it.
//
// An instant has an order: steps complete, then requests arrive, then the next step is decided. Without a prefix cache (KvReuse), preempted
// requests still find their own blocks again where the engine caches blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.hpp"
#include "cost/step_cost.hpp"
#include "serving/batch_policy.hpp"
#include "serving/kv_cache.hpp"
#include "serving/kv_reuse.hpp"
#include "serving/observer.hpp"
#include "serving/sequence.hpp"
#include "serving/speculation.hpp"
#include "serving/token_stream.hpp"
#include "serving/waiting_queue.hpp"

namespace moeplan {

struct ReplicaConfig {
  SchedulerConfig scheduler;
  KvLayout kv_layout;
  Bytes kv_capacity{0};
  KvReuseConfig kv_reuse;  ///< REQUIRES, when enabled: every KV block costs the same
  /// HTTP, tokenizer and detokenizer time, off the GPU: a client sees every token this much later than the replica makes it, and later still by
  /// so much per token of its prompt and per request that runs when it ends. First and last token shift alike, so it adds to TTFT and end-to-end
  /// time and not to TPOT.
  Seconds request_latency{0}, request_per_token{0}, request_per_stream{0};
  int stream_interval = 1;        ///< clients see tokens in groups of this many
  SpeculationConfig speculation;  ///< with drafts, stream_interval counts as 1
  bool hands_over = false;        ///< a prefill pool: requests leave after their first token
  bool takes_over = false;        ///< a decode pool: requests come with their prompt computed
  bool keep_completions = false;  ///< somebody outside waits for completions and clears them
};

/// A request whose prompt a prefill replica has computed; its KV stays there until sent().
struct HandOff {
  RequestSpec spec;
  SlotIndex slot = kNoSlot;
  SimTime spec_scheduled{0};  ///< start of its first step
  SimTime ready{0};           ///< end of its last
  std::int32_t cached = 0;
};

/// A request that its replica takes with it when it dies.
struct AbandonedRequest {
  RequestSpec spec;
  std::int64_t computed_tokens = 0;  ///< KV tokens it held, of ended steps
  std::int32_t output_tokens = 0;    ///< made so far
};

class Replica {
 public:
  /// What a closed loop waits for.
  struct Completion {
    std::uint64_t id = 0;
    SimTime seen_at{0};  ///< the client has the last token
  };

  /// `cost` and `observer` must outlive it.
  Replica(std::int32_t index, const ReplicaConfig& config, const StepCost& cost, Observer& observer, std::uint64_t seed);
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  /// Why a request can never run here; nothing when it can.
  [[nodiscard]] std::optional<RejectReason> refuses(const RequestSpec& spec) const;
  /// Whether the queue takes no more; of clock(), so advance_to the arrival first.
  [[nodiscard]] bool queue_full(const RequestSpec& spec) const {
    return policy_.queue_full(waiting_size(), queued_tokens_, spec.prompt_tokens);
  }
  /// A request arrives. REQUIRES: advance_to(now) was called; refuses() nothing.
  void enqueue(const RequestSpec& spec, SimTime now);

  // Prefill and decode pools.
  /// With hands_over: requests that have made their first token and are to go on elsewhere, since it was last cleared.
  [[nodiscard]] std::vector<HandOff>& hand_offs() { return hand_offs_; }
  /// The KV of such a request has left.
  void sent(SlotIndex slot);
  /// With takes_over: whether such a request finds a place and the blocks of its prompt.
  [[nodiscard]] bool has_room(const RequestSpec& spec) const;
  /// Reserves both. REQUIRES: has_room.
  SlotIndex take_over(const HandOff& hand_off, SimTime now);
  /// Its KV does not come: gives both back.
  void release(SlotIndex slot);
  /// Its KV is here at `now`: it joins the next step.
  void arrive(SlotIndex slot, SimTime now);
  /// An idle replica's clock moves on to `now`.
  void wake(SimTime now) { clock_ = std::max(clock_, now); }

  /// Runs inline: completes the steps that end at `horizon` or before, starts those that begin before it.
  void advance_to(SimTime horizon);

  // One step at a time; advance_to is made of these.
  /// Decides the next step at `clock()` and starts it; false when there is nothing to run. REQUIRES: no step is running.
  bool start_step();
  /// Ends the running step. REQUIRES: one is running.
  void complete_step();
  /// End of the running step, kNever when none runs.
  [[nodiscard]] SimTime step_end() const { return step_end_; }
  [[nodiscard]] SimTime clock() const { return clock_; }
  /// Requests run or wait.
  [[nodiscard]] bool has_work() const { return running_.size() > 0 || has_waiting() || !arrived_.empty(); }

  /// Prompt tokens to compute and output tokens to make, over all requests here, at clock().
  [[nodiscard]] std::int64_t outstanding_tokens() const { return outstanding_tokens_; }
  /// Requests that run or wait, and those of them that wait.
  [[nodiscard]] std::int32_t requests() const { return running_.size() + waiting_size(); }
  [[nodiscard]] std::int32_t waiting_requests() const { return waiting_size(); }
  /// What would be lost if it died now: those that run in their order, then those that wait. In pools without what is handed over
  /// or under way.
  [[nodiscard]] std::vector<AbandonedRequest> in_flight() const;
  /// With keep_completions: requests that have made their last token, in that order, since it was last cleared.
  [[nodiscard]] std::vector<Completion>& completions() { return completions_; }
  /// What its GPUs have sent to other nodes in the steps so far, each of them.
  struct Sent {
    double bytes = 0;
    double card_seconds = 0;  ///< time during which the cards were waited for
    double step_seconds = 0;
  };
  [[nodiscard]] const Sent& sent() const { return sent_; }
  /// Factor by which others on the same links stretch what the cards do, from the next step on; 1 when alone.
  void set_network_slowdown(double factor) { network_slowdown_ = factor; }
  /// The client's time of the last token made so far.
  [[nodiscard]] SimTime last_seen() const { return last_seen_; }
  [[nodiscard]] const KvCache& kv_cache() const { return kv_; }
  /// The prefix cache, null without one.
  [[nodiscard]] const KvReuse* kv_reuse() const { return reuse_.get(); }
  /// Speculative decoding, null without.
  [[nodiscard]] const Speculation* speculation() const { return speculation_.get(); }
  [[nodiscard]] std::int32_t index() const { return index_; }

 private:
  [[nodiscard]] bool has_waiting() const { return !preempted_.empty() || !waiting_.empty(); }
  [[nodiscard]] std::int32_t waiting_size() const { return static_cast<std::int32_t>(preempted_.size() + waiting_.size()); }
  [[nodiscard]] std::int32_t seen_size() const { return waiting_size() - unseen_; }
  [[nodiscard]] bool has_seen() const { return seen_size() > 0; }

  // deciding a step
  bool compose();
  void join_arrived();
  void look_at_queue();
  [[nodiscard]] Bytes decode_growth() const;
  void grow_decodes();
  bool make_room();
  void make_way();
  void preempt(SlotIndex slot);
  void form_batch();
  void order_queue();
  [[nodiscard]] SlotIndex next_preempted() const;
  [[nodiscard]] bool prefill_due();
  [[nodiscard]] bool copies_wait() const { return !copies_.empty(); }
  [[nodiscard]] std::int32_t next_copy() const;
  void fill_prefill(std::int32_t budget);
  SlotIndex admit_next(std::int32_t budget);
  [[nodiscard]] std::int32_t blocks_found(const Sequence& s) const;
  void resume(SlotIndex slot, std::int32_t found);
  void leave_kv(Sequence& s, std::int64_t counted, std::int64_t computed);
  void add_chunk(SlotIndex slot, std::int32_t tokens);
  void time_step();
  SimTime enter_epoch();

  // ending a step
  void complete_decodes();
  void complete_drafts();
  void on_milestones();
  void complete_chunk(std::size_t index);
  void start_decode(SlotIndex slot);
  void schedule_milestone(SlotIndex slot);
  void finish_decoding(SlotIndex slot);
  void finish(SlotIndex slot, std::int64_t held_tokens);
  void hand_over(SlotIndex slot);

  const std::int32_t index_;
  const StepCost& cost_;
  Observer& observer_;
  const BatchPolicy policy_;
  const Seconds request_latency_, request_per_token_, request_per_stream_;
  const bool keep_completions_;
  const bool finds_blocks_again_;
  const bool hands_over_;
  const bool in_pool_;
  RandomStream routing_;

  SimTime clock_{0};
  SimTime step_end_ = kNever;
  SimTime last_seen_{0};
  SimTime busy_until_{0};  ///< end of the last step
  RoutingEpoch epoch_;

  KvCache kv_;
  std::unique_ptr<KvReuse> reuse_;
  std::unique_ptr<Speculation> speculation_;
  Bytes drafted_blocks_{0};      ///< taken for the running step's drafts
  std::int32_t drafts_ = 0;      ///< tokens drafted per sequence in the running step
  SimTime last_drafts_{-1};      ///< end of the last decode step
  TokenStream stream_;
  SequenceTable table_;
  RunningList running_;
  MilestoneCalendar milestones_;
  WaitingQueue waiting_;
  std::vector<SlotIndex> preempted_;  ///< ahead of waiting_, the next one at the back

  std::int32_t decoding_ = 0;        ///< sequences that decode
  std::int64_t decode_context_ = 0;  ///< KV tokens they hold
  std::int64_t decode_steps_ = 0;    ///< decode steps ended
  std::int64_t held_tokens_ = 0;     ///< KV tokens of all running sequences
  std::int64_t outstanding_tokens_ = 0;
  std::int64_t queued_tokens_ = 0;   ///< prompt tokens of waiting_
  std::int32_t came_in_step_ = 0;    ///< requests that arrived during the running step
  std::int32_t unseen_ = 0;          ///< last ones of waiting_ that came too late for the step being decided
  std::int32_t batch_room_ = 0;      ///< fixed batches: requests that may still join the one being formed
  std::vector<SlotIndex> partials_;  ///< sequences whose prompts are computed in part: one per copy of attention at most

  // the running step
  bool decodes_ride_ = false;
  std::vector<PrefillChunk> chunks_;
  std::vector<SlotIndex> chunk_slots_;
  PreparedStep prepared_;
  bool prepared_valid_ = false;
  double network_slowdown_ = 1;
  std::int32_t held_steps_ = 0;  ///< decode steps that waiting prompts have been held back
  /// A copy of attention, where the copies' prompts wait for each other: requests it has, those of them that wait, prompt tokens it has in
  /// the step.
  struct AttentionCopy {
    std::int32_t requests = 0, waiting = 0, in_step = 0;
  };
  std::vector<AttentionCopy> copies_;
  Sent sent_;
  StepOutcome outcome_;
  StepRecord record_;
  std::vector<Completion> completions_;

  // pools
  std::vector<HandOff> hand_offs_;
  std::vector<SlotIndex> ended_;    ///< speculation: have made their last token in this step
  std::vector<SlotIndex> arrived_;  ///< join the next step
  std::int32_t incoming_ = 0;       ///< reserved for, KV under way or arrived_
};

/// Tells `observer` what `replica` did in all.
void report_end(const Replica& replica, Observer& observer);

}  // namespace moeplan
