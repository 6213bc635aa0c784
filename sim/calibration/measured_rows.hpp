// Measured kernel timings of one GPU (hardware_profiles/measured/GPU/*.csv), grouped by what shares constants: framework, kernel and formats.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "calibration/operations.hpp"

namespace moeplan {

/// What a set of constants belongs to.
struct KernelKey {
  std::string framework;  ///< "sglang-0.5.14", "nccl-2.29.2"
  std::string kernel;     ///< "fa3"; may be empty
  std::string variant;    ///< collectives: "all_reduce"; exchanges: "deepep_low_latency.dispatch.1" (mode, direction, nodes)
  Precision format = Precision::kBf16;    ///< of the weights, or of the KV cache
  Precision products = Precision::kBf16;  ///< of the queries, where they are stated

  auto operator<=>(const KernelKey&) const = default;
  /// The engine or library without its version: "sglang".
  [[nodiscard]] std::string engine() const;
  /// Not an engine's kernel: a library's, timed without what engines wrap around it (quantisation of inputs, routing, activation, reduction), or the
  /// microbenchmarks' own. It stands for engines that name it, and for others only where nothing else was measured.
  [[nodiscard]] bool of_no_engine() const;
  /// The microbenchmarks' own kernel on a GPU. (Those of its host backend are the ones that the engine on the processor runs.)
  [[nodiscard]] bool of_suite() const;
};

template <class Operation>
struct Sample {
  typename Operation::Shape shape;
  double us = 0;
  std::string group;    ///< the whole shape that cross-validation leaves out together
  double load_cv = 0;   ///< experts: standard deviation / mean of the pairs per local expert
  std::size_t line = 0;
};

template <class Operation>
struct KernelRows {
  KernelKey key;
  std::vector<Sample<Operation>> rows;
};

/// Reads `folder`/<operation>.csv; empty when there is no such file. Sets are sorted by key, rows stay in file order; rows marked "disturbed" are left out.
/// Throws InputError naming file and line for a malformed row.
template <class Operation>
std::vector<KernelRows<Operation>> read_measured(const std::filesystem::path& folder);

/// A row of `folder`/elementwise.csv.
struct ElementwiseRow {
  double bytes = 0, us = 0;
};
/// Empty when there is no such file.
std::vector<ElementwiseRow> read_elementwise(const std::filesystem::path& folder);

/// Rows marked "disturbed" in all tables of a folder.
int count_disturbed(const std::filesystem::path& folder);

}  // namespace moeplan
