#include "calibration/kernel_costs.hpp"

#include <doctest/doctest.h>

#include "base/error.hpp"
#include "calibration/cost_profile.hpp"
#include "calibration/round_gpu.hpp"

using namespace moeplan;
using testing::round_gpu;

namespace {

/// A GEMM kernel that takes `t0` us and nothing else worth mentioning for small shapes.
FittedKernel<GemmOperation> gemm_kernel(const std::string& framework, Precision format, double t0, const std::string& from = "") {
  FittedKernel<GemmOperation> k;
  k.key = {framework, "", "", format, Precision::kBf16};
  k.from = from;
  k.constants = {.t0 = t0, .ec = 1, .eb = 1, .p = 12};
  return k;
}

/// The table of one shape, n = k = 64, measured at m = 1 and m = 16, where everything took twice the form.
ResidualTable doubled() {
  ResidualTable table;
  for (const double m : {1.0, 16.0}) table.add(GemmOperation::coordinates({m, 64, 64}), GemmOperation::point({m, 64, 64}), std::log(2.0));
  table.finish();
  return table;
}

CostProfile profile_of(std::vector<FittedKernel<GemmOperation>> kernels) {
  CostProfile profile;
  profile.gpu = "round";
  profile.of<GemmOperation>() = std::move(kernels);
  return profile;
}

double us(const KernelTime& t) { return t.seconds * 1e6; }

constexpr GemmShape kTiny{1, 64, 64, Precision::kFp8};

}  // namespace

TEST_CASE("the preferred engine's kernel is taken, and another engine's is marked as transferred") {
  const CostProfile profile = profile_of({gemm_kernel("sglang-1", Precision::kFp8, 10), gemm_kernel("vllm-1", Precision::kFp8, 20)});
  const KernelTime vllm = KernelCosts::from_profile(round_gpu(), profile, {"vllm", "sglang"}).gemm(kTiny);
  CHECK(us(vllm) == doctest::Approx(20).epsilon(0.01));
  CHECK(vllm.origin != Origin::kTransferred);
  const KernelTime other = KernelCosts::from_profile(round_gpu(), profile, {"trtllm"}).gemm(kTiny);
  CHECK(us(other) == doctest::Approx(10).epsilon(0.01));
  CHECK(other.origin == Origin::kTransferred);
}

TEST_CASE("another engine's slow fp8 kernel loses against the 16 bit kernel at fp8 peak, the engine's own does not") {
  const CostProfile profile = profile_of({gemm_kernel("sglang-1", Precision::kFp8, 10), gemm_kernel("sglang-1", Precision::kBf16, 4)});
  CHECK(us(KernelCosts::from_profile(round_gpu(), profile, {"sglang"}).gemm(kTiny)) == doctest::Approx(10).epsilon(0.01));
  const KernelTime borrowed = KernelCosts::from_profile(round_gpu(), profile, {"vllm"}).gemm(kTiny);
  CHECK(us(borrowed) == doctest::Approx(4).epsilon(0.01));
  CHECK(borrowed.origin == Origin::kTransferred);
}

TEST_CASE("an engine's own kernel with the constants of another GPU remains its own: the 16 bit kernel does not compete with it") {
  const CostProfile profile = profile_of({gemm_kernel("sglang-1", Precision::kFp8, 10, "cousin"), gemm_kernel("sglang-1", Precision::kBf16, 4)});
  const KernelTime own = KernelCosts::from_profile(round_gpu(), profile, {"sglang"}).gemm(kTiny);
  CHECK(us(own) == doctest::Approx(10).epsilon(0.01));
  CHECK(own.origin == Origin::kTransferred);
  CHECK(us(KernelCosts::from_profile(round_gpu(), profile, {"vllm"}).gemm(kTiny)) == doctest::Approx(4).epsilon(0.01));
}

TEST_CASE("another engine's block-scaled product competes with the 16 bit kernel only where tensor cores apply the scales") {
  const CostProfile profile = profile_of({gemm_kernel("sglang-1", Precision::kFp8Block, 10), gemm_kernel("sglang-1", Precision::kBf16, 4)});
  GemmShape block = kTiny;
  block.weights = Precision::kFp8Block;
  GpuSpec gpu = round_gpu();
  gpu.architecture = "Hopper";
  CHECK(us(KernelCosts::from_profile(gpu, profile, {"trtllm"}).gemm(block)) == doctest::Approx(10).epsilon(0.01));
  gpu.architecture = "Blackwell";
  CHECK(us(KernelCosts::from_profile(gpu, profile, {"trtllm"}).gemm(block)) == doctest::Approx(4).epsilon(0.01));
}

