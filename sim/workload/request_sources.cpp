#include "workload/request_sources.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "workload/hourly_rate.hpp"
#include "workload/mixed_source.hpp"
#include "workload/request_maker.hpp"

namespace moeplan {
namespace {

/// Rounded to the nearest nanosecond; a freak draw stops short of the end of time.
SimTime nearest_sim_time(double seconds) { return SimTime(static_cast<std::int64_t>(std::min(seconds * 1e9 + 0.5, 9.0e18))); }

class OpenSource : public RequestSource {
 public:
  void on_finished(std::uint64_t /*id*/, SimTime /*now*/) final {}
  [[nodiscard]] bool closed() const final { return false; }
  [[nodiscard]] std::uint64_t total() const final { return total_; }

 protected:
  OpenSource(const WorkloadConfig& config, std::uint64_t seed) : maker_(config, seed), total_(config.requests) {}
  RequestMaker maker_;
  std::uint64_t total_;
  std::uint64_t issued_ = 0;
};

/// Poisson and gamma arrivals. The first gap starts at time 0.
class RenewalSource final : public OpenSource {
 public:
  RenewalSource(const WorkloadConfig& config, std::uint64_t seed)
      : OpenSource(config, seed),
        hourly_(config.arrivals.hourly_factors),
        random_(seed, "arrivals"),
        poisson_(config.arrivals.process == ArrivalProcess::kPoisson),
        shape_(1.0 / (config.arrivals.cv * config.arrivals.cv)),
        scale_(poisson_ ? 1.0 / config.arrivals.rate : 1.0 / (config.arrivals.rate * shape_)) {}

  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    clock_ += scale_ * (poisson_ ? random_.exponential() : random_.gamma(shape_));
    return maker_.make(issued_++, nearest_sim_time(hourly_.simulated(clock_)));
  }

 private:
  HourlyRate hourly_;
  RandomStream random_;
  bool poisson_;
  double shape_;
  double scale_;
  double clock_ = 0;  ///< operational seconds
};

/// Poisson arrivals whose rate follows a chain of states, each of exponential length, visited in turn from a random one on.
class ModulatedSource final : public OpenSource {
 public:
  ModulatedSource(const WorkloadConfig& config, std::uint64_t seed)
      : OpenSource(config, seed),
        hourly_(config.arrivals.hourly_factors),
        states_(config.arrivals.states),
        random_(seed, "arrivals"),
        changes_(seed, "arrivals/states") {
    double all = 0;
    for (const RateState& state : states_) all += state.mean_seconds;
    double x = changes_.uniform() * all;
    while (at_ + 1 < states_.size() && (x -= states_[at_].mean_seconds) >= 0) ++at_;
    until_ = states_[at_].mean_seconds * changes_.exponential();
  }

  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    // An arrival comes when the rate has added up to an exponential of mean 1.
    double wanted = random_.exponential();
    for (;;) {
      const double rate = states_[at_].rate;
      const double offered = rate * (until_ - clock_);
      if (wanted < offered) {
        clock_ += wanted / rate;
        return maker_.make(issued_++, nearest_sim_time(hourly_.simulated(clock_)));
      }
      wanted -= offered;
      clock_ = until_;
      at_ = at_ + 1 < states_.size() ? at_ + 1 : 0;
      until_ += states_[at_].mean_seconds * changes_.exponential();
    }
  }

 private:
  HourlyRate hourly_;
  std::vector<RateState> states_;
  RandomStream random_;
  RandomStream changes_;
  std::size_t at_ = 0;
  double clock_ = 0;
  double until_ = 0;  ///< the state lasts
};

class BatchSource final : public OpenSource {
 public:
  BatchSource(const WorkloadConfig& config, std::uint64_t seed) : OpenSource(config, seed) {}
  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    return maker_.make(issued_++, SimTime(0));
  }
};

