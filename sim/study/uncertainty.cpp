#include "study/uncertainty.hpp"

#include <fmt/core.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>

#include "study/simulation.hpp"
#include "study/uncertain_inputs.hpp"
#include "study/uncertainty_sample.hpp"
#include "study/verdict_ranks.hpp"

namespace moeplan {

namespace {

/// Possible draws of which some are tried, where the probability is to be sharper than a share of the samples.
constexpr std::size_t kPossibleDraws = 2048;
constexpr double kSharpEnough = 0.015;   ///< standard deviation of a probability at which no more are tried
constexpr double kDecidedAt = 2;         ///< standard deviations from a threshold at which the question is decided

/// Metrics whose sensitivities are worth a chart.
constexpr std::array kTornadoMetrics = {"ttft.p50", "ttft.p99", "tpot.p50", "tpot.p99", "e2e.p99", "throughput.output_tokens_per_s"};

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
    has_objectives_ = !nominal.objectives.empty() || std::any_of(nominal.classes.begin(), nominal.classes.end(), [](const ClassSummary& c) { return !c.objectives.empty(); });
    inputs_ = uncertain_inputs(scenario, errors, deployment_errors(scenario.deployment, shared_->kernels, nominal.origin_share));
  }

  Uncertainty finish() {
    list_inputs();
    if (!fits_) {
      out_.probability_met = 0;
      out_.met.assign(static_cast<std::size_t>(out_.samples), false);
      return std::move(out_);
    }
    const auto samples = static_cast<std::size_t>(out_.samples);
    const bool sharpen = options_.sharpen && has_objectives_;
    total_ = samples + (options_.sensitivity || sharpen ? 2 * inputs_.size() : 0) + (sharpen ? most_tried(samples) - samples + 1 : 0);
    sample();
    if (options_.sensitivity || sharpen) vary_each();
    if (sharpen) sharpen_probability();
    if (options_.progress) options_.progress(1);
    return std::move(out_);
  }

  /// From the draws that `scores` find doubtful alone.
  double probability(const std::vector<double>& scores, double threshold) {
    if (!fits_) return 0;
    VerdictRanks ranks(scores);
    const auto samples = static_cast<std::size_t>(out_.samples);
    total_ = 2 * samples;
    try_draws(ranks, possible_draws(), {std::max<std::size_t>(1, samples / 2), 2 * samples, threshold});
    return ranks.estimate().probability;
  }

 private:
  struct Trials {
    std::size_t first = 1, most = 1;
    std::optional<double> threshold{};  ///< that decides something: no more are tried once the probability is known to lie to one side of it
  };
  [[nodiscard]] static std::size_t most_tried(std::size_t samples) { return samples * 5 / 2; }

  [[nodiscard]] Result run(const Scenario& scenario) const {
    RunOptions options;
    options.shared = shared_;
    options.out_of_time = options_.out_of_time;
    return run_scenario(scenario, options);
  }

  /// `what` of the samples it is.
  DrawnRun sample_at(const std::string& what, const std::vector<double>& values, std::uint64_t seed) {
    const std::string key = options_.store_as + " " + what;
    const auto stored = options_.store != nullptr ? options_.store->find(key) : std::nullopt;
    const DrawnRun sample = stored ? sample_from(*stored) : simulate_at(values, seed);
    if (options_.store != nullptr && !stored) options_.store->append(key, text_of(sample));
    if (options_.progress) options_.progress(static_cast<double>(++done_) / static_cast<double>(total_));
    return sample;
  }

