// Which kernels of a profile stand for a number format under an engine's preference, and how far their times may be trusted.
#pragma once

#include <string>
#include <vector>

#include "calibration/cost_profile.hpp"

namespace moeplan {

template <class Operation>
struct Choice {
  const FittedKernel<Operation>* kernel = nullptr;
  bool with_table = true;
  Origin best = Origin::kMeasured;  ///< no better origin than this
};

/// Kernels among which the fastest counts; empty when the profile has nothing comparable. See KernelCosts::from_profile for the order.
template <class Operation>
std::vector<Choice<Operation>> choose_kernels(const std::vector<FittedKernel<Operation>>& kernels, const KernelDevice& device, Precision format,
                                              const std::vector<std::string>& preference);

/// NCCL, and in a CUDA graph the kernels of `engines` beside it; if none of them was measured, those of all others.
std::vector<Choice<CollectiveOperation>> choose_collectives(const std::vector<FittedKernel<CollectiveOperation>>& kernels, const std::string& variant,
                                                            bool in_graph, const std::vector<std::string>& preference);

/// The exchange measured with most rows.
std::vector<Choice<ExchangeOperation>> choose_exchanges(const std::vector<FittedKernel<ExchangeOperation>>& kernels, const std::string& variant);

}  // namespace moeplan