class TraceSource final : public OpenSource {
 public:
  TraceSource(const WorkloadConfig& config, std::uint64_t seed)
      : OpenSource(config, seed),
        cycle_(config.arrivals.file, config.arrivals.prompt_blocks),
        summary_(*config.arrivals.trace),
        rows_(config.arrivals.trace->rows),
        speedup_(config.arrivals.speedup),
        copies_(config.arrivals.copies),
        repeat_(config.arrivals.repeat),
        hourly_(config.arrivals.hourly_factors),
        random_(seed, "arrivals/copies") {
    const double span = to_seconds(config.arrivals.trace->last - config.arrivals.trace->first).value();
    period_ = rows_ > 1 ? span + span / static_cast<double>(rows_ - 1) : 0.0;
  }

  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    if (copies_ != 1) return next_copy();
    const TraceRow& row = cycle_.next();
    return issue(nearest_sim_time(hourly_.simulated(seconds_of(row, issued_))), row, issued_ / rows_);
  }

 private:
  static constexpr double kCopySpread = 60.0;  ///< seconds within which copies of a row arrive: shorter than what a daily curve shows

  /// A copy of a row that is yet to arrive. `other`: repetition or copy of the trace that it belongs to, whose prompts are its own.
  struct Copy {
    double seconds;
    std::uint64_t order;
    std::uint64_t other;
    TraceRow row;
    bool operator>(const Copy& c) const { return seconds != c.seconds ? seconds > c.seconds : order > c.order; }
  };

  [[nodiscard]] double seconds_of(const TraceRow& row, std::uint64_t number) const {
    return (to_seconds(row.arrival).value() + static_cast<double>(number / rows_) * period_) / speedup_;
  }

  RequestSpec issue(SimTime arrival, const TraceRow& row, std::uint64_t other) {
    RequestSpec spec = maker_.make(issued_++, arrival, &row);
    if (!row.blocks.empty()) keep_blocks(row, other, spec);
    return spec;
  }

  /// Row number r comes floor((r + 1) copies) - floor(r copies) times. Rows are read until none can bring an earlier arrival.
  RequestSpec next_copy() {
    while ((repeat_ || rows_read_ < rows_) && (waiting_.empty() || read_to_ <= waiting_.top().seconds)) {
      const TraceRow& row = cycle_.next();
      const std::uint64_t number = rows_read_++;
      read_to_ = seconds_of(row, number);
      const auto times = static_cast<std::uint64_t>(std::floor(static_cast<double>(number + 1) * copies_)) -
                         static_cast<std::uint64_t>(std::floor(static_cast<double>(number) * copies_));
      const auto most = static_cast<std::uint64_t>(std::ceil(copies_));
      for (std::uint64_t i = 0; i < times; ++i) {
        const double late = i == 0 ? 0.0 : kCopySpread * random_.uniform();
        waiting_.push({read_to_ + late, copies_made_++, number / rows_ * most + i, row});
      }
    }
    MOEPLAN_CHECK(!waiting_.empty());
    const Copy copy = waiting_.top();
    waiting_.pop();
    return issue(nearest_sim_time(hourly_.simulated(copy.seconds)), copy.row, copy.other);
  }

  /// A repetition of the trace is other people's traffic: its blocks get numbers of their own.
  void keep_blocks(const TraceRow& row, std::uint64_t other, RequestSpec& spec) {
    const std::uint64_t first_new = other * (std::uint64_t{summary_.largest_block} + 1);
    std::vector<std::uint32_t>& blocks = blocks_.emplace_back();
    blocks.reserve(row.blocks.size());
    for (const std::uint32_t block : row.blocks) blocks.push_back(static_cast<std::uint32_t>(first_new + block));
    spec.trace_blocks = blocks;
    spec.trace_block_tokens = kMooncakeBlockTokens;
  }

  TraceCycle cycle_;
  TraceSummary summary_;
  std::deque<std::vector<std::uint32_t>> blocks_;  ///< of every request issued; addresses stay
  std::uint64_t rows_;
  double speedup_;
  double copies_;
  bool repeat_;
  double period_ = 0;
  HourlyRate hourly_;
  RandomStream random_;
  std::priority_queue<Copy, std::vector<Copy>, std::greater<>> waiting_;
  std::uint64_t rows_read_ = 0;
  std::uint64_t copies_made_ = 0;
  double read_to_ = 0;
};

class ClosedSource final : public RequestSource {
 public:
  ClosedSource(const WorkloadConfig& config, std::uint64_t seed)
      : maker_(config, seed),
        total_(config.requests),
        burst_(std::min<std::uint64_t>(total_, static_cast<std::uint64_t>(config.arrivals.concurrency))),
        turnaround_(config.arrivals.turnaround),
        retry_after_(config.arrivals.retry_after) {}

  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    if (issued_ < burst_) return maker_.make(issued_++, SimTime(0));
    if (due_.empty()) return std::nullopt;
    // Several requests that end in one node's failure are told of one by one: who follows on the first may come before the last is told.
    last_ = std::max(last_, due_.top().first);
    due_.pop();
    return maker_.make(issued_++, last_);
  }
  void on_finished(std::uint64_t id, SimTime now) override {
    if (issued_ + due_.size() < total_) due_.emplace(now + turnaround_, id);
  }
  [[nodiscard]] bool closed() const override { return true; }
  [[nodiscard]] SimTime turnaround() const override { return turnaround_; }
  [[nodiscard]] SimTime retry_after(const RequestSpec& /*spec*/) const override { return retry_after_; }
  [[nodiscard]] std::uint64_t total() const override { return total_; }

 private:
  RequestMaker maker_;
  std::uint64_t total_;
  std::uint64_t burst_;
  std::uint64_t issued_ = 0;
  SimTime turnaround_;
  SimTime retry_after_;
  SimTime last_{0};
  /// Arrivals that completions have decided, with the id that finished: equal times go by id, whatever order they were told in.
  std::priority_queue<std::pair<SimTime, std::uint64_t>, std::vector<std::pair<SimTime, std::uint64_t>>, std::greater<>> due_;
};

std::unique_ptr<RequestSource> make_open_source(const WorkloadConfig& config, std::uint64_t seed) {
  switch (config.arrivals.process) {
    case ArrivalProcess::kPoisson:
    case ArrivalProcess::kGamma: return std::make_unique<RenewalSource>(config, seed);
    case ArrivalProcess::kMarkovModulated: return std::make_unique<ModulatedSource>(config, seed);
    case ArrivalProcess::kBatch: return std::make_unique<BatchSource>(config, seed);
    case ArrivalProcess::kTrace: return std::make_unique<TraceSource>(config, seed);
    case ArrivalProcess::kClosed: break;
  }
  MOEPLAN_CHECK(false);
  return nullptr;
}

}  // namespace

std::unique_ptr<RequestSource> make_request_source(const WorkloadConfig& config, std::uint64_t seed) {
  WorkloadConfig resolved = config;
  resolve_workload(resolved);
  if (mixes(resolved)) return make_mixed_source(resolved, seed, make_open_source);
  if (resolved.arrivals.process == ArrivalProcess::kClosed) return std::make_unique<ClosedSource>(resolved, seed);
  return make_open_source(resolved, seed);
}

}  // namespace moeplan