  [[nodiscard]] DrawnRun simulate_at(const std::vector<double>& values, std::uint64_t seed) const {
    DrawnScenario drawn = draw_scenario(scenario_, inputs_, values);
    drawn.scenario.seed = seed;
    Result result = run(drawn.scenario);
    stretch_first_token(result, drawn.first_token_factor);
    DrawnRun sample = sample_of(result);
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
    std::vector<DrawnRun> samples(count);
    tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) { samples[i] = sample_at(fmt::format("sample {}", i), design[i], scenario_.seed + i); });
    std::size_t met = 0;
    std::size_t beyond = 0;
    for (const DrawnRun& s : samples) {
      out_.met.push_back(s.met);
      met += s.met ? 1U : 0U;
      beyond += s.beyond_offer ? 1U : 0U;
      for (const auto& [key, value] : s.metrics) out_.metrics[key].push_back(value);
    }
    out_.tried = count;
    out_.probability_met = static_cast<double>(met) / static_cast<double>(count);
    out_.beyond_offer = static_cast<double>(beyond) / static_cast<double>(count);
    for (const auto& [key, values] : out_.metrics) out_.intervals[key] = interval_of(values, out_.level);
  }

  /// Those worth a chart, and those that the objectives are about.
  [[nodiscard]] std::vector<std::string> tornado_metrics() const {
    std::vector<std::string> out(kTornadoMetrics.begin(), kTornadoMetrics.end());
    for (const Objective& o : scenario_.objectives) {
      if (o.kind != ObjectiveKind::kLatency || !o.workload_class.empty()) continue;
      std::string metric = o.key;
      metric.replace(metric.find('_'), 1, ".");
      if (std::find(out.begin(), out.end(), metric) == out.end()) out.push_back(metric);
    }
    return out;
  }

  void vary_each() {
    std::vector<double> medians;
    for (const InputDistribution& input : inputs_) medians.push_back(input.at(0.5));
    ends_.resize(inputs_.size());
    auto& ends = ends_;
    tbb::parallel_for(std::size_t{0}, 2 * inputs_.size(), [&](std::size_t k) {
      std::vector<double> values = medians;
      values[k / 2] = inputs_[k / 2].at(0.5 * (1 + (k % 2 == 0 ? -out_.level : out_.level)));
      ends[k / 2][k % 2] = sample_at(fmt::format("end {}", k), values, scenario_.seed);
    });
    if (!options_.sensitivity) return;
    for (const std::string& metric : tornado_metrics()) {
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

  /// Shares of probability, by draw: those of the samples first.
  [[nodiscard]] std::vector<std::vector<double>> possible_draws() const {
    const auto samples = static_cast<std::size_t>(out_.samples);
    auto draws = latin_hypercube_shares(inputs_, samples, scenario_.seed, "uncertainty");
    const auto more = latin_hypercube_shares(inputs_, std::max(kPossibleDraws, 2 * samples) - samples, scenario_.seed, "uncertainty beside the samples");
    draws.insert(draws.end(), more.begin(), more.end());
    return draws;
  }

  /// How strained the objectives are under a draw, were the inputs' effects to add up: of the objective that is strained most.
  [[nodiscard]] double foretold(const DrawnRun& middle, const std::vector<double>& shares) const {
    double most = -std::numeric_limits<double>::infinity();
    for (std::size_t o = 0; o < middle.strain.size(); ++o) {
      double strain = middle.strain[o];
      for (std::size_t i = 0; i < inputs_.size(); ++i) {
        const double offset = inputs_[i].offset(shares[i], out_.level);
        const std::vector<double>& end = ends_[i][offset < 0 ? 0 : 1].strain;
        if (o < end.size()) strain += std::abs(offset) * (end[o] - middle.strain[o]);
      }
      most = std::max(most, strain);
    }
    return most;
  }

  /// Beside the samples, which are a few draws at random, those draws are tried whose verdict is in doubt.
  void sharpen_probability() {
    std::vector<double> medians;
    for (const InputDistribution& input : inputs_) medians.push_back(input.at(0.5));
    const DrawnRun middle = sample_at("middle", medians, scenario_.seed);
    const auto draws = possible_draws();
    for (const auto& shares : draws) out_.scores.push_back(foretold(middle, shares));
    VerdictRanks ranks(out_.scores);
    for (std::size_t i = 0; i < out_.met.size(); ++i) ranks.add(i, out_.met[i]);
    try_draws(ranks, draws, {0, most_tried(out_.met.size()), std::nullopt});
    const VerdictRanks::Estimate estimate = ranks.estimate();
    out_.probability_met = estimate.probability;
    out_.probability_error = estimate.error;
    out_.tried = ranks.tried();
  }

  /// In rounds of a fixed length: what is tried next depends on what was found, not on who was first.
  void try_draws(VerdictRanks& ranks, const std::vector<std::vector<double>>& draws, const Trials& trials) {
    const std::size_t round = std::max<std::size_t>(4, static_cast<std::size_t>(out_.samples) / 4);
    const auto decided = [&] {
      if (ranks.tried() < std::max<std::size_t>(1, trials.first)) return false;
      const auto [probability, error] = ranks.estimate();
      return error <= kSharpEnough || (trials.threshold && std::abs(probability - *trials.threshold) > kDecidedAt * error);
    };
    while (ranks.tried() < trials.most && !decided()) {
      const std::size_t left = trials.most - ranks.tried();
      const std::vector<std::size_t> which = ranks.next(std::min(left, ranks.tried() == 0 ? trials.first : round));
      if (which.empty()) return;
      std::vector<char> met(which.size());
      tbb::parallel_for(std::size_t{0}, which.size(), [&](std::size_t k) {
        met[k] = sample_at(fmt::format("draw {}", which[k]), values_at(inputs_, draws[which[k]]), scenario_.seed + which[k]).met ? 1 : 0;
      });
      for (std::size_t k = 0; k < which.size(); ++k) ranks.add(which[k], met[k] != 0);
    }
  }

  const Scenario& scenario_;
  const UncertaintyOptions& options_;
  StudyLibraries own_;
  StudyLibraries* shared_;
  std::vector<InputDistribution> inputs_;
  bool fits_ = false;
  bool has_objectives_ = false;
  std::vector<std::array<DrawnRun, 2>> ends_;  ///< by input, at the bounds of its middle `level`
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

namespace {

std::optional<tbb::global_control> limited_to(int jobs) {
  std::optional<tbb::global_control> limit;
  if (jobs > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(jobs));
  return limit;
}

}  // namespace

Uncertainty assess(const Scenario& scenario, const ErrorModel& errors, const UncertaintyOptions& options) {
  const auto limit = limited_to(options.jobs);
  return Assessment(scenario, errors, options).finish();
}

double probability_of_meeting(const Scenario& scenario, const ErrorModel& errors, const UncertaintyOptions& options, const std::vector<double>& scores, double threshold) {
  const auto limit = limited_to(options.jobs);
  return Assessment(scenario, errors, options).probability(scores, threshold);
}

}  // namespace moeplan
