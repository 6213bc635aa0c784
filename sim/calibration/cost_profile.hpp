// A fitted cost profile: constants and residual tables per operation, kernel and format, with the error each showed on shapes left out.
// hardware_profiles/fitted/GPU.json holds one; `moeplan calibrate` makes it from measured rows, reproducibly.
#pragma once

#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "calibration/measured_rows.hpp"

namespace moeplan {

/// Errors are fractions; nearest-rank median and 90th percentile of |predicted / measured - 1|, median signed error.
struct ErrorSummary {
  int rows = 0;
  double median = 0, p90 = 0, bias = 0;
};

struct WorstRow {
  std::string shape;
  double measured_us = 0, predicted_us = 0;
};

template <class Operation>
struct FittedKernel {
  KernelKey key;
  std::string from;  ///< GPU whose constants these are; empty when measured on this one
  typename Operation::Constants constants;
  ResidualTable table;  ///< empty for transferred constants
  bool sustained = false;  ///< measured under continuous load: the clocks are those of an engine at work, not of a short burst
  int rows = 0;
  std::string left_out;        ///< what cross-validation leaves out together, or "device"
  ErrorSummary form_error;     ///< form alone; of transferred constants: on the nearest relative that was measured
  ErrorSummary table_error;    ///< form and residuals
  std::vector<WorstRow> worst;
};

struct CostProfile {
  std::string gpu;
  bool in_engine = false;  ///< measured layer by layer in a serving engine: clocks are the sustained ones, not those of short bursts
  double elementwise_bandwidth = 0;  ///< share of the memory bandwidth that measured element-wise kernels reach; 0: none were measured
  std::tuple<std::vector<FittedKernel<GemmOperation>>, std::vector<FittedKernel<MoeOperation>>, std::vector<FittedKernel<DecodeOperation>>,
             std::vector<FittedKernel<PrefillOperation>>, std::vector<FittedKernel<MlaDecodeOperation>>,
             std::vector<FittedKernel<MlaPrefillOperation>>, std::vector<FittedKernel<CollectiveOperation>>,
             std::vector<FittedKernel<ExchangeOperation>>>
      kernels;

  template <class Operation>
  [[nodiscard]] std::vector<FittedKernel<Operation>>& of() { return std::get<std::vector<FittedKernel<Operation>>>(kernels); }
  template <class Operation>
  [[nodiscard]] const std::vector<FittedKernel<Operation>>& of() const { return std::get<std::vector<FittedKernel<Operation>>>(kernels); }
};

/// The profile as JSON text: constants rounded as fitted, residuals in thousandths of a natural logarithm. Same profile, same bytes.
std::string to_json(const CostProfile& profile);
/// Throws InputError naming the file and the place for a malformed profile.
CostProfile read_cost_profile(const std::filesystem::path& file);

/// One line of the table that `moeplan calibrate` prints.
struct ErrorLine {
  std::string operation, kernel, format, from, left_out;
  int rows = 0;
  ErrorSummary form, table;
  std::vector<WorstRow> worst;
};
template <class Operation>
ErrorLine error_line(const FittedKernel<Operation>& k) {
  const KernelKey& key = k.key;
  const std::string name = key.framework + (key.kernel.empty() ? "" : "/" + key.kernel) + (key.variant.empty() ? "" : " " + key.variant);
  return {Operation::kName, name, std::string(to_string(key.format)), k.from, k.left_out, k.rows, k.form_error, k.table_error, k.worst};
}
std::vector<ErrorLine> error_lines(const CostProfile& profile);

}  // namespace moeplan