TEST_CASE("a library's product stands for engines that name the library, and for others only where no engine's was measured") {
  const std::string library = "cublas-13";
  const CostProfile both = profile_of({gemm_kernel(library, Precision::kFp8, 4), gemm_kernel("sglang-1", Precision::kFp8, 10)});
  CHECK(us(KernelCosts::from_profile(round_gpu(), both, {"trtllm", "cublas"}).gemm(kTiny)) == doctest::Approx(4).epsilon(0.01));
  CHECK(us(KernelCosts::from_profile(round_gpu(), both, {"vllm"}).gemm(kTiny)) == doctest::Approx(10).epsilon(0.01));
  const CostProfile alone = profile_of({gemm_kernel(library, Precision::kFp8, 4)});
  CHECK(us(KernelCosts::from_profile(round_gpu(), alone, {"vllm"}).gemm(kTiny)) == doctest::Approx(4).epsilon(0.01));
}

TEST_CASE("a library's expert products alone do not stand for an engine's experts where whole ones can be transferred") {
  const auto kernel = [](const char* framework, const char* from, double us) {
    FittedKernel<MoeOperation> k;
    k.key = {framework, "", "", Precision::kFp8Block, Precision::kBf16};
    k.from = from;
    k.constants = {.t0 = us, .p = 2};
    return k;
  };
  MoeShape shape{.tokens = 8, .pairs = 8, .experts = 4, .hidden = 64, .inter = 64, .local_experts = 4, .top_k = 1, .total_experts = 4};
  shape.weights = Precision::kFp8Block;
  CostProfile profile = profile_of({});
  profile.of<MoeOperation>() = {kernel("deepgemm", "", 10), kernel("sglang-1", "h100-sxm", 30), kernel("vllm-1", "h100-sxm", 20)};
  CHECK(us(KernelCosts::from_profile(round_gpu(), profile, {"trtllm"}).moe(shape)) == doctest::Approx(20).epsilon(0.05));
  profile.of<MoeOperation>().resize(1);
  CHECK(us(KernelCosts::from_profile(round_gpu(), profile, {"trtllm"}).moe(shape)) == doctest::Approx(10).epsilon(0.05));
}

TEST_CASE("library experts do not stand for an engine's where the engine's experts were measured in a related format") {
  const auto kernel = [](const char* framework, Precision format, double us) {
    FittedKernel<MoeOperation> k;
    k.key = {framework, "", "", format, Precision::kBf16};
    k.constants = {.t0 = us, .p = 2};
    return k;
  };
  MoeShape shape{.tokens = 8, .pairs = 8, .experts = 4, .hidden = 64, .inter = 64, .local_experts = 4, .top_k = 1, .total_experts = 4};
  shape.weights = Precision::kFp8;
  CostProfile profile = profile_of({});
  profile.of<MoeOperation>() = {kernel("cublas-13", Precision::kFp8, 90), kernel("trtllm-1", Precision::kFp8Block, 20)};
  CHECK(us(KernelCosts::from_profile(round_gpu(), profile, {"trtllm", "cublas"}).moe(shape)) == doctest::Approx(20).epsilon(0.05));
  profile.of<MoeOperation>().resize(1);
  CHECK(us(KernelCosts::from_profile(round_gpu(), profile, {"trtllm"}).moe(shape)) == doctest::Approx(90).epsilon(0.05));
}

TEST_CASE("the suite's own attention on a GPU does not stand for an engine's, that on a processor does") {
  const DecodeAttentionShape shape{.sequences = 1, .context = 64, .heads = 8, .kv_heads = 8, .head_dim = 64};
  const auto decode_us = [&](const char* framework) {
    FittedKernel<DecodeOperation> k;
    k.key = {framework, "", "", shape.kv, Precision::kBf16};
    k.constants.t0 = 500;
    CostProfile profile = profile_of({});
    profile.of<DecodeOperation>() = {k};
    return us(KernelCosts::from_profile(round_gpu(), profile, {"vllm"}).decode_attention(shape));
  };
  CHECK(decode_us("moeplan-cuda-1") < 100);
  CHECK(decode_us("moeplan-host-1") >= 500);
}

TEST_CASE("on Blackwell a block-scaled product costs no more than the same engine's row-scaled one, elsewhere it costs what was measured") {
  const CostProfile profile = profile_of({gemm_kernel("sglang-1", Precision::kFp8Block, 20), gemm_kernel("sglang-1", Precision::kFp8, 8)});
  GemmShape block = kTiny;
  block.weights = Precision::kFp8Block;
  GpuSpec gpu = round_gpu();
  CHECK(us(KernelCosts::from_profile(gpu, profile, {"sglang"}).gemm(block)) == doctest::Approx(20).epsilon(0.01));
  gpu.architecture = "Blackwell";
  CHECK(us(KernelCosts::from_profile(gpu, profile, {"sglang"}).gemm(block)) == doctest::Approx(8).epsilon(0.01));
}

