// One result out of several runs that differ in their seed.
#pragma once

#include <vector>

#include "study/result.hpp"

namespace moeplan {

/// Means and 95 % intervals of latencies and throughput; everything else is the first run's. REQUIRES: two results or more, with latencies.
Result combine(std::vector<Result> results);

}  // namespace moeplan
