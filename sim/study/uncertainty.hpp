// How sure a prediction is: what it rests on is drawn from its own error (kernel times, host time, the form of the model, the way of a request to
// the engine) or from the ranges that the scenario states (load, lengths, routing), all of it at once by Latin hypercube sampling, each sample
// with arrivals of its own; every sample is a simulation. The same scenario and options give the same numbers on any number of threads.
//
// Inputs are drawn by name: two scenarios (candidates of a plan, the same deployment with a replica more) meet the same draws of what they share.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "study/time_limit.hpp"

namespace moeplan {

struct ErrorModel;
struct Result;
struct Scenario;
struct StudyLibraries;

/// Keeps finished simulations of an assessment from one run of the program to the next. Any thread.
class SampleStore {
 public:
  virtual ~SampleStore() = default;
  [[nodiscard]] virtual std::optional<std::string> find(const std::string& key) const = 0;
  virtual void append(const std::string& key, const std::string& sample) = 0;
};

struct UncertaintyOptions {
  int samples = 0;            ///< simulations; 0: what the scenario states, else 32
  double level = 0;           ///< of the intervals; 0: what the scenario states, else 0.8
  bool sensitivity = false;   ///< also what each input alone does: two simulations per input
  bool sharpen = false;       ///< the probability is wanted sharper than a share of the samples: up to 1.5 x as many more simulations, of draws whose verdict is in doubt
  int jobs = 0;               ///< threads; 0 = all
  StudyLibraries* shared = nullptr;            ///< to share kernel times and routing with other runs; null: own
  std::function<void(double)> progress;        ///< share done; may come from any thread
  TimeIsOver out_of_time;                      ///< it then ends with OutOfTime
  SampleStore* store = nullptr;                ///< null: none
  std::string store_as{};                      ///< begins the keys of this scenario in the store
};

/// Something that is not known exactly. `low` and `high` bound the middle `level` of its distribution, in the unit that `name` states.
struct UncertainInput {
  std::string name;    ///< "experts, kernel time factor"
  std::string kind;    ///< calibration | workload | routing | seed
  double low = 1, high = 1;
  std::string source;  ///< where its width comes from
};

/// What one input alone does to one metric, all others at their medians.
struct InputEffect {
  std::string input;
  double low_value = 0, high_value = 0;  ///< of the metric, at the input's low and high
};

struct Interval {
  double low = 0, high = 0;
};

struct Uncertainty {
  int samples = 0;
  double level = 0.8;
  /// Share of the samples in which the deployment fits and all objectives are met at once; 1 without objectives. Sharpened: of all possible draws (verdict_ranks.hpp).
  double probability_met = 1;
  std::optional<double> probability_error;                 ///< its standard deviation, where it was sharpened
  std::size_t tried = 0;                                   ///< simulations that the probability rests on
  std::vector<double> scores;                              ///< where it was sharpened: by possible draw, how strained the objectives are foretold to be
  std::vector<bool> met;                                   ///< by sample
  double beyond_offer = 0;  ///< share of the samples in which a throughput objective asks for more than arrives: no machine meets it
  std::map<std::string, std::vector<double>> metrics;      ///< "ttft.p99" (seconds), "throughput.requests_per_s", ... in order of samples
  std::map<std::string, Interval> intervals;               ///< the middle `level` of `metrics`
  std::vector<UncertainInput> inputs;
  std::map<std::string, std::vector<InputEffect>> sensitivity;  ///< by metric, largest effect first; empty unless asked for
};

/// Samples `scenario`. A deployment that does not fit has no metrics and probability 0. Throws InputError for a stated range that its
/// workload or routing cannot take (lengths of a trace, the sigma of a popularity that has none), naming what it can. Goodput is judged without the
/// error of the first token itself.
Uncertainty assess(const Scenario& scenario, const ErrorModel& errors, const UncertaintyOptions& options);

/// The probability that `scenario` meets all objectives, as far as it takes to know on which side of `threshold` it lies: from half as many simulations as there
/// are samples to twice as many. `scores`: of a sharpened assessment of the same inputs (the same deployment with fewer replicas).
double probability_of_meeting(const Scenario& scenario, const ErrorModel& errors, const UncertaintyOptions& options, const std::vector<double>& scores, double threshold);

/// Makes result.uncertainty the source of the result's intervals. Each reaches as far as the value that it belongs to: a range that lies to one side of what the
/// scenario states (a load of 1 to 1.5 times its own) moves the middle of the samples away from the result, which is of what is stated.
/// REQUIRES: result.uncertainty, of the same scenario.
void take_intervals(Result& result);

/// `uncertainty` of a result: samples, method, level, probability_met, inputs, sensitivity.
std::string uncertainty_json(const Uncertainty& uncertainty);
/// Lines for the text summary: intervals of the main metrics, the probability, the three largest effects.
std::string uncertainty_text(const Uncertainty& uncertainty);

}  // namespace moeplan
