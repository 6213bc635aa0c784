#include "benchmarks/closed_loop/loop_runs.hpp"

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

class RealClock final : public EngineClock {
 public:
  double now() override { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void wait_until(double seconds) override {
    if (const double left = seconds - now() - kSpin; left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left));
    while (now() < seconds) {
    }
  }
  long disturbances() override { return bench::preemptions(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
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

StepPoint step_point(const ServingLog& log, int batch, const Deployment& predicted) {
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
  PreparedStep prepared;
  predicted.cost().prepare(batch, {}, prepared);
  const StepOutcome outcome = predicted.cost().expected(prepared, static_cast<std::int64_t>(point.context * batch));
  point.predicted = outcome.seconds;
  point.distinct_predicted = outcome.distinct_experts;
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

}  // namespace

std::vector<StepPoint> compare_steps(Model& model, const Setup& setup, const Deployment& predicted, double seconds) {
  const std::vector<int> batches = {1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32};
  std::vector<StepPoint> points;
  for (const int batch : batches) {
    const double step = predicted.cost().steady_decode(batch, kPrompt + 50);
    const int outputs = std::clamp(static_cast<int>(seconds / static_cast<double>(batches.size()) / step), 12, 250);
    RealClock clock;
    Engine engine(model, setup.engine, clock);
    engine.decoder().warm_up(setup.engine.max_batch_tokens);
    const std::vector<Request> together(static_cast<std::size_t>(batch), Request{0, kPrompt, outputs});
    points.push_back(step_point(engine.serve(together, static_cast<std::uint64_t>(batch)), batch, predicted));
  }
  return points;
}

LoadPoint compare_load(Model& model, const Setup& setup, const Deployment& predicted, const std::filesystem::path& folder, double share, double seconds) {
  // Full batch: outputs at the full batch's rate, and every request's prompt in between.
  const double outputs = 0.5 * (kLowOutput + kHighOutput), prompt = 0.5 * (kLowPrompt + kHighPrompt);
  const int full = setup.engine.max_batch_requests;
  const double per_request = outputs * predicted.cost().steady_decode(full, prompt + outputs / 2) / full + predicted.cost().lone_prefill(static_cast<int>(prompt), 0);
  LoadPoint point;
  point.rate = share / per_request;
  std::vector<Request> requests;
  RandomStream random(setup.model.seed, "closed_loop/" + setup.name);
  for (double at = 0; (at += random.exponential() / point.rate) < seconds;) {
    const auto within = [&](int low, int high) { return low + static_cast<int>(random.below(static_cast<std::uint32_t>(high - low + 1))); };
    const int length = within(kLowPrompt, kHighPrompt);
    requests.push_back({at, length, within(kLowOutput, kHighOutput)});
  }
  point.requests = requests.size();
  const std::filesystem::path file = write_scenario(folder, setup, requests);
  RunOptions options;
  options.requests_file = folder / (setup.name + ".requests.csv");
  run_scenario(load_scenario(file, find_data_root("", MOEPLAN_SOURCE_DIR)), options);
  point.predicted = simulated_figures(options.requests_file);

  RealClock clock;
  Engine engine(model, setup.engine, clock);
  engine.decoder().warm_up(setup.engine.max_batch_tokens);
  clock = RealClock();
  const ServingLog log = engine.serve(requests, 1);
  point.measured = measured_figures(log);
  point.steps = static_cast<int>(log.steps.size());
  for (const StepLog& step : log.steps) {
    point.disturbed_steps += step.disturbed;
    point.mean_batch += static_cast<double>(step.decode_sequences) / static_cast<double>(log.steps.size());
  }
  return point;
}

}  // namespace moeplan::reference
