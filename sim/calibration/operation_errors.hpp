// How far the kernel times of one deployment may be off, by operation: the cross-validated errors of the kernels that an engine's preference picks
// from a fitted profile.
#pragma once

#include <string>
#include <vector>

#include "calibration/cost_profile.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

/// Standard deviations of ln(true / predicted) by operation: 1.4826 x the median error on left-out shapes, as for a normal error. Of constants taken
/// from another GPU: the error that leaving a device out showed.
struct OperationErrors {
  double gemm = 0, experts = 0, attention = 0, communication = 0;
};

/// Formats of what a deployment runs. `experts` counts for a model with experts only, `mla` picks the kind of attention.
struct OperationFormats {
  Precision weights = Precision::kBf16, experts = Precision::kBf16, kv = Precision::kBf16;
  bool mla = false;
};

/// Where the profile has no comparable kernel, or one without an error, the width is that of generic constants.
OperationErrors operation_errors(const CostProfile& profile, const GpuSpec& gpu, const std::vector<std::string>& preference,
                                 const std::vector<std::string>& all_reduce, const OperationFormats& formats);
/// Of a GPU without a profile.
OperationErrors generic_operation_errors();

}  // namespace moeplan
