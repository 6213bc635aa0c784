// How far predictions are off, in a few widths for all models and deployments: hardware_profiles/error_model.json. Fitted on measured serving
// runs, each predicted without the runs of its own model and GPU (`moeplan validate --leave-out`); errors of single kernels come on top from the
// fitted profile of the GPU (operation_errors.hpp).
#pragma once

#include <filesystem>
#include <string>

namespace moeplan {

/// Widths are standard deviations of normal errors, of logarithms where they are factors.
struct ErrorModel {
  double step_dense = 0.1;       ///< factor on all kernel times together: what the sum of kernels misses of a step
  double step_moe = 0.15;
  double first_token_dense = 0.2;  ///< factor on the time to first token beyond that: queueing and batching of prompts
  double first_token_moe = 0.3;
  double weak_kernels = 0.2;     ///< factor on kernel times that are extrapolated, transferred or from the datasheet: width = share x this
  double host_per_step_s = 0.3e-3;  ///< host time per step, seconds
  double request_latency = 0.5;  ///< factor on the path between client and engine
  std::string source;

  [[nodiscard]] double step(bool moe) const { return moe ? step_moe : step_dense; }
  [[nodiscard]] double first_token(bool moe) const { return moe ? first_token_moe : first_token_dense; }
};

/// Throws InputError naming file and place.
ErrorModel load_error_model(const std::filesystem::path& file);

}  // namespace moeplan
