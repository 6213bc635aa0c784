// Predicted against measured serving runs: every row is simulated the way it was measured, and the errors are tabulated by suite, model, GPU,
// engine, mode and kind. Nothing here adapts to a row: what a deployment cannot know (hidden options) stays an error or a stated refusal.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "calibration/operation_errors.hpp"
#include "study/anchors.hpp"
#include "study/data_root.hpp"
#include "study/error_model.hpp"
#include "study/leave_out.hpp"
#include "study/likely_cause.hpp"
#include "study/measured_run.hpp"
#include "study/predict_run.hpp"
#include "study/uncertainty.hpp"

namespace moeplan {

/// Prediction of one run.
struct RunPrediction {
  RunOutcome predicted;
  std::optional<std::string> refused;  ///< why the run cannot be predicted
  bool moe = false;
  RunEvidence evidence;
  OperationErrors operations;  ///< of the kernels that its deployment runs on
  RunSetting setting;
  EngineConstants engine;      ///< behind the prediction
  std::string assumed;         ///< what the run does not state and its prediction rests on; empty mostly
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
  bool leave_out = false;                       ///< also fit the engine constants anew without each (model, GPU) and predict its runs with them
  std::optional<ErrorModel> errors;             ///< gives every row an interval; with leave_out: its widths are fitted, too, each without the row's group
  double level = 0.8;                           ///< of the intervals
  /// Replaces engine constants, for fits and leave-one-out studies: called once per layout.
  std::function<EngineCorrection(const MeasuredRun&)> correction;
};

struct ValidationRow {
  std::size_t run = 0;  ///< index into runs
  RunMetric metric = RunMetric::kTpot;
  double measured = 0, predicted = 0;
  bool scored = false;
  std::optional<double> left_out{};   ///< predicted with constants fitted without the runs of its model and GPU
  std::optional<Interval> interval{};  ///< around `left_out` where there is one, else around `predicted`
  [[nodiscard]] double error() const { return (predicted - measured) / measured; }
};

/// How many scored rows lie within their interval.
struct Coverage {
  std::size_t count = 0, inside = 0;
  [[nodiscard]] double share() const { return count == 0 ? 0.0 : static_cast<double>(inside) / static_cast<double>(count); }
};

/// Left-out predictions scored like the others.
struct LeftOut {
  LeaveOutFit fit;
  ErrorModel errors;  ///< widths at which `level` of all left-out rows lie within their intervals
  ErrorTable metrics;
  std::map<std::string, std::map<std::string, ErrorTable>> groups;
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
  std::optional<LeftOut> left_out;
  double level = 0;                           ///< of the intervals; 0: none
  Coverage coverage;
  std::map<std::string, Coverage> coverage_by_metric, coverage_by_kind, coverage_by_metric_kind;
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
/// Predicted over measured on logarithmic axes, one plot per metric: o dense, x experts, # both, . where both are equal.
std::string validation_scatter(const Validation& validation);

/// Whether a run states any value to compare with.
bool states_a_measurement(const MeasuredRun& run);

/// "tpot/dense": what coverages and widths are told apart by.
std::string metric_kind(const Validation& validation, const ValidationRow& row);
/// The scored rows, worst first, by |ln(predicted / measured)|.
std::vector<const ValidationRow*> worst_rows(const Validation& validation);
/// Why the row is off (likely_cause.hpp).
std::string cause_of(const Validation& validation, const ValidationRow& row);
/// Why a run that can be predicted is not scored; empty for one that is.
std::string unscored_reason(const Validation& validation, std::size_t run);

}  // namespace moeplan
