// How decode speed and its cost change with batch, context and routing skew, from the step cost alone; and where the lines of two scenarios
// cross.
#pragma once

#include <vector>

#include "study/compare_rows.hpp"

namespace moeplan {

/// Time and cost per token of one replica against the sequences it decodes together, against their context, and against the skew of the
/// experts' popularity (log-normal; dense models are flat). Scenarios that do not fit have no points.
std::vector<Sensitivity> sensitivities(const std::vector<ComparedRun>& runs, StudyLibraries& shared);

/// Crossings of every pair of scenarios along each sensitivity, along the load (time per output token, and the cost of as many deployments
/// as the load needs).
std::vector<Crossing> crossings(const std::vector<ComparedRun>& runs, const std::vector<Sensitivity>& sensitivity);

}  // namespace moeplan
