// Intervals of measured runs: the error model of uncertainty.hpp to first order, from what one simulation saw of itself, so that thousands of rows
// cost nothing. ln(measured / predicted) of a row is taken as normal:
//   steps (TPOT, ITL, throughput):  variance = k^2 (form^2 + weak^2 + sum over operations (share x error)^2) + (host width / mean step)^2
//   first token:                    variance = (1 - p)^2 x that of steps + (p x path width)^2 + first-token form^2
// with k the share of kernels in a step and p the share of the path between client and engine in the predicted time to first token.
#pragma once

#include <vector>

#include "calibration/operation_errors.hpp"
#include "study/error_model.hpp"
#include "study/measured_run.hpp"
#include "study/run_evidence.hpp"

namespace moeplan {

/// What the width of one row's interval is made of. `form` is the width that the error model adds, `scale` how it enters, `known` the rest.
struct RowSpread {
  bool first_token = false;
  bool moe = false;
  double scale = 1;
  double known = 0;

  /// Standard deviation of ln(measured / predicted) for a form width.
  [[nodiscard]] double total(double form) const;
};

/// REQUIRES: `predicted` > 0, in the unit of the metric's column. For a first token, `known` contains the step form of `errors`.
RowSpread row_spread(RunMetric metric, double predicted, bool moe, const RunEvidence& evidence, const OperationErrors& operations, const ErrorModel& errors);

/// The width that `errors` states for a row.
double form_of(const ErrorModel& errors, const RowSpread& spread);

/// Form width at which the share `level` of the rows lies within its interval: `log_errors` are ln(measured / predicted), paired with `spreads`. 0 when
/// more than that do without any; at most 3.
double fit_form(const std::vector<RowSpread>& spreads, const std::vector<double>& log_errors, double level);

/// Half the interval of `level` around a normal's mean, in standard deviations: 1.2816 for 0.8.
double normal_half_width(double level);

}  // namespace moeplan
