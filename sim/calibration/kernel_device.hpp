// The few datasheet numbers that kernel forms need, in their units: microseconds, FLOP/us, bytes/us. Peaks are those of the format the
// products really run in: weight-only formats (int4, mxfp4 without fp4 units, fp8 on Ampere) compute in bf16.
#pragma once

#include <array>

#include "base/precision.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

struct KernelDevice {
  double bandwidth = 1;         ///< device memory, bytes/us
  double scale_up = 1;          ///< per GPU and direction, bytes/us
  bool pcie_fabric = false;     ///< GPUs of a node talk over PCIe only
  double l2_bytes = 0;
  double multiprocessors = 132; ///< a missing count is taken as 132
  /// Measured block-scaled products include bringing the weights' scale factors into the hardware's layout, which an engine does once at load: on
  /// B200 their excess over row-scaled products does not depend on m and grows with n (hardware_profiles/README.md).
  bool transforms_block_scales = false;
  std::array<double, kAllPrecisions.size()> peak{};           ///< FLOP/us with weights held in a format
  std::array<double, kAllPrecisions.size()> activation_bytes{};  ///< per element of the matrix product's other operand
  std::array<bool, kAllPrecisions.size()> quantised{};        ///< the activations are quantised by an extra kernel

  [[nodiscard]] double peak_of(Precision p) const { return peak[static_cast<std::size_t>(p)]; }
  [[nodiscard]] double activation_of(Precision p) const { return activation_bytes[static_cast<std::size_t>(p)]; }
  [[nodiscard]] bool quantises(Precision p) const { return quantised[static_cast<std::size_t>(p)]; }
};

/// The device of `gpu`. mxfp4 weights on a device with fp4 units run against fp8 activations, hence at the fp8 rate.
KernelDevice make_kernel_device(const GpuSpec& gpu);

}  // namespace moeplan
