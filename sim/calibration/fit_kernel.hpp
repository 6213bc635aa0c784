// One kernel's rows -> constants, residual table and errors on left-out shapes. The template behind calibrate().
#pragma once

#include "calibration/cost_profile.hpp"

namespace moeplan {

/// Fits one set of rows measured on `device`.
template <class Operation>
FittedKernel<Operation> fit_kernel(const KernelRows<Operation>& set, const KernelDevice& device);

/// Errors that given constants and residuals show on a set of rows (evenly loaded, read cold).
template <class Operation>
ErrorSummary error_of(const typename Operation::Constants& constants, const ResidualTable& table, const KernelRows<Operation>& set,
                      const KernelDevice& device);

/// The rows that errors are judged on: evenly loaded, and read cold according to the constants fitted to them.
template <class Operation>
std::vector<const Sample<Operation>*> judged_rows(const typename Operation::Constants& own, const KernelRows<Operation>& set, const KernelDevice& device);

}  // namespace moeplan