TEST_CASE("measured, interpolated and extrapolated points say so") {
  auto kernel = gemm_kernel("vllm-1", Precision::kBf16, 10);
  kernel.table = doubled();
  const KernelCosts costs = KernelCosts::from_profile(round_gpu(), profile_of({kernel}), {"vllm"});
  const auto gemm = [&](double m, double n) { return costs.gemm({m, n, 64, Precision::kBf16}); };
  CHECK(gemm(16, 64).origin == Origin::kMeasured);
  CHECK(us(gemm(16, 64)) == doctest::Approx(20).epsilon(0.01));
  CHECK(gemm(4, 64).origin == Origin::kInterpolated);
  CHECK(gemm(4, 128).origin == Origin::kInterpolated);
  CHECK(gemm(64, 64).origin == Origin::kExtrapolated);
  CHECK(gemm(4, 64 * 64).origin == Origin::kExtrapolated);
  // Six octaves away a quarter of the residual is left: 10 x 2^(1.5/6).
  CHECK(us(gemm(4, 64 * 64)) == doctest::Approx((10 + 0.54) * std::exp2(0.25)).epsilon(0.02));
}

TEST_CASE("a weight-only format runs the 16 bit kernel with its own bytes, and constants of relatives are marked") {
  const CostProfile profile = profile_of({gemm_kernel("vllm-1", Precision::kBf16, 0.001, "cousin")});
  const KernelCosts costs = KernelCosts::from_profile(round_gpu(), profile, {"vllm"});
  const KernelTime wide = costs.gemm({1, 8192, 8192, Precision::kBf16});
  const KernelTime narrow = costs.gemm({1, 8192, 8192, Precision::kInt4});
  CHECK(wide.origin == Origin::kTransferred);
  CHECK(narrow.origin == Origin::kTransferred);
  CHECK(us(narrow) / us(wide) == doctest::Approx(bytes_per_weight(Precision::kInt4) / 2).epsilon(0.01));
}

TEST_CASE("a residual never makes a kernel faster than its roofline") {
  auto kernel = gemm_kernel("vllm-1", Precision::kBf16, 0.001);
  kernel.table.add(GemmOperation::coordinates({1, 8192, 8192}), GemmOperation::point({1, 8192, 8192}), -2.0);
  kernel.table.finish();
  const KernelCosts costs = KernelCosts::from_profile(round_gpu(), profile_of({kernel}), {"vllm"});
  const GemmShape shape{1, 8192, 8192, Precision::kBf16};
  CHECK(us(costs.gemm(shape)) == doctest::Approx(gemm_roofline_us(make_kernel_device(round_gpu()), shape)));
}

TEST_CASE("without a comparable kernel the datasheet answers") {
  const KernelCosts costs = KernelCosts::from_profile(round_gpu(), profile_of({}), {"vllm"});
  CHECK(costs.gemm(kTiny).origin == Origin::kDatasheet);
  CHECK(costs.decode_attention({.sequences = 1, .context = 100, .heads = 8, .kv_heads = 1, .head_dim = 128}).origin == Origin::kDatasheet);
}

