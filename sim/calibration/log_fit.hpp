// Robust least squares on logarithms with bounds: the constants of a kernel form from measured times. Every constant is positive and moves in
// its logarithm, so that the fit minimises relative errors and a change of units changes nothing. Deterministic: same rows, same bits.
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace moeplan {

struct LogFitProblem {
  std::vector<double> low, high;    ///< bounds of the constants, positive
  std::vector<double> prior;        ///< constants that rows leave undetermined stay near these
  std::vector<double> log_measured; ///< natural logarithms of the measured times
  /// Writes ln(predicted time) of every row for the given constants.
  std::function<void(std::span<const double> constants, std::span<double> log_predicted)> predict;
};

struct LogFitResult {
  std::vector<double> constants;
  double loss = 0;  ///< mean soft-L1 loss per row
};

/// Bounded Levenberg-Marquardt with soft-L1 weights (scale kSoftScale) from `start`.
LogFitResult fit_logs(const LogFitProblem& problem, std::vector<double> start);

/// Residuals beyond this (8 %) count linearly instead of quadratically.
inline constexpr double kSoftScale = 0.08;

}  // namespace moeplan
