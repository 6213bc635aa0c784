// Why a measured run is predicted badly, as far as the prediction itself can tell: the piece of evidence that could explain most of the error.
#pragma once

#include <string>

#include "study/measured_run.hpp"
#include "study/run_evidence.hpp"

namespace moeplan {

/// What is known of the run's deployment beside its simulation.
struct RunSetting {
  std::string engine_versions{};     ///< that the engine's profile stands for: "V1 engine, 0.11 to 0.19"
  std::string weights_format{}, experts_format{};
  bool moe = false;
  bool mtp_head = false;             ///< the checkpoint brings a head for speculative decoding
  bool products_measured = true;     ///< kernels of that format were measured on this GPU
  bool experts_measured = true;
  bool kv_stated = false;            ///< the run states its KV format
};

/// One sentence fragment. REQUIRES: predicted > 0.
std::string likely_cause(const MeasuredRun& run, RunMetric metric, double measured, double predicted, const RunEvidence& evidence, const RunSetting& setting);

/// The first "major.minor" in a text: 0.19 of "0.19.0", 1.0 of "TensorRT-LLM 1.0.0rc6"; -1 when there is none.
double first_version(const std::string& text);

}  // namespace moeplan
