#include "study/uncertainty.hpp"

#include <fmt/core.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <nlohmann/json.hpp>

#include "study/plan_load.hpp"
#include "study/simulation.hpp"
#include "study/uncertain_inputs.hpp"

namespace moeplan {

namespace {

/// Metrics whose sensitivities are worth a chart.
constexpr std::array kTornadoMetrics = {"ttft.p50", "ttft.p99", "tpot.p50", "tpot.p99", "e2e.p99", "throughput.output_tokens_per_s"};

using Metrics = std::map<std::string, double>;

struct Sample {
  Metrics metrics;
  bool met = false;
  bool beyond_offer = false;
};

/// Whether a throughput objective asks for more than arrives.
bool asks_beyond_offer(const Scenario& scenario) {
  const auto minimum = [](const Objective& o) { return o.kind != ObjectiveKind::kLatency; };
  if (std::none_of(scenario.objectives.begin(), scenario.objectives.end(), minimum)) return false;
  const auto offered = offered_load(scenario.workload, scenario.seed);
  return offered && std::any_of(scenario.objectives.begin(), scenario.objectives.end(), [&](const Objective& o) {
    return minimum(o) && o.bound > (o.kind == ObjectiveKind::kOutputTokensPerSecond ? offered->output_tokens_per_s : offered->requests_per_s);
  });
}

/// Times to first token, and what contains them, under the factor that the simulation does not know.
void stretch_first_token(Result& result, double factor) {
  if (!result.latency) return;
  auto& latency = *result.latency;
  LatencySummary& ttft = latency[static_cast<std::size_t>(LatencyMetric::kTtft)];
  LatencySummary& e2e = latency[static_cast<std::size_t>(LatencyMetric::kE2e)];
  const double longer = (factor - 1) * ttft.mean;
  for (double LatencySummary::*value : {&LatencySummary::mean, &LatencySummary::p50, &LatencySummary::p90, &LatencySummary::p95, &LatencySummary::p99,
                                        &LatencySummary::max}) {
    ttft.*value *= factor;
    e2e.*value = std::max(0.0, e2e.*value + longer);
  }
  const bool saturated = result.throughput && result.throughput->saturated;
  const auto stretch = [&](ObjectiveResult& o) {
    if (o.objective.kind != ObjectiveKind::kLatency || !o.value) return;
    if (o.objective.statistic.metric == LatencyMetric::kTtft) *o.value *= factor;
    else if (o.objective.statistic.metric == LatencyMetric::kE2e) *o.value = std::max(0.0, *o.value + longer);
    else return;
    o.met = *o.value <= o.objective.bound && !saturated;
  };
  std::for_each(result.objectives.begin(), result.objectives.end(), stretch);
  for (ClassSummary& c : result.classes) std::for_each(c.objectives.begin(), c.objectives.end(), stretch);
}

Sample sample_of(const Result& result) {
  Sample sample;
  if (!result.latency) return sample;
  for (const LatencyMetric metric : kLatencyMetrics) {
    const LatencySummary& l = (*result.latency)[static_cast<std::size_t>(metric)];
    if (l.count == 0) continue;
    const std::string name(to_string(metric));
    for (const auto& [statistic, value] : {std::pair("mean", l.mean), std::pair("p50", l.p50), std::pair("p90", l.p90), std::pair("p95", l.p95),
                                           std::pair("p99", l.p99), std::pair("max", l.max)}) {
      sample.metrics[name + "." + statistic] = value;
    }
  }
  sample.metrics["throughput.requests_per_s"] = result.throughput->requests_per_s;
  sample.metrics["throughput.output_tokens_per_s"] = result.throughput->output_tokens_per_s;
  // What is judged is not what the run's window measured (steady_load.hpp).
  for (const ObjectiveResult& o : result.objectives) {
    if (o.objective.kind != ObjectiveKind::kLatency && o.value) sample.metrics["objective." + o.objective.key] = *o.value;
  }
  const auto all_met = [](const std::vector<ObjectiveResult>& objectives) { return std::all_of(objectives.begin(), objectives.end(), [](const ObjectiveResult& o) { return o.met; }); };
  sample.met = all_met(result.objectives) && std::all_of(result.classes.begin(), result.classes.end(), [&](const ClassSummary& c) { return all_met(c.objectives); });
  return sample;
}

std::string text_of(const Sample& sample) { return nlohmann::json({sample.met, sample.beyond_offer, sample.metrics}).dump(); }

Sample sample_from(const std::string& text) {
  const auto j = nlohmann::json::parse(text);
  return {j[2].get<Metrics>(), j[0].get<bool>(), j[1].get<bool>()};
}

/// Linear interpolation between order statistics.
double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval interval_of(std::vector<double> values, double level) {
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.5 * (1 - level)), quantile(values, 0.5 * (1 + level))};
}

