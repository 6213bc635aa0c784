// Predicted against measured serving runs: every row is simulated the way it was measured, and the errors are tabulated by suite, model, GPU,
// engine, mode and kind. Nothing here adapts to a row: what a deployment cannot know (hidden options) stays an error or a stated refusal.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "study/anchors.hpp"
#include "study/data_root.hpp"
#include "study/measured_run.hpp"
#include "study/predict_run.hpp"

namespace moeplan {

/// Prediction of one run.
struct RunPrediction {
  RunOutcome predicted;
  std::optional<std::string> refused;  ///< why the run cannot be predicted
  bool moe = false;
};

struct ErrorStatistics {
  std::size_t count = 0;
  double median_ape = 0, p90_ape = 0, bias = 0, within_10pct = 0, within_25pct = 0;
};

/// Statistics by metric name.
using ErrorTable = std::map<std::string, ErrorStatistics>;

struct ValidationOptions {
  std::uint64_t seed = 1;
  int jobs = 0;                                 ///< threads; 0 = all
  int anchors = 0;                              ///< fit on this many rows of each layout and score the others; 0 = off
  std::vector<MeasuredRun> anchor_runs;         ///< or fit on these, for the layouts that they were measured on
  std::function<void(double)> progress;         ///< share done; may be called from any thread
  /// Replaces engine constants, for fits and leave-one-out studies: called once per layout.
  std::function<EngineCorrection(const MeasuredRun&)> correction;
};

struct ValidationRow {
  std::size_t run = 0;  ///< index into runs
  RunMetric metric = RunMetric::kTpot;
  double measured = 0, predicted = 0;
  bool scored = false;
  [[nodiscard]] double error() const { return (predicted - measured) / measured; }
};

struct Validation {
  std::vector<MeasuredRun> runs;
  std::vector<RunPrediction> predictions;
  std::vector<ValidationRow> rows;  ///< in order of runs, then metric
  std::vector<bool> unscored;       ///< by run: anchors, and layouts without a row to spare for the scores; empty without anchors
  std::size_t scored_runs = 0;
  ErrorTable metrics;
  std::map<std::string, std::map<std::string, ErrorTable>> groups;  ///< "by_suite" -> suite -> table, ...
  std::vector<std::string> anchor_notes;                            ///< contradictions, and layouts that could not be fitted
  std::vector<AnchorFit> anchor_fits;                               ///< by layout; empty without anchors
  ErrorTable metrics_before;                                        ///< of the same rows without anchors; empty without anchors
};

/// Predicts and scores all runs, in parallel over layouts.
Validation validate_runs(std::vector<MeasuredRun> runs, const DataRoot& data, const ValidationOptions& options);

/// Statistics of signed relative errors.
ErrorStatistics error_statistics(std::vector<double> errors);

/// The JSON of `moeplan validate --json`.
std::string validation_json(const Validation& validation);
/// The text printed by `moeplan validate`.
std::string validation_summary(const Validation& validation);

}  // namespace moeplan
