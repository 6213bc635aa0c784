// The two comparisons: step time against batch, and a Poisson load below saturation; each measured on the running engine, then predicted.
#pragma once

#include "benchmarks/closed_loop/deployment_files.hpp"
#include "study/deployment.hpp"

namespace moeplan::reference {

struct StepPoint {
  int batch = 0;
  double context = 0;  ///< mean KV tokens of a sequence
  double measured = 0, fastest = 0, predicted = 0;  ///< seconds; measured: median of the undisturbed steps
  double distinct_measured = 0, distinct_predicted = 0;
  int steps = 0, disturbed = 0;
};

/// Decode steps of 1 to 32 sequences, about `seconds` long in all; `guess` tells how many steps that is.
std::vector<StepPoint> measure_steps(Model& model, const Setup& setup, const Deployment& guess, double seconds);
void predict_steps(const Deployment& predicted, std::vector<StepPoint>& points);

/// A step that ran under load, and the same step predicted; by operation.
struct StepComparison {
  StepLog step;
  OperationSeconds predicted{};
  double predicted_seconds = 0;
};

struct LoadFigures {
  double ttft_mean = 0, ttft_p50 = 0, tpot_mean = 0, tpot_p50 = 0, output_tokens_per_s = 0;
};
struct LoadPoint {
  double rate = 0;
  std::vector<Request> requests;
  int disturbed_steps = 0;
  double mean_batch = 0;
  double seconds = 0, taken = 0;  ///< of serving; during which the processor was somebody else's, which the clock leaves out
  LoadFigures measured, predicted;
  std::vector<StepComparison> steps;  ///< every one predicted as it was composed: what is wrong here is no matter of scheduling
};

/// Poisson arrivals at `share` of what the engine can serve by `guess`, for about `seconds`.
LoadPoint measure_load(Model& model, const Setup& setup, const Deployment& guess, double share, double seconds);
/// The same requests simulated from the scenario in `folder`, and every step that ran replayed.
void predict_load(const Setup& setup, const std::filesystem::path& folder, LoadPoint& point);

}  // namespace moeplan::reference