/// Everything that the passes of one assessment share.
class Assessment {
 public:
  Assessment(const Scenario& scenario, const ErrorModel& errors, const UncertaintyOptions& options)
      : scenario_(scenario), options_(options), shared_(options.shared != nullptr ? options.shared : &own_) {
    const UncertaintySpec spec = scenario.uncertainty.value_or(UncertaintySpec{});
    out_.samples = options.samples > 0 ? options.samples : spec.samples;
    out_.level = options.level > 0 ? options.level : spec.level;
    const Result nominal = run(scenario);
    fits_ = nominal.latency.has_value();
    inputs_ = uncertain_inputs(scenario, errors, deployment_errors(scenario.deployment, shared_->kernels, nominal.origin_share));
  }

  Uncertainty finish() {
    list_inputs();
    if (!fits_) {
      out_.probability_met = 0;
      out_.met.assign(static_cast<std::size_t>(out_.samples), false);
      return std::move(out_);
    }
    total_ = static_cast<std::size_t>(out_.samples) + (options_.sensitivity ? 2 * inputs_.size() : 0);
    sample();
    if (options_.sensitivity) vary_each();
    return std::move(out_);
  }

 private:
  [[nodiscard]] Result run(const Scenario& scenario) const {
    RunOptions options;
    options.shared = shared_;
    options.out_of_time = options_.out_of_time;
    return run_scenario(scenario, options);
  }

  /// `what` of the samples it is.
  Sample sample_at(const std::string& what, const std::vector<double>& values, std::uint64_t seed) {
    const std::string key = options_.store_as + " " + what;
    const auto stored = options_.store != nullptr ? options_.store->find(key) : std::nullopt;
    const Sample sample = stored ? sample_from(*stored) : simulate_at(values, seed);
    if (options_.store != nullptr && !stored) options_.store->append(key, text_of(sample));
    if (options_.progress) options_.progress(static_cast<double>(++done_) / static_cast<double>(total_));
    return sample;
  }

  [[nodiscard]] Sample simulate_at(const std::vector<double>& values, std::uint64_t seed) const {
    DrawnScenario drawn = draw_scenario(scenario_, inputs_, values);
    drawn.scenario.seed = seed;
    Result result = run(drawn.scenario);
    stretch_first_token(result, drawn.first_token_factor);
    Sample sample = sample_of(result);
    sample.beyond_offer = asks_beyond_offer(drawn.scenario);
    return sample;
  }

  void list_inputs() {
    for (const InputDistribution& input : inputs_) {
      out_.inputs.push_back({input.name, input.group, input.at(0.5 * (1 - out_.level)), input.at(0.5 * (1 + out_.level)), input.source});
    }
    out_.inputs.push_back({"arrivals and lengths drawn", "seed", static_cast<double>(scenario_.seed),
                           static_cast<double>(scenario_.seed) + out_.samples - 1, "one seed per sample"});
  }

