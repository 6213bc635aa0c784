// Keeps everything an Observer is told, for tests to look at.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "serving/observer.hpp"

namespace moeplan::testing {

class RecordingObserver final : public Observer {
 public:
  struct Step {
    std::int32_t replica = 0;
    SimTime start{0}, end{0};
    std::int32_t decodes = 0, prefill = 0;
    std::int64_t context = 0, kv_tokens = 0;
    std::int32_t running = 0, waiting = 0;
    bool operator==(const Step&) const = default;
  };
  struct Gap {
    SimTime at{0}, gap{0};
    std::int64_t tokens = 0;
  };
  struct Rejection {
    std::uint64_t id = 0;
    RejectReason reason{};
    SimTime at{0};
  };

  void on_arrival(const RequestSpec& spec) override { arrivals.push_back(spec); }
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) override { rejected.push_back({spec.id, reason, at}); }
  void on_turned_away(const RequestSpec& spec, SimTime at) override { turned_away.emplace_back(spec.id, at); }
  void on_preempted(std::uint64_t id, std::int32_t, SimTime) override { preempted.push_back(id); }
  void on_finished(const FinishedRequest& r) override { finished.push_back(r); }
  void on_step(const StepRecord& r) override {
    steps.push_back({r.replica, r.start, r.end, r.prepared->decode_sequences, r.prepared->prefill_tokens, r.decode_context,
                     r.kv_tokens_used, r.running, r.waiting});
  }
  void on_token_gaps(SimTime at, SimTime gap, std::int64_t tokens) override { gaps.push_back({at, gap, tokens}); }
  void on_end(SimTime now) override { ended = now; }

  /// The finished requests by id.
  [[nodiscard]] std::map<std::uint64_t, FinishedRequest> by_id() const {
    std::map<std::uint64_t, FinishedRequest> out;
    for (const FinishedRequest& r : finished) out[r.spec.id] = r;
    return out;
  }
  [[nodiscard]] std::int64_t gap_tokens() const {
    std::int64_t sum = 0;
    for (const Gap& g : gaps) sum += g.tokens;
    return sum;
  }

  /// Everything as text: steps and finished requests of each replica in the replica's order, gaps sorted.
  [[nodiscard]] std::string text() const {
    std::map<std::int32_t, std::string> by_replica;
    for (const Step& s : steps) {
      by_replica[s.replica] += line({s.start.count(), s.end.count(), s.decodes, s.prefill, s.context, s.kv_tokens, s.running, s.waiting});
    }
    for (const FinishedRequest& r : finished) {
      by_replica[r.replica] +=
          line({static_cast<std::int64_t>(r.spec.id), r.spec.arrival.count(), r.spec.prompt_tokens, r.spec.output_tokens,
                r.scheduled.count(), r.first_token.count(), r.last_token.count(), r.preemptions});
    }
    std::vector<std::string> gap_lines;
    for (const Gap& g : gaps) gap_lines.push_back(line({g.at.count(), g.gap.count(), g.tokens}));
    std::sort(gap_lines.begin(), gap_lines.end());
    std::string out;
    for (const auto& [replica, lines] : by_replica) out += "replica " + std::to_string(replica) + "\n" + lines;
    for (const std::string& l : gap_lines) out += l;
    return out + line({ended.count(), static_cast<std::int64_t>(rejected.size()), static_cast<std::int64_t>(preempted.size())});
  }

  std::vector<RequestSpec> arrivals;
  std::vector<Rejection> rejected;
  std::vector<std::pair<std::uint64_t, SimTime>> turned_away;
  std::vector<std::uint64_t> preempted;
  std::vector<FinishedRequest> finished;
  std::vector<Step> steps;
  std::vector<Gap> gaps;
  SimTime ended{-1};

 private:
  static std::string line(std::initializer_list<std::int64_t> values) {
    std::string out;
    for (const std::int64_t v : values) out += std::to_string(v) + " ";
    return out + "\n";
  }
};

}  // namespace moeplan::testing
