#include "study/log_validation.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "input/csv.hpp"
#include "study/deployment.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

constexpr std::array kLogColumns = {"arrival_s", "scheduled_s", "first_token_s", "last_token_s", "prompt_tokens", "output_tokens"};
constexpr int kInstants = 12;

/// What a client could have written down: the replay as a log.
class LogObserver final : public Observer {
 public:
  void on_finished(const FinishedRequest& r) override {
    const auto seconds = [](SimTime t) { return to_seconds(t).value(); };
    requests_.push_back({seconds(r.spec.arrival), seconds(r.scheduled), seconds(r.first_token), seconds(r.last_token), r.spec.prompt_tokens,
                         r.spec.output_tokens});
    preempted_ += static_cast<std::uint64_t>(r.preemptions);
  }
  void on_rejected(const RequestSpec&, RejectReason, SimTime) override { ++rejected_; }
  [[nodiscard]] std::uint64_t preempted() const { return preempted_; }
  [[nodiscard]] std::uint64_t rejected() const { return rejected_; }
  /// In order of arrival.
  [[nodiscard]] std::vector<LoggedRequest> requests() const {
    std::vector<LoggedRequest> sorted = requests_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.arrival_s < b.arrival_s; });
    return sorted;
  }

 private:
  std::vector<LoggedRequest> requests_;
  std::uint64_t preempted_ = 0, rejected_ = 0;
};

LogStatistics statistics(std::vector<double> values) {
  LogStatistics s;
  s.count = values.size();
  if (values.empty()) return s;
  std::sort(values.begin(), values.end());
  for (const double v : values) s.mean += v / static_cast<double>(values.size());
  const auto rank = [&](double q) {
    return values[static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size()) - 1e-9)) - 1];
  };
  s.p50 = rank(0.5);
  s.p90 = rank(0.9);
  return s;
}

LogInstant instant(const std::vector<LoggedRequest>& requests, double start, double after) {
  LogInstant out;
  out.at_s = after;
  const double at = start + after;
  for (const LoggedRequest& r : requests) {
    if (r.arrival_s > at) continue;
    if (r.last_token_s <= at) out.finished_tokens += r.output_tokens;
    else if (r.scheduled_s <= at) ++out.running;
    else ++out.waiting;
  }
  return out;
}

/// Arrivals and lengths of the log as the load of the scenario.
WorkloadConfig replay_workload(const std::filesystem::path& log) {
  WorkloadConfig workload;
  workload.arrivals.process = ArrivalProcess::kTrace;
  workload.arrivals.file = log;
  WorkloadClass rows;
  rows.prompt_tokens = LengthConfig::from_trace();
  rows.output_tokens = LengthConfig::from_trace();
  workload.classes = {rows};
  resolve_workload(workload, log.string());
  return workload;
}

}  // namespace

std::string_view to_string(LogMetric metric) {
  switch (metric) {
    case LogMetric::kTtft: return "ttft";
    case LogMetric::kTpot: return "tpot";
    case LogMetric::kE2e: return "e2e";
  }
  MOEPLAN_CHECK(false);
  return {};
}

bool is_request_log(const std::filesystem::path& file) {
  const CsvReader csv(file);
  return csv.find_column("first_token_s") && csv.find_column("last_token_s");
}

std::vector<LoggedRequest> read_request_log(const std::filesystem::path& file) {
  CsvReader csv(file);
  std::array<std::size_t, kLogColumns.size()> c{};
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = csv.column(kLogColumns[i]);
  std::vector<LoggedRequest> requests;
  while (csv.next()) {
    LoggedRequest r{csv.number(c[0]), csv.number(c[1]), csv.number(c[2]), csv.number(c[3]), 0, 0};
    for (const auto& [column, tokens] : {std::pair{c[4], &r.prompt_tokens}, std::pair{c[5], &r.output_tokens}}) {
      const std::int64_t value = csv.integer(column);
      if (value < 1 || value > kMaxTokens) csv.fail(csv.header()[column] + " is " + std::to_string(value) + "; accepted: 1 or more");
      *tokens = static_cast<int>(value);
    }
    if (!(r.arrival_s <= r.scheduled_s && r.scheduled_s <= r.first_token_s && r.first_token_s <= r.last_token_s)) {
      csv.fail("times run backwards; accepted: arrival_s <= scheduled_s <= first_token_s <= last_token_s");
    }
    if (!requests.empty() && r.arrival_s < requests.back().arrival_s) csv.fail("arrives before the row above; accepted: rows in order of arrival");
    requests.push_back(r);
  }
  if (requests.empty()) throw InputError(file.string(), "holds no requests");
  return requests;
}

LogSummary summarise_log(const std::vector<LoggedRequest>& requests, double span_s) {
  LogSummary summary;
  summary.requests = requests.size();
  if (requests.empty()) return summary;
  std::array<std::vector<double>, kLogMetrics.size()> values;
  const double start = requests.front().arrival_s;
  for (const LoggedRequest& r : requests) {
    values[0].push_back(r.first_token_s - r.arrival_s);
    if (r.output_tokens >= 2) values[1].push_back((r.last_token_s - r.first_token_s) / (r.output_tokens - 1));
    values[2].push_back(r.last_token_s - r.arrival_s);
    summary.makespan_s = std::max(summary.makespan_s, r.last_token_s - start);
    summary.output_tokens += r.output_tokens;
  }
  for (std::size_t i = 0; i < values.size(); ++i) summary.latency[i] = statistics(std::move(values[i]));
  for (int i = 1; i <= kInstants; ++i) summary.timeline.push_back(instant(requests, start, span_s * i / kInstants));
  return summary;
}

LogValidation validate_log(const std::filesystem::path& log, const Scenario& scenario) {
  const std::vector<LoggedRequest> measured = read_request_log(log);
  DeploymentConfig config = scenario.deployment;
  config.engine.request_latency = config.engine.request_per_token = config.engine.request_per_stream = Seconds(0);
  const MemorySummary memory = plan_deployment_memory(config);
  if (!memory.plan.fits) {
    throw InputError(scenario.file, fmt::format("does not fit: {:.1f} GB missing per GPU", memory.plan.missing.as_double() / 1e9));
  }
  const Deployment deployment(config);
  const auto source = make_request_source(replay_workload(log), scenario.seed);
  LogObserver seen;
  simulate(deployment.cluster(scenario.replicas, scenario.router), deployment.cost(), *source, seen, scenario.seed);
  LogValidation v;
  v.log = log.string();
  v.scenario = scenario.file;
  v.kv_capacity_tokens = memory.plan.kv_capacity_tokens;
  v.kv_block_tokens = config.scheduler.kv_block_tokens;
  v.preempted = seen.preempted();
  v.rejected = seen.rejected();
  const LogSummary span = summarise_log(measured, 0);
  v.measured = summarise_log(measured, span.makespan_s);
  v.predicted = summarise_log(seen.requests(), span.makespan_s);
  return v;
}

}  // namespace moeplan