TEST_CASE("attention that was never measured on a device reaches as much less of the peaks as its products do") {
  // 10 sequences x 10,000 tokens x 8 KV heads x 128 x 2 x 2 bytes = 409.6 MB. Generic bandwidth 0.95, products at half of the generic 0.88.
  FittedKernel<GemmOperation> product = gemm_kernel("any-1", Precision::kBf16, 4);
  product.constants.eb = 0.44;
  const DecodeAttentionShape shape{.sequences = 10, .context = 100'000, .heads = 8, .kv_heads = 8, .head_dim = 128};
  const KernelTime generic = KernelCosts::from_datasheet(round_gpu()).decode_attention(shape);
  const KernelTime derated = KernelCosts::from_profile(round_gpu(), profile_of({product}), {"any"}).decode_attention(shape);
  CHECK(derated.seconds / generic.seconds == doctest::Approx(2.0).epsilon(0.1));
  CHECK(derated.origin == Origin::kDatasheet);
}

TEST_CASE("uneven expert loads cost what the kernel's skew says") {
  CostProfile profile = profile_of({});
  FittedKernel<MoeOperation> kernel;
  kernel.key = {"vllm-1", "triton", "", Precision::kBf16, Precision::kBf16};
  kernel.constants = {.t0 = 10, .p = 2, .skew = 0.1};
  profile.of<MoeOperation>().push_back(kernel);
  const KernelCosts costs = KernelCosts::from_profile(round_gpu(), profile, {"vllm"});
  MoeShape shape{.tokens = 8, .pairs = 8, .experts = 4, .hidden = 64, .inter = 64, .local_experts = 4, .top_k = 1, .total_experts = 4};
  const double even = costs.moe(shape).seconds;
  shape.load_cv = 1.5;
  CHECK(costs.moe(shape).seconds == doctest::Approx(even * 1.15));
}

TEST_CASE("experts with one scale per tensor, measured with block scales only, take the faster of that form and the 16 bit one") {
  const auto kernel = [](Precision format, double t0) {
    FittedKernel<MoeOperation> k;
    k.key = {"trtllm-1", "cutlass", "", format, Precision::kBf16};
    k.constants = {.t0 = t0, .p = 2};
    return k;
  };
  MoeShape shape{.tokens = 8, .pairs = 8, .experts = 4, .hidden = 64, .inter = 64, .local_experts = 4, .top_k = 1, .total_experts = 4};
  shape.weights = Precision::kFp8;
  const auto time = [&](double block, double wide) {
    CostProfile profile = profile_of({});
    profile.of<MoeOperation>() = {kernel(Precision::kFp8Block, block), kernel(Precision::kBf16, wide)};
    return KernelCosts::from_profile(round_gpu(), profile, {"trtllm"}).moe(shape);
  };
  CHECK(us(time(30, 20)) == doctest::Approx(20).epsilon(0.01));
  CHECK(us(time(30, 40)) == doctest::Approx(30).epsilon(0.01));
  CHECK(time(30, 20).origin == Origin::kTransferred);
  // Block-scaled weights run the block-scaled kernel.
  shape.weights = Precision::kFp8Block;
  CHECK(us(time(30, 20)) == doctest::Approx(30).epsilon(0.01));
}

TEST_CASE("an all-reduce in a CUDA graph takes the faster of the engine's kernel and NCCL, an eager one NCCL") {
  CostProfile profile = profile_of({});
  FittedKernel<CollectiveOperation> nccl;
  nccl.key = {"nccl-2", "", "all_reduce", Precision::kBf16, Precision::kBf16};
  nccl.constants = {.t0 = 20, .eff = 1, .p = 1};
  FittedKernel<CollectiveOperation> custom = nccl;
  custom.key.framework = "vllm-1";
  custom.constants = {.t0 = 5, .eff = 0.5, .p = 1};
  profile.of<CollectiveOperation>() = {nccl, custom};
  const KernelCosts costs = KernelCosts::from_profile(round_gpu(), profile, {}, {"vllm"});
  const auto time = [&](double bytes, bool in_graph) { return us(costs.collective({CollectiveKind::kAllReduce, bytes, 2, 1, in_graph})); };
  // 1e5 bytes x 2 x 1/2 at 1e5 bytes/us: 1 us by NCCL, 2 us by the custom kernel.
  CHECK(time(1e5, true) == doctest::Approx(7));
  CHECK(time(1e5, false) == doctest::Approx(21));
  CHECK(time(1e7, true) == doctest::Approx(120));
  CHECK(costs.collective({CollectiveKind::kAllReduce, 1e6, 1}).seconds == 0);
}

TEST_CASE("an engine that can run two all-reduce kernels takes the faster, size by size, and none of an engine it does not name") {
  CostProfile profile = profile_of({});
  FittedKernel<CollectiveOperation> quick;
  quick.key = {"trtllm-1", "", "all_reduce", Precision::kBf16, Precision::kBf16};
  quick.constants = {.t0 = 2, .eff = 0.1, .p = 1};
  FittedKernel<CollectiveOperation> wide = quick;
  wide.key.framework = "vllm-1";
  wide.constants = {.t0 = 5, .eff = 0.5, .p = 1};
  FittedKernel<CollectiveOperation> best = quick;
  best.key.framework = "sglang-1";
  best.constants = {.t0 = 1, .eff = 1, .p = 1};
  profile.of<CollectiveOperation>() = {quick, wide, best};
  const KernelCosts costs = KernelCosts::from_profile(round_gpu(), profile, {"vllm"}, {"vllm", "trtllm"});
  const auto time = [&](double bytes) { return us(costs.collective({CollectiveKind::kAllReduce, bytes, 2, 1, true})); };
  // 1e5 bytes/us: 1e4 bytes take 2 + 1 against 5 + 0.2 us, 1e5 bytes 2 + 10 against 5 + 2.
  CHECK(time(1e4) == doctest::Approx(3));
  CHECK(time(1e5) == doctest::Approx(7));
}

TEST_CASE("the profile of another GPU is refused") {
  CostProfile profile = profile_of({});
  profile.gpu = "square";
  CHECK_THROWS_AS(KernelCosts::from_profile(round_gpu(), profile, {}), InputError);
}
