#include "cost/step_shape.hpp"

#include "base/error.hpp"

namespace moeplan {

std::string_view to_string(StepPart part) {
  switch (part) {
    case StepPart::kDenseGemm: return "dense_gemm";
    case StepPart::kAttention: return "attention";
    case StepPart::kExperts: return "experts";
    case StepPart::kRouter: return "router";
    case StepPart::kElementwise: return "elementwise";
    case StepPart::kLmHead: return "lm_head";
    case StepPart::kAllReduce: return "all_reduce";
    case StepPart::kAllToAll: return "all_to_all";
    case StepPart::kPipeline: return "pipeline";
    case StepPart::kHost: return "host";
    case StepPart::kOffload: return "offload";
  }
  MOEPLAN_CHECK(false);
  return {};
}

}  // namespace moeplan
