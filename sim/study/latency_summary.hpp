// Mean and percentiles of the samples of one latency metric.
#pragma once

#include "metrics/samples.hpp"
#include "study/result.hpp"

namespace moeplan {

/// All zero without samples.
LatencySummary summarise(const Samples& samples);

}  // namespace moeplan
