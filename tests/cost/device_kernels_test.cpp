#include "cost/device_kernels.hpp"

#include <doctest/doctest.h>

#include "calibration/cost_profile.hpp"
#include "calibration/round_gpu.hpp"

using namespace moeplan;

namespace {

/// 10 us for any small product.
CostProfile ten_microseconds(bool sustained) {
  FittedKernel<GemmOperation> k;
  k.key = {"cublas-13", "", "", Precision::kBf16, Precision::kBf16};
  k.constants = {.t0 = 10, .ec = 1, .eb = 1, .p = 12};
  k.sustained = sustained;
  CostProfile profile;
  profile.gpu = "round";
  profile.of<GemmOperation>() = {k};
  return profile;
}

}  // namespace

TEST_CASE("kernels measured under continuous load are not slowed once more from burst to sustained clocks") {
  EngineProfile engine;
  engine.burst_clock_multiplier = 1.25;
  const GpuSpec gpu = testing::round_gpu();
  for (const double anchored : {1.0, 1.1}) {
    engine.kernel_multiplier = 1.25 * anchored;
    const auto us = [&](bool sustained) {
      const KernelCosts kernels = KernelCosts::from_profile(gpu, ten_microseconds(sustained), {});
      return DeviceKernels(kernels, gpu, engine).gemm({1, 64, 64, Precision::kBf16}, KernelPhase::kDecode).seconds * 1e6;
    };
    CHECK(us(false) == doctest::Approx(12.5 * anchored).epsilon(0.01));
    CHECK(us(true) == doctest::Approx(10 * anchored).epsilon(0.01));
  }
}
