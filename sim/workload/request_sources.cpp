#include "workload/request_sources.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <queue>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "workload/hourly_rate.hpp"
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
        hourly_(config.arrivals.hourly_factors) {
    const double span = to_seconds(config.arrivals.trace->last - config.arrivals.trace->first).value();
    period_ = rows_ > 1 ? span + span / static_cast<double>(rows_ - 1) : 0.0;
  }

  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    const TraceRow& row = cycle_.next();
    const double pass = static_cast<double>(issued_ / rows_);
    const double seconds = (to_seconds(row.arrival).value() + pass * period_) / speedup_;
    RequestSpec spec = maker_.make(issued_++, nearest_sim_time(hourly_.simulated(seconds)), &row);
    if (!row.blocks.empty()) keep_blocks(row, spec);
    return spec;
  }

 private:
  /// A repetition of the trace is other people's traffic: its blocks get numbers of their own.
  void keep_blocks(const TraceRow& row, RequestSpec& spec) {
    const std::uint64_t first_new = (issued_ - 1) / rows_ * (std::uint64_t{summary_.largest_block} + 1);
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
  double period_ = 0;
  HourlyRate hourly_;
};

class ClosedSource final : public RequestSource {
 public:
  ClosedSource(const WorkloadConfig& config, std::uint64_t seed)
      : maker_(config, seed),
        total_(config.requests),
        burst_(std::min<std::uint64_t>(total_, static_cast<std::uint64_t>(config.arrivals.concurrency))),
        turnaround_(config.arrivals.turnaround) {}

  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    if (issued_ < burst_) return maker_.make(issued_++, SimTime(0));
    if (due_.empty()) return std::nullopt;
    const SimTime arrival = due_.top().first;
    due_.pop();
    MOEPLAN_CHECK(arrival >= last_);  // completions must be told in order of time
    last_ = arrival;
    return maker_.make(issued_++, arrival);
  }
  void on_finished(std::uint64_t id, SimTime now) override {
    if (issued_ + due_.size() < total_) due_.emplace(now + turnaround_, id);
  }
  [[nodiscard]] bool closed() const override { return true; }
  [[nodiscard]] SimTime turnaround() const override { return turnaround_; }
  [[nodiscard]] std::uint64_t total() const override { return total_; }

 private:
  RequestMaker maker_;
  std::uint64_t total_;
  std::uint64_t burst_;
  std::uint64_t issued_ = 0;
  SimTime turnaround_;
  SimTime last_{0};
  /// Arrivals that completions have decided, with the id that finished: equal times go by id, whatever order they were told in.
  std::priority_queue<std::pair<SimTime, std::uint64_t>, std::vector<std::pair<SimTime, std::uint64_t>>, std::greater<>> due_;
};

}  // namespace

std::unique_ptr<RequestSource> make_request_source(const WorkloadConfig& config, std::uint64_t seed) {
  WorkloadConfig resolved = config;
  resolve_workload(resolved);
  switch (resolved.arrivals.process) {
    case ArrivalProcess::kPoisson:
    case ArrivalProcess::kGamma: return std::make_unique<RenewalSource>(resolved, seed);
    case ArrivalProcess::kClosed: return std::make_unique<ClosedSource>(resolved, seed);
    case ArrivalProcess::kBatch: return std::make_unique<BatchSource>(resolved, seed);
    case ArrivalProcess::kTrace: return std::make_unique<TraceSource>(resolved, seed);
  }
  MOEPLAN_CHECK(false);
  return nullptr;
}

}  // namespace moeplan
