// How well the engine constants carry over: for every (model, GPU) they are fitted anew on all runs but its own, and its runs are predicted with
// them. Each run is simulated once more per constant; between, predictions are taken as linear in the constants.
//
// Fitted: host time per step and the path to the client of each engine, host time per sequence and a kernel multiplier of all engines together.
// The most likely constants under a normal prior (the feasibility study's 1.4 ms per step, 12 us per sequence, kernels / 0.94, 40 ms of path, with
// the spread of engines) when the logarithmic errors of a cell's rows are a common part, which is that of its kernels, and a part of each row's
// own (Huber at 0.1; first tokens count at 0.4 of their error). Without the common part, one cell with slow kernels raises every host time.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "study/measured_run.hpp"

namespace moeplan {

/// Constants of one engine. The last two are the same for all engines of one fit.
struct EngineConstants {
  double host_per_step_s = 0, request_latency_s = 0, host_per_sequence_s = 0, kernel_multiplier = 1;
};

/// One scored row as the fit sees it.
struct LeaveOutRow {
  std::string group;   ///< left out together: "model, GPU"
  std::string engine;
  RunMetric metric = RunMetric::kTpot;
  double measured = 0, predicted = 0;
  /// Derivatives of the prediction by: host per step (s), request latency (s), host per sequence (s), ln kernel multiplier.
  std::array<double, 4> slope{};
};

struct LeaveOutFit {
  std::vector<double> predicted;                                         ///< by row, with constants fitted without its group
  std::map<std::string, std::map<std::string, EngineConstants>> without;  ///< group -> engine -> constants
  std::map<std::string, EngineConstants> all;                            ///< engine -> constants fitted on all rows
};

/// `shipped` are the constants behind `predicted`, by engine. Deterministic; folds run in parallel.
LeaveOutFit leave_groups_out(const std::vector<LeaveOutRow>& rows, const std::map<std::string, EngineConstants>& shipped);

}  // namespace moeplan
