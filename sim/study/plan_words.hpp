// How a plan is put into words: counts with the right ending, shares that are never a false zero, watts and layouts.
#pragma once

#include <string>

#include "model/deployment.hpp"

namespace moeplan {

/// "1 GPU", "2 GPUs".
std::string counted(int count, const std::string& what);
/// "850 W", "12.3 kW".
std::string watts_text(double watts);
/// A difference of more than nothing as a percentage: "7 %", "0.4 %", "less than 0.1 %". `share` >= 0.
std::string share_text(double share);
/// "tensor 8, expert 8".
std::string layout_text(const ParallelLayout& layout);

}  // namespace moeplan
