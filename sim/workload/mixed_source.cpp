#include "workload/mixed_source.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "workload/lengths.hpp"

namespace moeplan {
namespace {

/// Least time between an answer and the next turn.
constexpr SimTime kLeastThought{1'000'000};

using MakeOpen = std::unique_ptr<RequestSource> (*)(const WorkloadConfig&, std::uint64_t);

/// One arrival process and the classes it brings.
struct Stream {
  std::unique_ptr<RequestSource> source;
  std::vector<std::int32_t> class_ids;  ///< of the workload, by the source's own
  std::optional<RequestSpec> next;

  void draw() {
    next = source->next();
    if (next) next->class_id = class_ids[static_cast<std::size_t>(next->class_id)];
  }
};

/// A conversation between two turns, or during one.
struct Session {
  RequestSpec last;
  std::int32_t turns_left = 0;
  RandomStream random;
};

/// What later turns of a class are drawn from.
struct Talk {
  LengthSampler prompt, output, turns;
  double think_seconds;
  std::int64_t max_context;
  SimTime retry_after;
};

class MixedSource final : public RequestSource {
 public:
  MixedSource(const WorkloadConfig& config, std::uint64_t seed, MakeOpen make_open) : seed_(seed), total_(config.requests) {
    WorkloadConfig common = config;
    common.classes.clear();
    std::vector<std::int32_t> common_ids;
    for (std::size_t i = 0; i < config.classes.size(); ++i) {
      const WorkloadClass& c = config.classes[i];
      names_.push_back(c.name);
      talks_.push_back(c.sessions.on ? std::make_optional(Talk{LengthSampler(c.prompt_tokens), LengthSampler(c.output_tokens), LengthSampler(c.sessions.turns),
                                                               c.sessions.think_seconds,
                                                               c.sessions.max_context > 0 ? c.sessions.max_context : std::int64_t{kMaxTokens},
                                                               c.sessions.retry_after})
                                     : std::nullopt);
      sessions_ = sessions_ || c.sessions.on;
      const auto id = static_cast<std::int32_t>(i);
      if (!c.arrivals) {
        common.classes.push_back(c);
        common_ids.push_back(id);
        continue;
      }
      WorkloadConfig own = config;
      own.arrivals = *c.arrivals;
      own.classes = {c};
      // Streams of random numbers are named by purpose: two processes must not draw the same gaps.
      streams_.push_back({make_open(own, seed ^ stable_hash("arrivals/" + c.name)), {id}, std::nullopt});
    }
    if (!common.classes.empty()) streams_.push_back({make_open(common, seed), std::move(common_ids), std::nullopt});
    for (Stream& stream : streams_) stream.draw();
  }

  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    if (!due_.empty()) return next_turn();
    if (sessions_ && told_) return std::nullopt;
    Stream* first = nullptr;
    for (Stream& stream : streams_) {
      if (stream.next && (first == nullptr || stream.next->arrival < first->next->arrival)) first = &stream;
    }
    if (first == nullptr) return std::nullopt;
    RequestSpec spec = *first->next;
    first->draw();
    spec.id = issued_++;
    if (sessions_) {
      told_ = spec.id;
      if (talks_[static_cast<std::size_t>(spec.class_id)]) begin_session(spec);
    }
    return spec;
  }

  void on_arrived(std::uint64_t id) override {
    if (told_ == id) told_.reset();
  }

  void on_finished(std::uint64_t id, SimTime now) override {
    const auto found = running_.find(id);
    if (found == running_.end()) return;
    Session session = std::move(found->second);
    running_.erase(found);
    if (session.turns_left <= 0) return;
    const Talk& talk = *talks_[static_cast<std::size_t>(session.last.class_id)];
    RequestSpec& turn = session.last;
    const std::int64_t prompt = std::int64_t{turn.prompt_tokens} + turn.output_tokens + talk.prompt.draw(session.random);
    turn.output_tokens = talk.output.draw(session.random);
    if (prompt > talk.max_context) return;
    turn.prompt_tokens = static_cast<std::int32_t>(prompt);
    turn.arrival = now + std::max(kLeastThought, to_sim_time(Seconds(talk.think_seconds * session.random.exponential())));
    --session.turns_left;
    due_.emplace(std::pair{turn.arrival, id}, std::move(session));
  }

  [[nodiscard]] bool closed() const override { return sessions_; }
  [[nodiscard]] SimTime turnaround() const override { return kLeastThought; }
  [[nodiscard]] SimTime retry_after(const RequestSpec& spec) const override {
    const auto& talk = talks_[static_cast<std::size_t>(spec.class_id)];
    return talk ? talk->retry_after : SimTime{0};
  }
  [[nodiscard]] std::uint64_t total() const override { return total_; }

 private:
  void begin_session(RequestSpec& spec) {
    const auto number = static_cast<std::uint64_t>(next_session_++);
    spec.session_id = static_cast<std::int64_t>(number);
    RandomStream random(seed_, "sessions/" + names_[static_cast<std::size_t>(spec.class_id)], number);
    const std::int32_t turns = talks_[static_cast<std::size_t>(spec.class_id)]->turns.draw(random);
    running_.emplace(spec.id, Session{spec, turns - 1, random});
  }

  RequestSpec next_turn() {
    Session session = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    session.last.id = issued_++;
    const RequestSpec spec = session.last;
    running_.emplace(spec.id, std::move(session));
    return spec;
  }

  std::uint64_t seed_;
  std::uint64_t total_;
  std::uint64_t issued_ = 0;
  std::vector<Stream> streams_;
  std::vector<std::string> names_;          ///< of the classes
  std::vector<std::optional<Talk>> talks_;  ///< by class
  bool sessions_ = false;
  std::optional<std::uint64_t> told_;  ///< a session's first request whose arrival has not happened
  std::int64_t next_session_ = 0;
  std::map<std::uint64_t, Session> running_;                        ///< by the request that is being answered
  std::map<std::pair<SimTime, std::uint64_t>, Session> due_;  ///< decided turns, by arrival and the request before
};

}  // namespace

std::unique_ptr<RequestSource> make_mixed_source(const WorkloadConfig& config, std::uint64_t seed, MakeOpen make_open) {
  return std::make_unique<MixedSource>(config, seed, make_open);
}

}  // namespace moeplan
