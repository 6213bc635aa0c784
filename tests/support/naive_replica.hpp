// The serving rules written the slow and obvious way: every sequence is scanned at every step and every token's time is kept. An oracle for
// the engine, which never scans.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "serving/replica.hpp"
#include "support/recording_observer.hpp"

namespace moeplan::testing {

class NaiveReplica {
 public:
  struct Request {
    RequestSpec spec;
    SimTime scheduled{-1};
    std::vector<SimTime> tokens;  ///< when each output token was made
    int target = 0;               ///< tokens of its present prefill
    int done = 0;                 ///< of them computed
    int held = 0;                 ///< KV tokens while decoding
    bool decoding = false;
    int preemptions = 0;
    [[nodiscard]] std::int64_t final_tokens() const { return std::int64_t{spec.prompt_tokens} + spec.output_tokens - 1; }
  };

  NaiveReplica(const ReplicaConfig& config, const StepCost& cost, std::uint64_t seed)
      : config_(config), cost_(cost), routing_(seed, "routing/replica", 0) {}

  /// Runs `specs` (all acceptable, in order of arrival) to the end.
  void run(const std::vector<RequestSpec>& specs) {
    for (const RequestSpec& spec : specs) {
      requests.emplace_back();
      requests.back().spec = spec;
    }
    std::size_t arrived = 0;
    for (;;) {
      if (running_.empty() && waiting_.empty()) {
        if (arrived == requests.size()) return;
        now_ = std::max(now_, requests[arrived].spec.arrival);
      }
      while (arrived < requests.size() && requests[arrived].spec.arrival <= now_) waiting_.push_back(arrived++);
      step();
    }
  }

  std::vector<Request> requests;

 private:
  [[nodiscard]] std::int64_t cost_of(std::int64_t tokens) const { return config_.kv_layout.cost(tokens).value(); }
  [[nodiscard]] std::int64_t used() const {
    std::int64_t sum = 0;
    for (const std::size_t i : running_) sum += cost_of(requests[i].decoding ? requests[i].held : requests[i].target);
    return sum;
  }
  [[nodiscard]] std::int64_t promised() const {
    std::int64_t sum = 0;
    for (const std::size_t i : running_) sum += cost_of(requests[i].final_tokens());
    return sum;
  }
  [[nodiscard]] std::int64_t growth() const {
    std::int64_t sum = 0;
    for (const std::size_t i : running_) {
      if (requests[i].decoding) sum += cost_of(requests[i].held + 1) - cost_of(requests[i].held);
    }
    return sum;
  }
  [[nodiscard]] int decoders() const {
    return static_cast<int>(std::count_if(running_.begin(), running_.end(), [&](std::size_t i) { return requests[i].decoding; }));
  }

  bool make_room() {
    bool preempted = false;
    while (used() + growth() > config_.kv_capacity.value()) {
      Request& r = requests[running_.back()];
      r.decoding = false;
      r.done = 0;
      ++r.preemptions;
      waiting_.push_front(running_.back());
      running_.pop_back();
      preempted = true;
    }
    return preempted;
  }

  void advance_decodes() {
    for (const std::size_t i : running_) {
      if (requests[i].decoding) {
        ++requests[i].held;
        riding_.push_back(i);
      }
    }
  }

  void chunk(std::size_t i, int& budget, bool whole_first) {
    Request& r = requests[i];
    const int left = r.target - r.done;
    const int tokens = config_.scheduler.chunked_prefill ? std::min(left, budget) : (left <= budget || whole_first ? left : 0);
    if (tokens == 0) return;
    budget -= tokens;
    chunks_.push_back({tokens, r.done, tokens == left});
    chunk_of_.push_back(i);
    r.done += tokens;
  }

  void fill(int budget) {
    for (const std::size_t i : running_) {
      if (!requests[i].decoding) chunk(i, budget, chunks_.empty());
    }
    const int limit = std::min(config_.scheduler.max_batch_requests, config_.scheduler.max_batch_tokens);
    while (!waiting_.empty() && static_cast<int>(running_.size()) < limit) {
      const std::size_t i = waiting_.front();
      Request& r = requests[i];
      r.target = r.spec.prompt_tokens + static_cast<int>(r.tokens.size());
      const std::int64_t now = used() + cost_of(r.target);
      const std::int64_t later = promised() + cost_of(r.final_tokens()) - now;
      const auto kept = static_cast<std::int64_t>(config_.scheduler.admission_output_reserve * static_cast<double>(later));
      if (now + kept > config_.kv_capacity.value()) return;
      const std::size_t before = chunks_.size();
      chunk(i, budget, chunks_.empty());
      if (chunks_.size() == before) return;
      waiting_.pop_front();
      running_.push_back(i);
      if (r.scheduled.count() < 0) r.scheduled = now_;
      if (r.done < r.target) return;
    }
  }

  void step() {
    chunks_.clear();
    chunk_of_.clear();
    riding_.clear();
    if (config_.scheduler.prefill_mode == PrefillMode::kMixed) {
      const bool preempted = make_room();
      advance_decodes();
      if (!preempted) fill(std::max(0, config_.scheduler.max_batch_tokens - decoders()));
    } else {
      fill(config_.scheduler.max_batch_tokens);
      if (chunks_.empty()) {
        make_room();
        advance_decodes();
      }
    }
    std::int64_t context = 0;
    for (const std::size_t i : riding_) context += requests[i].held;
    PreparedStep prepared;
    cost_.prepare(static_cast<std::int32_t>(riding_.size()), chunks_, prepared);
    now_ += to_sim_time(Seconds(cost_.evaluate(prepared, context, routing_).seconds));
    for (const std::size_t i : riding_) token(i);
    for (std::size_t c = 0; c < chunks_.size(); ++c) {
      Request& r = requests[chunk_of_[c]];
      if (!chunks_[c].samples) continue;
      r.decoding = true;
      r.held = r.target;
      token(chunk_of_[c]);
    }
  }

  void token(std::size_t i) {
    Request& r = requests[i];
    r.tokens.push_back(now_);
    if (static_cast<int>(r.tokens.size()) == r.spec.output_tokens) running_.erase(std::find(running_.begin(), running_.end(), i));
  }

  ReplicaConfig config_;
  const StepCost& cost_;
  RandomStream routing_;
  SimTime now_{0};
  std::deque<std::size_t> waiting_;
  std::vector<std::size_t> running_;  // in order of arrival
  std::vector<std::size_t> riding_;
  std::vector<PrefillChunk> chunks_;
  std::vector<std::size_t> chunk_of_;
};

}  // namespace moeplan::testing
