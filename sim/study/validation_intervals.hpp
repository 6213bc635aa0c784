// What validation adds to its rows beyond one prediction: left-out predictions, intervals, and how many measurements these hold.
#pragma once

#include <array>

#include "study/validation.hpp"

namespace moeplan {

/// The corrections under which all runs are simulated once more, for derivatives. The request latency needs none: it enters a first token as it is.
inline constexpr std::array<EngineCorrection, 3> kLeaveOutSteps = {{{0.5e-3, 0, 1}, {0, 20e-6, 1}, {0, 0, 1.05}}};

/// Tables of `error_of` the scored rows.
void tabulate_errors(const Validation& v, const std::function<double(const ValidationRow&)>& error_of, ErrorTable& metrics,
                     std::map<std::string, std::map<std::string, ErrorTable>>& groups);

/// Fills left_out of every scored row and of `v`. `shifted`: predictions of all runs under kLeaveOutSteps.
void add_left_out(Validation& v, const std::vector<std::vector<RunPrediction>>& shifted);

/// Fills intervals and coverages. Rows with a left-out prediction get widths fitted without their group, and v.left_out->errors is set.
void add_intervals(Validation& v, const ErrorModel& errors, double level);

}  // namespace moeplan
