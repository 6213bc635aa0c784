// What a report shows of a deployment's routers before any step has run: popularity by layer and expert, and how it lands on the ranks.
#pragma once

#include "study/deployment.hpp"
#include "study/result.hpp"

namespace moeplan {

/// Routing in words, load map and placement, of the first routing epoch; measured fields are left as they are. REQUIRES: a MoE model.
ExpertSummary describe_experts(const Deployment& deployment);

}  // namespace moeplan
