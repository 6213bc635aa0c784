// Deployments side by side: what each needs, how fast and how dear it is, how that changes with batch, context, routing and load, and where
// their lines cross. All runs take the first input's seed, so that equal workloads give equal requests.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "study/load_curve.hpp"
#include "study/result.hpp"

namespace moeplan {

struct CompareInput;

/// How far off a capacity within objectives may be, as a share of it: on six deployments, runs of 300,000 requests kept their objectives at 0.97 x what a
/// load curve found and missed them at 1.03 x.
inline constexpr double kCapacityError = 0.03;

/// Two standard deviations between seeds, as shares of the figure; 0: not known.
struct RunNoise {
  double tpot_p50 = 0, joules = 0, output_tokens = 0;
};

/// One line of the table. Nothing where it does not exist: the model does not fit, no price is known, a stored result whose scenario cannot
/// be run again.
struct ComparedRow {
  std::string name, model, gpu, engine;
  bool moe = false, fits = false;
  bool stored = false;  ///< figures at load are those of a stored result
  int gpus = 0, replicas = 0;
  double weights_bytes = 0, weights_bytes_per_gpu = 0;  ///< of one replica (the fullest GPU's times its GPUs), of the fullest GPU
  double parameters = 0, active_parameters = 0;
  std::optional<double> flops_per_token;  ///< at the workload's mean context
  std::optional<double> batch1_ttft_s, batch1_tpot_s;
  // at the scenario's load: what its cost divides by where it has one (steady_load.hpp), else as measured
  std::optional<double> offered_per_s, requests_per_s, output_tokens_per_s, ttft_p50_s, ttft_p99_s, tpot_p50_s, tpot_p99_s;
  double output_tokens_per_request = 0;  ///< 0: nothing is served
  bool saturated = false, objectives_met = false;
  std::vector<std::string> missed;  ///< latency objectives not met at load, in words
  std::optional<double> usd_per_hour, usd_per_million_output_tokens, joules_per_output_token;
  std::string price_source;
  bool owned = false;  ///< priced by what the hardware costs its owner, not by a list
  // as far as it goes
  std::optional<double> saturation_requests_per_s, saturation_tokens_per_s, capacity_per_s;
  std::optional<double> usd_per_million_at_capacity, joules_at_capacity;
  // as many deployments as carry the first scenario's load within the objectives
  std::optional<int> deployments_needed;
  std::optional<double> usd_per_hour_needed, usd_per_million_needed;
  int fewest_needed = 0, most_needed = 0;  ///< as far as the capacity's error leaves that open; both 0 where it decides nothing
  RunNoise noise;                          ///< of the figures at load
  std::optional<double> quality, usd_per_million_per_quality;
};

/// A metric against one parameter, one line per scenario; nothing where a scenario has no such point.
struct Sensitivity {
  std::string parameter;  ///< "batch", "context", "routing_skew"
  std::string metric;     ///< "tpot_s", "usd_per_million_output_tokens"
  std::string text;       ///< what is held fixed
  std::vector<double> values;
  std::vector<std::vector<std::optional<double>>> by_scenario;
};

/// Where two lines cross: below `at`, `before` is better, above it the other.
struct Crossing {
  std::string what;  ///< "batch", "context", "routing_skew", "load"
  std::string metric;
  std::size_t a = 0, b = 0;  ///< scenarios
  double at = 0;
  std::string unit;
  std::size_t better_above = 0;
  std::string text;
};

/// An input that is not the same everywhere.
struct Difference {
  std::string path;
  std::vector<std::string> values;  ///< by scenario; "-": has none
};

/// What one changed input does alone, between two inputs.
struct Effect {
  std::string input;                     ///< "engine", "precision", "checkpoint", ...
  std::vector<std::string> paths;        ///< what changed in it
  std::map<std::string, double> change;  ///< metric -> relative change; empty where it cannot be run alone
  std::string note;
};

struct Comparison {
  std::vector<ComparedRow> rows;
  std::vector<std::optional<LoadCurve>> load_curves;
  std::vector<Sensitivity> sensitivity;
  std::vector<Crossing> crossings;
  std::vector<Difference> differences;
  std::vector<Effect> effects;
  bool same_workload = true;
  std::optional<double> load_per_s;  ///< the first scenario's offered load
  std::string verdict;
  std::vector<std::string> flips;
  std::vector<std::string> notes;
  Result first;  ///< of the first input that can be run
  Scenario first_scenario;
};

/// Runs everything, in parallel; the same on any number of threads. `old_data`: catalogues that the first input, a stored result, was made
/// with, to tell the effects of changed files apart. Throws InputError when none of the inputs can be run.
Comparison compare(const std::vector<CompareInput>& inputs, const DataRoot& data, const DataRoot* old_data,
                   const std::function<void(double)>& progress);

/// The first runnable input's result with the key `comparison`: reports/schema/result.schema.json.
std::string comparison_json(const Comparison& comparison, const DataRoot& data);

/// The text printed by `moeplan compare`.
std::string comparison_summary(const Comparison& comparison);

}  // namespace moeplan
