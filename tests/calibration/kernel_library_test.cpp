// What is read once and shared, and how far the chosen kernels of a profile may be off.
#include "calibration/kernel_library.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "calibration/operation_errors.hpp"
#include "calibration/round_gpu.hpp"

using namespace moeplan;
using testing::round_gpu;

namespace {

FittedKernel<GemmOperation> gemm(const std::string& framework, Precision format, double median, const std::string& from = "") {
  FittedKernel<GemmOperation> k;
  k.key = {framework, "", "", format, Precision::kBf16};
  k.from = from;
  k.constants = {.t0 = 5, .ec = 1, .eb = 1, .p = 12};
  k.form_error = {.rows = 10, .median = median, .p90 = 3 * median, .bias = 0};
  return k;
}

CostProfile profile_of(std::vector<FittedKernel<GemmOperation>> kernels) {
  CostProfile profile;
  profile.gpu = "round";
  profile.of<GemmOperation>() = std::move(kernels);
  return profile;
}

double width(const CostProfile& profile, const std::vector<std::string>& preference, Precision weights) {
  return operation_errors(profile, round_gpu(), preference, {}, {.weights = weights}).gemm;
}

}  // namespace

TEST_CASE("a library gives one object per GPU, profile and preference, with the times of a profile read alone") {
  KernelLibrary library;
  const KernelCosts& first = library.find(round_gpu(), {}, {"vllm"});
  CHECK(&first == &library.find(round_gpu(), {}, {"vllm"}));
  CHECK(&first != &library.find(round_gpu(), {}, {"sglang"}));
  GpuSpec faster = round_gpu();  // the same name, another memory
  faster.memory_bandwidth = BytesPerSecond(2e12);
  CHECK(&first != &library.find(faster, {}, {"vllm"}));
  const GemmShape shape{64, 1024, 1024};
  CHECK(first.gemm(shape).seconds == KernelCosts::from_datasheet(round_gpu()).gemm(shape).seconds);
}

TEST_CASE("the width of an operation is that of a normal error with the median that its kernel showed on left-out shapes") {
  // 1.4826 x 4 % = 5.93 %
  const CostProfile own = profile_of({gemm("vllm-1", Precision::kBf16, 0.04)});
  CHECK(width(own, {"vllm"}, Precision::kBf16) == doctest::Approx(0.0593).epsilon(0.001));
  // Constants of another GPU carry the error of a device left out: 1.4826 x 10 %
  const CostProfile transferred = profile_of({gemm("vllm-1", Precision::kBf16, 0.10, "relative")});
  CHECK(width(transferred, {"vllm"}, Precision::kBf16) == doctest::Approx(0.148).epsilon(0.002));
  // Another engine's kernel of the same GPU stands in: 15 % beside its own 5.93 %
  CHECK(width(own, {"trtllm"}, Precision::kBf16) >= doctest::Approx(0.0593).epsilon(0.001));
}

TEST_CASE("without a kernel, or one that was judged, the width is that of generic constants") {
  CHECK(width(profile_of({}), {"vllm"}, Precision::kBf16) == generic_operation_errors().gemm);
  FittedKernel<GemmOperation> unjudged = gemm("vllm-1", Precision::kBf16, 0.04, "relative");
  unjudged.form_error = {};
  CHECK(width(profile_of({unjudged}), {"vllm"}, Precision::kBf16) == generic_operation_errors().gemm);
  CHECK(generic_operation_errors().gemm > 0.2);
  // An error that was seen is not cut down to the generic one: 1.4826 x 40 %.
  CHECK(width(profile_of({gemm("vllm-1", Precision::kBf16, 0.40, "relative")}), {"vllm"}, Precision::kBf16) == doctest::Approx(0.593).epsilon(0.001));
}
