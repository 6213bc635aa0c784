// Fitted rooflines of GPU kernels: launch time + smooth maximum of compute and memory time + a few measured overheads. Plain constants,
// pure functions, microseconds. The efficiency constants `ec` and `eb` are fractions of the datasheet peaks.
//
// Benchmarks replay the same operands, so small ones sit in L2: `l2_gain` and `l2_frac` describe that and nothing else. A serving step sweeps
// all layers and finds cold caches: evaluate with cold(constants), whose l2_gain is 1. Forms and their rejected alternatives (wave
// quantisation, tile padding of m): hardware_profiles/fitted/README.md.
#pragma once

#include "calibration/kernel_device.hpp"
#include "calibration/kernel_shapes.hpp"

namespace moeplan {

/// M (1 + (min/M)^p)^(1/p): the sum for p = 1, the maximum for large p.
double smooth_max(double a, double b, double p);
double smooth_max(double a, double b, double c, double p);

struct GemmConstants {
  double t0 = 0;      ///< us
  double tk = 0;      ///< us per 1024 of k: pipeline fill
  double ec = 1, eb = 1;
  double p = 2;       ///< exponent of the smooth maximum
  double k_half = 0;  ///< k at which half the compute rate is reached
  double eq = 0;      ///< passes of the activation quantisation kernel over 3 m k bytes
  double l2_gain = 1, l2_frac = 1;
};
/// t0 + tk k/1024 + eq 3mk/bw + smax(2mnk/(peak ec) (1 + k_half/k), bytes/(bw eb)).
double gemm_us(const GemmConstants& c, const KernelDevice& device, const GemmShape& shape);
double gemm_roofline_us(const KernelDevice& device, const GemmShape& shape);

struct MoeConstants {
  double t0 = 0;
  double tk = 0;        ///< us per 1024 of hidden + inter
  double ec = 1, eb = 1;
  double p = 2;
  double il_half = 0;   ///< inter at which half the compute rate is reached
  double act = 0;       ///< passes over the activation traffic
  double nonlocal = 0;  ///< passes over the traffic of pairs that belong to other ranks
  double l2_gain = 1, l2_frac = 1;
  double tile_cap = 64; ///< largest row tile per expert
  double skew = 0;      ///< share of time added at the reference skew (power law 1.2); scaled by the caller
};
double moe_us(const MoeConstants& c, const KernelDevice& device, const MoeShape& shape);
double moe_roofline_us(const KernelDevice& device, const MoeShape& shape);

struct DecodeConstants {
  double t0 = 0;
  double tl = 0;  ///< us per doubling of the mean context beyond 64: split-KV reduction
  double ec = 1, eb = 1;
  double p = 2;
  double tc = 0;  ///< us per wave of (sequence, KV head) blocks
  double l2_gain = 1, l2_frac = 1;
  double pad = 16;           ///< MLA: query heads are padded to a multiple of this
  double fp8_products = 0;   ///< 1 when the products run in fp8
};
double decode_attention_us(const DecodeConstants& c, const KernelDevice& device, const DecodeAttentionShape& shape);
double decode_attention_roofline_us(const KernelDevice& device, const DecodeAttentionShape& shape);
double mla_decode_us(const DecodeConstants& c, const KernelDevice& device, const MlaDecodeShape& shape);
double mla_decode_roofline_us(const KernelDevice& device, const MlaDecodeShape& shape);
/// Bytes of keys and values one step reads.
double decode_kv_bytes(const DecodeAttentionShape& shape);
double mla_kv_bytes(const MlaDecodeShape& shape);

struct PrefillConstants {
  double t0 = 0;
  double tq = 0;      ///< us per 128 keys: one block's serial loop over its sequence, prefix included
  double ec = 1, eb = 1;
  double p = 2;
  double tc = 0;      ///< us per wave of (sequence, head, 128 rows) blocks
  double d_half = 0;  ///< head_dim at which half the compute rate is reached
  double l2_gain = 1, l2_frac = 1;
  double tile = 1;           ///< query rows are padded to a multiple of this
  double fp8_products = 0;   ///< 1 when the products run in fp8
};
double prefill_attention_us(const PrefillConstants& c, const KernelDevice& device, const PrefillAttentionShape& shape);
double prefill_attention_roofline_us(const KernelDevice& device, const PrefillAttentionShape& shape);
double mla_prefill_us(const PrefillConstants& c, const KernelDevice& device, const MlaPrefillShape& shape);
double mla_prefill_roofline_us(const KernelDevice& device, const MlaPrefillShape& shape);

struct CollectiveConstants {
  double t0 = 0;
  double t0_rank = 0;  ///< us per rank
  double t1 = 0;
  double eff = 1;      ///< fraction of the scale-up bandwidth
  double p = 1;
};
/// smax(t0 + t0_rank n, t1 + bytes f/(link eff)) with f = 2(n-1)/n for all-reduce, (n-1)/n for the others.
double collective_us(const CollectiveConstants& c, const KernelDevice& device, const CollectiveShape& shape);
double collective_roofline_us(const KernelDevice& device, const CollectiveShape& shape);

struct ExchangeConstants {
  double t0 = 0;
  double te = 0;   ///< us per 100 experts; one- and two-sided NVLink modes: per doubling of the ranks
  double tt = 0;   ///< us per 100 token-expert pairs of a rank
  double eff = 1;  ///< fraction of the scale-up bandwidth
  double p = 2;
};
/// t0 + te E/100 + smax(tt T topk/100, traffic/(link eff)): token exchange of expert parallelism inside one NVLink domain.
double exchange_us(const ExchangeConstants& c, const KernelDevice& device, const ExpertExchangeShape& shape);
/// Bytes of one token's row on the wire: dispatched 8 and 4 bit formats carry their scales, and every dispatched row its indices and weights.
double exchange_row_bytes(const ExpertExchangeShape& shape);
/// Distinct places (ranks, nodes) of `places` that hold at least one of a token's `top_k` experts, on average.
double places_needed(double places, double top_k);
double exchange_roofline_us(const KernelDevice& device, const ExpertExchangeShape& shape);

/// The same constants with cold caches.
template <class Constants>
Constants cold(Constants c) {
  c.l2_gain = 1;
  return c;
}

}  // namespace moeplan
