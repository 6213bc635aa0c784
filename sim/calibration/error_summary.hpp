// Median, 90th percentile and bias of prediction errors, and the rounding of everything a profile stores.
#pragma once

#include <vector>

#include "calibration/cost_profile.hpp"

namespace moeplan {

/// Of signed relative errors (predicted / measured - 1); nearest rank, rounded to thousandths.
ErrorSummary summarise(std::vector<double> signed_errors);

/// Five significant digits: more would not survive another compiler's last bit.
double five_digits(double x);
double thousandths(double x);

}  // namespace moeplan
