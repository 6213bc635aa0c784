#include "suite/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "suite/table.hpp"

namespace moeplan::bench {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr int kMostCallsPerSample = 1 << 16;
constexpr int kCheckEvery = 8;  // samples between looks at the interval: sorting them is not free

/// Calls that make a sample long enough for the clock, from a warm call.
int calls_per_sample(Work& work, double shortest) {
  int calls = 1;
  work.run(1);
  while (calls < kMostCallsPerSample) {
    const double seconds = work.run(calls).seconds;
    if (seconds >= shortest) return calls;
    const double factor = seconds > 0 ? 1.2 * shortest / seconds : 16;
    calls = std::min(kMostCallsPerSample, std::max(calls * 2, static_cast<int>(calls * std::min(factor, 64.0))));
  }
  return calls;
}

class Progress {
 public:
  Progress(bool shown, std::size_t cases, double seconds) : shown_(shown), cases_(cases), row_seconds_(seconds / std::max<double>(1, static_cast<double>(cases))) {}

  void show(const Case& c, std::size_t done) {
    if (!shown_) return;
    // Before anything is known a row takes what it may.
    const double per_case = done > 3 ? since(start_) / static_cast<double>(done) : row_seconds_;
    const double left = per_case * static_cast<double>(cases_ - done);
    fmt::print(stderr, "\r\x1b[K[{}/{}] {} {}  ({} left)", done + 1, cases_, info(c.op).name, c.key(), duration_text(left));
    std::fflush(stderr);
  }
  void clear() const {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  bool shown_;
  std::size_t cases_;
  double row_seconds_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

Summary measure(Work& work, const MeasureLimits& limits) {
  const auto start = Clock::now();
  const int calls = calls_per_sample(work, limits.shortest_sample);
  std::vector<Sample> samples;
  while (static_cast<int>(samples.size()) < limits.most) {
    Sample sample = work.run(calls);
    sample.seconds /= calls;
    samples.push_back(sample);
    const int count = static_cast<int>(samples.size());
    if (count < limits.fewest) {
      // Even the fewest samples may not take much longer than the row should.
      if (count >= 3 && since(start) > 3 * limits.seconds) break;
      continue;
    }
    if (since(start) > limits.seconds) break;
    if (count % kCheckEvery == 0 && summarise(samples).ci95 <= limits.target_ci) break;
  }
  return summarise(samples);
}

RunOutcome run(Backend& backend, const RunPlan& plan, const std::atomic<bool>& stop) {
  RunOutcome outcome;
  std::map<Op, Table> tables;
  const auto table_of = [&](Op op) -> Table& { return tables.try_emplace(op, plan.folder, op).first->second; };
  std::vector<const Case*> open;
  for (const Case& c : plan.cases) {
    if (table_of(c.op).has(c)) ++outcome.already_there;
    else open.push_back(&c);
  }
  MeasureLimits limits;
  limits.shortest_sample = backend.shortest_sample();
  // Preparing operands takes about a third of the time.
  limits.seconds = std::clamp(0.65 * plan.seconds / static_cast<double>(std::max<std::size_t>(1, plan.cases.size())), 0.01, 2.0);
  Progress progress(plan.show_progress, open.size(), plan.seconds);
  /// False where the row rests on disturbed samples and may be tried again.
  const auto measured = [&](const Case& c, bool last) {
    try {
      const std::unique_ptr<Work> work = backend.prepare(c);
      const Summary summary = measure(*work, limits);
      if (summary.rests_on_disturbed && !last) return false;
      const std::string mark = mark_of(summary, 2.5 * limits.target_ci);
      table_of(c.op).append(c, summary, work->framework(), mark);
      ++outcome.measured;
      if (!mark.empty()) ++outcome.unsteady;
    } catch (const Unsupported& reason) {
      ++outcome.skipped[reason.what()];
    }
    return true;
  };
  // What was disturbed is measured again when the rest is done: whoever took the processor may be gone by then.
  std::vector<const Case*> again;
  for (std::size_t i = 0; i < open.size() && !stop; ++i) {
    progress.show(*open[i], i);
    if (!measured(*open[i], false)) again.push_back(open[i]);
  }
  for (std::size_t i = 0; i < again.size() && !stop; ++i) {
    progress.show(*again[i], open.size() - again.size() + i);
    if (!measured(*again[i], false)) measured(*again[i], true);
  }
  progress.clear();
  outcome.stopped = stop;
  return outcome;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<long>(std::lround(std::max(0.0, seconds)));
  return whole >= 60 ? fmt::format("{} min {} s", whole / 60, whole % 60) : fmt::format("{} s", whole);
}

}  // namespace moeplan::bench
