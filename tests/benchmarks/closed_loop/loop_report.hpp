// The comparison as text, table and picture.
#pragma once

#include <string>
#include <vector>

#include "benchmarks/closed_loop/loop_runs.hpp"

namespace moeplan::reference {

struct LoopResult {
  std::string name;
  std::size_t weight_bytes = 0;
  double active_parameters = 0, total_parameters = 0;
  std::vector<StepPoint> steps;
  LoadPoint load;
};

std::string report_text(const std::vector<LoopResult>& results);
std::string steps_csv(const std::vector<LoopResult>& results);
/// Every step of the Poisson load, measured and replayed, by operation.
std::string load_csv(const std::vector<LoopResult>& results);
/// Step time and distinct experts against batch, measured and predicted, all on one picture.
std::string steps_svg(const std::vector<LoopResult>& results);

}  // namespace moeplan::reference
