#include "calibration/operation_errors.hpp"

#include <algorithm>
#include <cmath>

#include "calibration/kernel_choice.hpp"

namespace moeplan {
namespace {

/// Standard deviation of a normal error over its median magnitude.
constexpr double kNormalOverMedian = 1.4826;
/// What generic constants miss: they were fitted to all devices together, and medians of single devices lie 10 to 25 % off.
constexpr double kGeneric = 0.25;
/// A kernel of another format or engine stands in for the one that runs.
constexpr double kStandIn = 0.15;

template <class Operation>
double error_of(const std::vector<Choice<Operation>>& choices) {
  // Of several candidates the fastest counts, shape by shape: the best-known one speaks for them.
  double best = INFINITY;
  for (const Choice<Operation>& choice : choices) {
    const FittedKernel<Operation>& k = *choice.kernel;
    const ErrorSummary& e = choice.with_table && !k.table.empty() ? k.table_error : k.form_error;
    if (e.rows == 0) continue;
    double width = kNormalOverMedian * e.median;
    if (k.from.empty() && choice.best >= Origin::kTransferred) width = std::hypot(width, kStandIn);
    best = std::min(best, width);
  }
  return std::isfinite(best) ? best : kGeneric;
}

}  // namespace

OperationErrors operation_errors(const CostProfile& profile, const GpuSpec& gpu, const std::vector<std::string>& preference,
                                 const std::vector<std::string>& all_reduce, const OperationFormats& formats) {
  const KernelDevice device = make_kernel_device(gpu);
  OperationErrors errors;
  errors.gemm = error_of(choose_kernels(profile.of<GemmOperation>(), device, formats.weights, preference));
  errors.experts = error_of(choose_kernels(profile.of<MoeOperation>(), device, formats.experts, preference));
  errors.attention = formats.mla ? error_of(choose_kernels(profile.of<MlaDecodeOperation>(), device, formats.kv, preference))
                                 : error_of(choose_kernels(profile.of<DecodeOperation>(), device, formats.kv, preference));
  errors.communication = error_of(choose_collectives(profile.of<CollectiveOperation>(), "all_reduce", true, all_reduce));
  return errors;
}

OperationErrors generic_operation_errors() { return {kGeneric, kGeneric, kGeneric, kGeneric}; }

}  // namespace moeplan
