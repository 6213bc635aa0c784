#include "benchmarks/closed_loop/loop_runs.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "base/random.hpp"
#include "host/host_device.hpp"
#include "input/csv.hpp"
#include "study/simulation.hpp"

namespace moeplan::reference {
namespace {

constexpr int kPrompt = 64;
constexpr int kLowPrompt = 32, kHighPrompt = 160, kLowOutput = 16, kHighOutput = 64;
constexpr double kSpin = 300e-6;  // sleeping wakes up late by less than this

double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Real time that stands still while others have the processor: what they take is no property of the engine, and at a high load a pause shows in
/// every request that waits behind it.
class ServingClock final : public EngineClock {
 public:
  double now() override {
    const double real = seconds_of(CLOCK_MONOTONIC), worked = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    taken_ += std::max(0.0, (real - real_) - (worked - worked_));
    real_ = real;
    worked_ = worked;
    return real - start_ - taken_;
  }
  void wait_until(double seconds) override {
    if (const double left = seconds - now() - kSpin; left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left));
    real_ = seconds_of(CLOCK_MONOTONIC);  // sleeping is not being kept from work
    worked_ = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    while (now() < seconds) {
    }
  }
  long disturbances() override { return bench::preemptions(); }
  [[nodiscard]] double taken() const { return taken_; }

 private:
  double start_ = seconds_of(CLOCK_MONOTONIC), real_ = start_, worked_ = seconds_of(CLOCK_THREAD_CPUTIME_ID), taken_ = 0;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}
double mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

StepPoint step_point(const ServingLog& log, int batch) {
  StepPoint point;
  point.batch = batch;
  std::vector<double> seconds, all, contexts, distinct;
  for (const StepLog& step : log.steps) {
    if (step.decode_sequences != batch || step.prefill_tokens > 0) continue;
    all.push_back(step.seconds);
    contexts.push_back(static_cast<double>(step.decode_context) / batch);
    distinct.push_back(step.distinct_experts);
    if (step.disturbed) ++point.disturbed;
    else seconds.push_back(step.seconds);
  }
  point.steps = static_cast<int>(all.size());
  if (seconds.size() < 3) seconds = all;
  point.measured = median(seconds);
  point.fastest = seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
  point.context = mean(contexts);
  point.distinct_measured = mean(distinct);
  return point;
}

LoadFigures figures(const std::vector<double>& ttft, const std::vector<double>& tpot, double tokens, double seconds) {
  return {mean(ttft), median(ttft), mean(tpot), median(tpot), tokens / seconds};
}

LoadFigures measured_figures(const ServingLog& log) {
  std::vector<double> ttft, tpot;
  double tokens = 0, end = 0;
  for (const RequestLog& r : log.requests) {
    ttft.push_back(r.first_token - r.arrival);
    const auto count = static_cast<double>(r.output.size());
    if (count > 1) tpot.push_back((r.finished - r.first_token) / (count - 1));
    tokens += count;
    end = std::max(end, r.finished);
  }
  return figures(ttft, tpot, tokens, end - log.requests.front().arrival);
}

LoadFigures simulated_figures(const std::filesystem::path& request_log) {
  CsvReader csv(request_log);
  const std::size_t arrival = csv.column("arrival_s"), first = csv.column("first_token_s"), last = csv.column("last_token_s"), outputs = csv.column("output_tokens");
  std::vector<double> ttft, tpot;
  double tokens = 0, begin = INFINITY, end = 0;
  while (csv.next()) {
    const double count = csv.number(outputs);
    ttft.push_back(csv.number(first) - csv.number(arrival));
    if (count > 1) tpot.push_back((csv.number(last) - csv.number(first)) / (count - 1));
    tokens += count;
    begin = std::min(begin, csv.number(arrival));
    end = std::max(end, csv.number(last));
  }
  return figures(ttft, tpot, tokens, end - begin);
}

StepComparison replayed(const StepLog& step, const Deployment& predicted) {
  StepComparison c{step, {}, 0};
  std::vector<PrefillChunk> chunks;
  for (const ChunkLog& chunk : step.chunks) chunks.push_back({chunk.tokens, chunk.position, chunk.samples});
  PreparedStep prepared;
  predicted.cost().prepare(step.decode_sequences, chunks, prepared);
  const StepOutcome outcome = predicted.cost().expected(prepared, step.decode_context);
  const auto fixed = [&](StepPart part) { return prepared.fixed_parts[static_cast<std::size_t>(part)]; };
  const auto set = [&](Operation operation, double seconds) { c.predicted[static_cast<std::size_t>(operation)] = seconds; };
  set(Operation::kProducts, fixed(StepPart::kDenseGemm));
  set(Operation::kAttention, fixed(StepPart::kAttention) + outcome.attention_seconds);
  set(Operation::kExperts, outcome.experts_seconds);
  set(Operation::kRouter, fixed(StepPart::kRouter));
  set(Operation::kElementwise, fixed(StepPart::kElementwise));
  set(Operation::kHead, fixed(StepPart::kLmHead));
  c.predicted_seconds = outcome.seconds;
  return c;
}

}  // namespace

