// One accelerator as its vendor describes it: datasheet facts only. What was measured or fitted lives in cost profiles, never here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/precision.hpp"
#include "base/units.hpp"

namespace moeplan {

/// Dense (never sparse) matrix throughput by format; empty where the device has no such units.
struct MatmulPeaks {
  std::optional<FlopsPerSecond> fp32, tf32, bf16, fp16, fp8, int8, fp4;
};

struct GpuSpec {
  std::string id;
  std::string name;          ///< as vendors write it: "NVIDIA H100 SXM5 80 GB"
  std::string vendor;
  std::string architecture;  ///< "Ampere", "Ada", "Hopper", "Blackwell", "Blackwell Ultra", "Blackwell RTX" (GeForce, RTX PRO), "CDNA 3", ...
  std::string form;          ///< "SXM5", "PCIe", "OAM", ...
  Bytes memory;              ///< usable capacity as the driver shows it (what is sold as 80 GB holds about 80 GiB)
  Bytes nominal_memory;      ///< as sold
  std::string memory_type;   ///< "HBM3", "GDDR7", ...
  BytesPerSecond memory_bandwidth;
  MatmulPeaks dense;
  std::string scale_up_type;          ///< "NVLink4+NVSwitch", "xGMI", "PCIe", ...
  BytesPerSecond scale_up_bandwidth;  ///< per GPU and direction; the PCIe rate where there is no faster fabric
  BytesPerSecond pcie_bandwidth;      ///< per direction; 0 where there is none
  Bytes l2_cache;                     ///< 0 where unknown
  Bytes last_level_cache;             ///< memory-side cache (AMD Infinity Cache); 0 where there is none
  int multiprocessors = 0;            ///< SMs or CUs; 0 where unknown
  double tdp_watts = 0;               ///< 0 where unknown
  std::string default_node;           ///< node id used where a scenario or a measured run names only the GPU
  std::vector<std::string> sources;
  std::string notes;

  /// Peak of matrix products whose inputs are held in `p` (fp8_block as fp8; nvfp4 and mxfp4 as fp4); nothing where the device lacks it.
  [[nodiscard]] std::optional<FlopsPerSecond> peak(Precision p) const;
  /// Format the products really run in when weights are held in `weights`: the format itself where the device has units for it, else
  /// bf16 (weight-only quantisation: int4, mxfp4 on Hopper, fp8 on Ampere), else fp16, else fp32.
  [[nodiscard]] Precision compute_precision(Precision weights) const;
};

}  // namespace moeplan