  void sample() {
    const auto count = static_cast<std::size_t>(out_.samples);
    const auto design = latin_hypercube(inputs_, count, scenario_.seed);
    std::vector<Sample> samples(count);
    tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) { samples[i] = sample_at(fmt::format("sample {}", i), design[i], scenario_.seed + i); });
    std::size_t met = 0;
    std::size_t beyond = 0;
    for (const Sample& s : samples) {
      out_.met.push_back(s.met);
      met += s.met ? 1U : 0U;
      beyond += s.beyond_offer ? 1U : 0U;
      for (const auto& [key, value] : s.metrics) out_.metrics[key].push_back(value);
    }
    out_.probability_met = static_cast<double>(met) / static_cast<double>(count);
    out_.beyond_offer = static_cast<double>(beyond) / static_cast<double>(count);
    for (const auto& [key, values] : out_.metrics) out_.intervals[key] = interval_of(values, out_.level);
  }

  void vary_each() {
    std::vector<double> medians;
    for (const InputDistribution& input : inputs_) medians.push_back(input.at(0.5));
    std::vector<std::array<Sample, 2>> ends(inputs_.size());
    tbb::parallel_for(std::size_t{0}, 2 * inputs_.size(), [&](std::size_t k) {
      std::vector<double> values = medians;
      values[k / 2] = inputs_[k / 2].at(0.5 * (1 + (k % 2 == 0 ? -out_.level : out_.level)));
      ends[k / 2][k % 2] = sample_at(fmt::format("end {}", k), values, scenario_.seed);
    });
    for (const std::string metric : kTornadoMetrics) {
      std::vector<InputEffect> effects;
      for (std::size_t i = 0; i < inputs_.size(); ++i) {
        const auto low = ends[i][0].metrics.find(metric), high = ends[i][1].metrics.find(metric);
        if (low == ends[i][0].metrics.end() || high == ends[i][1].metrics.end()) continue;
        effects.push_back({inputs_[i].name, low->second, high->second});
      }
      std::stable_sort(effects.begin(), effects.end(), [](const InputEffect& a, const InputEffect& b) {
        return std::abs(a.high_value - a.low_value) > std::abs(b.high_value - b.low_value);
      });
      if (!effects.empty()) out_.sensitivity[metric] = std::move(effects);
    }
  }

  const Scenario& scenario_;
  const UncertaintyOptions& options_;
  StudyLibraries own_;
  StudyLibraries* shared_;
  std::vector<InputDistribution> inputs_;
  bool fits_ = false;
  std::size_t total_ = 1;
  std::atomic<std::size_t> done_{0};
  Uncertainty out_;
};

}  // namespace

Result run_with_uncertainty(const Scenario& scenario, const ErrorModel& errors, const RunOptions& options, int samples) {
  StudyLibraries own;
  RunOptions run = options;
  if (run.shared == nullptr) run.shared = &own;
  run.progress = nullptr;
  Result result = run_scenario(scenario, run);
  if (!result.latency) return result;
  UncertaintyOptions sampling;
  sampling.samples = samples;
  sampling.sensitivity = true;
  sampling.jobs = options.jobs;
  sampling.shared = run.shared;
  sampling.progress = options.progress;
  sampling.out_of_time = options.out_of_time;
  result.uncertainty = assess(scenario, errors, sampling);
  take_intervals(result);
  return result;
}

void take_intervals(Result& result) {
  Uncertainty& uncertainty = *result.uncertainty;
  for (const auto& [key, value] : sample_of(result).metrics) {
    const auto interval = uncertainty.intervals.find(key);
    if (interval == uncertainty.intervals.end()) continue;
    interval->second.low = std::min(interval->second.low, value);
    interval->second.high = std::max(interval->second.high, value);
  }
  result.intervals.clear();
  for (const auto& [key, interval] : uncertainty.intervals) result.intervals[key] = {interval.low, interval.high};
  result.intervals_level = uncertainty.level;
}

Uncertainty assess(const Scenario& scenario, const ErrorModel& errors, const UncertaintyOptions& options) {
  std::optional<tbb::global_control> limit;
  if (options.jobs > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(options.jobs));
  return Assessment(scenario, errors, options).finish();
}

}  // namespace moeplan