std::vector<StepPoint> measure_steps(Model& model, const Setup& setup, const Deployment& guess, double seconds) {
  const std::vector<int> batches = {1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32};
  std::vector<StepPoint> points;
  for (const int batch : batches) {
    const double step = guess.cost().steady_decode(batch, kPrompt + 50);
    const int outputs = std::clamp(static_cast<int>(seconds / static_cast<double>(batches.size()) / step), 12, 250);
    ServingClock clock;
    Engine engine(model, setup.engine, clock);
    engine.decoder().warm_up(setup.engine.max_batch_tokens);
    const std::vector<Request> together(static_cast<std::size_t>(batch), Request{0, kPrompt, outputs});
    points.push_back(step_point(engine.serve(together, static_cast<std::uint64_t>(batch)), batch));
  }
  return points;
}

void predict_steps(const Deployment& predicted, std::vector<StepPoint>& points) {
  for (StepPoint& point : points) {
    PreparedStep prepared;
    predicted.cost().prepare(point.batch, {}, prepared);
    const StepOutcome outcome = predicted.cost().expected(prepared, static_cast<std::int64_t>(point.context * point.batch));
    point.predicted = outcome.seconds;
    point.distinct_predicted = outcome.distinct_experts;
  }
}

LoadPoint measure_load(Model& model, const Setup& setup, const Deployment& guess, double share, double seconds) {
  // Full batch: outputs at the full batch's rate, and every request's prompt in between.
  const double outputs = 0.5 * (kLowOutput + kHighOutput), prompt = 0.5 * (kLowPrompt + kHighPrompt);
  const int full = setup.engine.max_batch_requests;
  const double per_request = outputs * guess.cost().steady_decode(full, prompt + outputs / 2) / full + guess.cost().lone_prefill(static_cast<int>(prompt), 0);
  LoadPoint point;
  point.rate = share / per_request;
  RandomStream random(setup.model.seed, "closed_loop/" + setup.name);
  for (double at = 0; (at += random.exponential() / point.rate) < seconds;) {
    const auto within = [&](int low, int high) { return low + static_cast<int>(random.below(static_cast<std::uint32_t>(high - low + 1))); };
    const int length = within(kLowPrompt, kHighPrompt);
    point.requests.push_back({at, length, within(kLowOutput, kHighOutput)});
  }
  ServingClock clock;
  Engine engine(model, setup.engine, clock);
  engine.decoder().warm_up(setup.engine.max_batch_tokens);
  clock = ServingClock();
  const ServingLog log = engine.serve(point.requests, 1);
  point.measured = measured_figures(log);
  point.taken = clock.taken();
  point.seconds = clock.now();
  for (const StepLog& step : log.steps) {
    point.steps.push_back({step, {}, 0});
    point.disturbed_steps += step.disturbed;
    point.mean_batch += static_cast<double>(step.decode_sequences) / static_cast<double>(log.steps.size());
  }
  return point;
}

void predict_load(const Setup& setup, const std::filesystem::path& folder, LoadPoint& point) {
  const Scenario scenario = load_scenario(write_scenario(folder, setup, point.requests), find_data_root("", MOEPLAN_SOURCE_DIR));
  RunOptions options;
  options.requests_file = folder / (setup.name + ".requests.csv");
  run_scenario(scenario, options);
  point.predicted = simulated_figures(options.requests_file);
  const Deployment deployment(scenario.deployment);
  for (StepComparison& step : point.steps) step = replayed(step.step, deployment);
}

}  // namespace moeplan::reference
