#include "calibration/kernel_forms.hpp"

#include <doctest/doctest.h>

#include "calibration/kernel_costs.hpp"
#include "calibration/round_gpu.hpp"

using namespace moeplan;

using testing::round_gpu;

TEST_CASE("the smooth maximum is the sum at p = 1, the root of squares at p = 2 and near the maximum at p = 100") {
  CHECK(smooth_max(3, 4, 1) == doctest::Approx(7));
  CHECK(smooth_max(3, 4, 2) == doctest::Approx(5));
  CHECK(smooth_max(3, 4, 100) == doctest::Approx(4).epsilon(1e-6));
  CHECK(smooth_max(2, 3, 6, 2) == doctest::Approx(7));
  CHECK(smooth_max(0, 0, 2) == 0);
}

TEST_CASE("weight-only formats compute in bf16 and quantised formats at their own rate") {
  const KernelDevice d = make_kernel_device(round_gpu());
  CHECK(d.peak_of(Precision::kBf16) == 1e8);
  CHECK(d.peak_of(Precision::kFp8Block) == 2e8);
  CHECK(d.peak_of(Precision::kInt4) == 1e8);
  CHECK(d.peak_of(Precision::kMxfp4) == 1e8);
  CHECK(d.activation_of(Precision::kMxfp4) == 2);
  CHECK_FALSE(d.quantises(Precision::kInt4));
  CHECK(d.quantises(Precision::kFp8));
}

TEST_CASE("a GEMM is launch time plus the smooth maximum of compute and memory time") {
  const KernelDevice d = make_kernel_device(round_gpu());
  // m = 100, n = 1000, k = 1000: 2e8 FLOP = 2 us at the peak, 4 us at half of it. Bytes: a 2e5 + b 2e6 + out 2e5 = 2.4e6 = 2.4 us, 3 us at 0.8.
  // smax_2(4, 3) = 5. tk: 0.512 us per 1024 of k, so 0.5 for 1000.
  const GemmConstants c{.t0 = 1, .tk = 0.512, .ec = 0.5, .eb = 0.8, .p = 2};
  CHECK(gemm_us(c, d, {100, 1000, 1000, Precision::kBf16}) == doctest::Approx(1 + 0.5 + 5));
  CHECK(gemm_roofline_us(d, {100, 1000, 1000, Precision::kBf16}) == doctest::Approx(2.4));
}

TEST_CASE("operands replayed from L2 cost less only when the benchmark's warmth is asked for") {
  const KernelDevice d = make_kernel_device(round_gpu());
  const GemmConstants warm{.t0 = 0, .p = 100, .l2_gain = 4, .l2_frac = 1};
  const GemmShape small{1, 100, 100, Precision::kBf16};
  CHECK(gemm_us(cold(warm), d, small) == doctest::Approx(4 * gemm_us(warm, d, small)).epsilon(1e-3));
}

TEST_CASE("an MoE layer reads each touched expert once and pads its rows to tiles") {
  const KernelDevice d = make_kernel_device(round_gpu());
  // 4 experts of 3 x 100 x 100 bf16 weights: 240000 bytes = 0.24 us. 4 pairs, one per expert, padded to 16 rows each: 64 rows of 6e4 FLOP
  // = 3.84e6 FLOP = 0.0384 us. p = 1 adds both.
  const MoeShape s{.tokens = 4, .pairs = 4, .experts = 4, .hidden = 100, .inter = 100, .local_experts = 4, .top_k = 1, .total_experts = 4};
  CHECK(moe_us({.p = 1}, d, s) == doctest::Approx(0.24 + 0.0384));
  MoeShape two_matrices = s;
  two_matrices.gated = false;
  CHECK(moe_us({.p = 1}, d, two_matrices) == doctest::Approx((0.24 + 0.0384) * 2 / 3));
}

TEST_CASE("decode attention depends on the sum of the contexts and adds a wave per batch of blocks") {
  const KernelDevice d = make_kernel_device(round_gpu());
  // KV: 2 x 1000 tokens x 10 heads x 100 x 2 B = 4e6 B; q and out: 4 x 10 x 10 x 100 = 4e4 B; 4.04 us at the peak bandwidth.
  // Waves: 10 sequences x 10 heads on 10 SMs = 10 waves of 1 us; p = 1 adds compute 4e6 FLOP / 1e8 = 0.04 us.
  const DecodeAttentionShape s{.sequences = 10, .context = 1000, .heads = 10, .kv_heads = 10, .head_dim = 100};
  CHECK(decode_attention_us({.p = 1, .tc = 1}, d, s) == doctest::Approx(4.04 + 10 + 0.04));
}

TEST_CASE("absorbed MLA decode reads one latent row per token and pads the query heads") {
  const KernelDevice d = make_kernel_device(round_gpu());
  // 1000 tokens x 576 x 2 B = 1.152e6 B, q and out 2 x 8 x 1088 = 17408 B; compute 2 x 1000 x 16 x 1088 = 3.4816e7 FLOP = 0.348 us.
  const MlaDecodeShape s{.sequences = 1, .context = 1000, .heads = 8};
  CHECK(mla_decode_us({.p = 1, .pad = 16}, d, s) == doctest::Approx(1.152 + 0.017408 + 0.34816));
}

TEST_CASE("cached prefix tokens cost attention but no query rows") {
  const KernelDevice d = make_kernel_device(round_gpu());
  // 2 H D q (q + 2 prefix + 64) = 2 x 1 x 100 x 1000 x (1000 + 4000 + 64) FLOP.
  const PrefillAttentionShape s{.tokens = 1000, .prefix = 2000, .heads = 1, .kv_heads = 1, .head_dim = 100};
  CHECK(prefill_attention_us({.p = 100}, d, s) == doctest::Approx(2e5 * 5064 / 1e8));
}

TEST_CASE("a collective on one rank is free and an all-reduce moves twice what an all-gather moves") {
  const KernelDevice d = make_kernel_device(round_gpu());
  const CollectiveConstants c{.p = 100};
  CHECK(collective_us(c, d, {CollectiveKind::kAllReduce, 1e6, 1}) == 0);
  // 1e6 B x 2 x 3/4 / 1e5 B/us = 15 us.
  CHECK(collective_us(c, d, {CollectiveKind::kAllReduce, 1e6, 4}) == doctest::Approx(15));
  CHECK(collective_us(c, d, {CollectiveKind::kAllGather, 1e6, 4}) == doctest::Approx(7.5));
}

TEST_CASE("no datasheet time is faster than the roofline") {
  const GpuSpec gpu = round_gpu();
  const KernelDevice d = make_kernel_device(gpu);
  const KernelCosts costs = KernelCosts::from_datasheet(gpu);
  for (const Precision p : kAllPrecisions) {
    for (const double m : {1.0, 64.0, 100000.0}) {
      CHECK(costs.gemm({m, 8192, 8192, p}).seconds * 1e6 >= gemm_roofline_us(d, {m, 8192, 8192, p}));
    }
    const DecodeAttentionShape decode{.sequences = 64, .context = 1e6, .heads = 32, .kv_heads = 8, .head_dim = 128, .kv = p};
    CHECK(costs.decode_attention(decode).seconds * 1e6 >= decode_attention_roofline_us(d, decode));
  }
  CHECK(costs.gemm({1, 64, 64, Precision::kBf16}).origin == Origin::kDatasheet);
}
