// The two comparisons: step time against batch, and a Poisson load below saturation; each measured on the running engine and predicted.
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

/// Decode steps of `batch` sequences each, about `seconds` long in all.
std::vector<StepPoint> compare_steps(Model& model, const Setup& setup, const Deployment& predicted, double seconds);

struct LoadFigures {
  double ttft_mean = 0, ttft_p50 = 0, tpot_mean = 0, tpot_p50 = 0, output_tokens_per_s = 0;
};
struct LoadPoint {
  double rate = 0;
  std::size_t requests = 0;
  int disturbed_steps = 0, steps = 0;
  double mean_batch = 0;
  LoadFigures measured, predicted;
};

/// Poisson arrivals at `share` of what the engine can serve by prediction, for about `seconds`; the same requests simulated.
LoadPoint compare_load(Model& model, const Setup& setup, const Deployment& predicted, const std::filesystem::path& folder, double share, double seconds);

}  // namespace moeplan::reference
