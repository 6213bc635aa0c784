// The Pareto front of a plan search as text: the plans that no other beats in cost, latency, throughput and power at once.
#pragma once

#include <string>

#include "study/plan.hpp"

namespace moeplan {

/// A table, by rising cost; a sentence where the best plan stands alone. Empty without a plan.
std::string front_text(const PlanSpace& space, const PlanAnswer& answer);

/// "2 x (tensor 4) on h100-sxm for prefill and "; empty where prefill is not apart.
std::string prefill_pool_text(const PlanSpace& space, std::size_t candidate, const PlanFigures& plan);

}  // namespace moeplan
