#include "calibration/kernel_forms.hpp"

#include <algorithm>
#include <cmath>

namespace moeplan {
namespace {

/// Bytes that really come from memory when `bytes` of operands are replayed: those within l2_frac of the L2 count 1/l2_gain.
double replayed_bytes(double bytes, double l2_gain, double l2_frac, double l2_bytes, int sharpness) {
  if (!(l2_gain > 1) || !(l2_bytes > 0)) return bytes;
  const double ratio = bytes / (l2_frac * l2_bytes);
  double power = ratio * ratio * ratio * ratio;
  if (sharpness == 8) power *= power;
  const double warm = 1 / (1 + power);
  return bytes * (warm / l2_gain + 1 - warm);
}

constexpr int kGemmSharpness = 4;
constexpr int kSharpness = 8;

double gemm_bytes(const KernelDevice& device, const GemmShape& s) {
  return s.m * s.k * device.activation_of(s.weights) + s.n * s.k * bytes_per_weight(s.weights) + 2 * s.m * s.n;
}

double moe_matrices(const MoeShape& s) { return s.gated ? 3 : 2; }

double moe_weight_bytes(const MoeShape& s) {
  return s.experts * moe_matrices(s) * s.hidden * s.inter * bytes_per_weight(s.weights);
}

/// Tile that a grouped GEMM gives one expert's rows: the next power of two, at least 16.
double row_tile(double rows, double cap) {
  double tile = 16;
  while (tile < rows && tile < cap) tile *= 2;
  return std::min(tile, cap);
}

double decode_bytes(const DecodeAttentionShape& s) { return decode_kv_bytes(s) + 4.0 * s.sequences * s.heads * s.head_dim; }

double mla_dimensions(const MlaDecodeShape& s) { return 2.0 * s.kv_lora + s.qk_rope; }

double mla_bytes(const MlaDecodeShape& s) { return mla_kv_bytes(s) + 2 * s.sequences * s.heads * mla_dimensions(s); }

double context_doublings(double context, double sequences) {
  return sequences > 0 ? std::log2(1 + context / sequences / 64) : 0;
}

double padded(double rows, double tile) { return tile > 1 ? std::ceil(rows / tile) * tile : rows; }

double prefill_bytes(const PrefillAttentionShape& s) {
  return s.sequences * (4.0 * s.tokens * s.heads + 2 * (s.tokens + s.prefix) * s.kv_heads * bytes_per_activation(s.kv)) * s.head_dim;
}

double mla_prefill_bytes(const MlaPrefillShape& s) {
  return s.sequences * 2.0 * (2 * s.tokens + s.prefix) * s.heads * (s.qk_head_dim + s.v_head_dim);
}

double bus_factor(const CollectiveShape& s) {
  const double share = (s.ranks - 1.0) / s.ranks;
  return s.kind == CollectiveKind::kAllReduce ? 2 * share : share;
}

/// Bytes a rank moves. Low latency sends every (token, expert) pair; normal mode and two-sided copies move a token once for each rank that needs
/// it, the own rank included; one-sided copies leave out the own rank.
double exchange_bytes(const ExpertExchangeShape& s) {
  const double row = exchange_row_bytes(s);
  if (s.mode == ExchangeMode::kDeepEpLowLatency) return s.tokens * s.top_k * row;
  const double copies = s.tokens * places_needed(s.ranks, s.top_k);
  return copies * row * (s.mode == ExchangeMode::kNvlinkOneSided ? (s.ranks - 1.0) / s.ranks : 1.0);
}

}  // namespace

double exchange_row_bytes(const ExpertExchangeShape& s) {
  const double element = s.combine ? 2.0 : bytes_per_activation(s.payload == Precision::kFp8 ? Precision::kFp8Block : s.payload);
  return s.hidden * element + (s.combine ? 0 : 16);
}

double places_needed(double places, double top_k) { return places * (1 - std::pow(1 - 1 / places, top_k)); }

double smooth_max(double a, double b, double p) {
  const double high = std::max(a, b);
  const double low = std::min(a, b);
  if (!(low > 0)) return high;
  if (p == 1) return high + low;
  return high * std::pow(1 + std::pow(low / high, p), 1 / p);
}

double smooth_max(double a, double b, double c, double p) {
  const double high = std::max({a, b, c});
  if (!(high > 0)) return 0;
  if (p == 1) return a + b + c;
  const auto part = [&](double x) { return x > 0 ? std::pow(x / high, p) : 0.0; };
  return high * std::pow(part(a) + part(b) + part(c), 1 / p);
}

double gemm_us(const GemmConstants& c, const KernelDevice& device, const GemmShape& s) {
  const double compute = 2 * s.m * s.n * s.k / (device.peak_of(s.weights) * c.ec) * (1 + c.k_half / s.k);
  const double bytes = replayed_bytes(gemm_bytes(device, s), c.l2_gain, c.l2_frac, device.l2_bytes, kGemmSharpness);
  const double quantise = device.quantises(s.weights) ? c.eq * 3 * s.m * s.k / device.bandwidth : 0;
  return c.t0 + c.tk * s.k / 1024 + quantise + smooth_max(compute, bytes / (device.bandwidth * c.eb), c.p);
}

double gemm_roofline_us(const KernelDevice& device, const GemmShape& s) {
  return std::max(2 * s.m * s.n * s.k / device.peak_of(s.weights), gemm_bytes(device, s) / device.bandwidth);
}

double moe_us(const MoeConstants& c, const KernelDevice& device, const MoeShape& s) {
  const double nonlocal = s.pairs_nonlocal * (4.0 * s.hidden + 6.0 * s.inter) * c.nonlocal / device.bandwidth;
  const double fixed = c.t0 + c.tk * (s.hidden + s.inter) / 1024 + nonlocal;
  if (!(s.pairs > 0) || !(s.experts > 0)) return fixed;
  const double tile = row_tile(s.pairs / s.experts, c.tile_cap);
  const double rows = std::max(s.experts * tile, s.pairs + s.experts * (tile - 1) / 2);
  const double compute = 2 * moe_matrices(s) * rows * s.hidden * s.inter / (device.peak_of(s.weights) * c.ec) * (1 + c.il_half / s.inter);
  const double weights = replayed_bytes(moe_weight_bytes(s), c.l2_gain, c.l2_frac, device.l2_bytes, kSharpness);
  const double traffic =
      s.pairs * (4.0 * s.hidden + 4.0 * s.inter + 2.0 * s.inter * device.activation_of(s.weights)) + 4.0 * s.tokens * s.hidden;
  return fixed + smooth_max(compute, weights / (device.bandwidth * c.eb), c.p) + c.act * traffic / device.bandwidth;
}

double moe_roofline_us(const KernelDevice& device, const MoeShape& s) {
  const double compute = 2 * moe_matrices(s) * s.pairs * s.hidden * s.inter / device.peak_of(s.weights);
  return std::max(compute, moe_weight_bytes(s) / device.bandwidth);
}

double decode_kv_bytes(const DecodeAttentionShape& s) { return 2 * s.context * s.kv_heads * s.head_dim * bytes_per_activation(s.kv); }

double decode_attention_us(const DecodeConstants& c, const KernelDevice& device, const DecodeAttentionShape& s) {
  const double compute = 4 * s.context * s.heads * s.head_dim / (device.peak_of(Precision::kBf16) * c.ec);
  const double bytes = replayed_bytes(decode_bytes(s), c.l2_gain, c.l2_frac, device.l2_bytes, kSharpness);
  const double waves = c.tc * s.sequences * s.kv_heads / device.multiprocessors;
  return c.t0 + c.tl * context_doublings(s.context, s.sequences) + smooth_max(compute, bytes / (device.bandwidth * c.eb), waves, c.p);
}

double decode_attention_roofline_us(const KernelDevice& device, const DecodeAttentionShape& s) {
  return std::max(4 * s.context * s.heads * s.head_dim / device.peak_of(s.kv), decode_bytes(s) / device.bandwidth);
}

double mla_kv_bytes(const MlaDecodeShape& s) { return s.context * (s.kv_lora + s.qk_rope) * bytes_per_activation(s.kv); }

double mla_decode_us(const DecodeConstants& c, const KernelDevice& device, const MlaDecodeShape& s) {
  const double peak = device.peak_of(c.fp8_products > 0 ? Precision::kFp8 : Precision::kBf16);
  const double compute = 2 * s.context * padded(s.heads, c.pad) * mla_dimensions(s) / (peak * c.ec);
  const double bytes = replayed_bytes(mla_bytes(s), c.l2_gain, c.l2_frac, device.l2_bytes, kSharpness);
  const double waves = c.tc * s.sequences * std::ceil(s.heads / c.pad) / device.multiprocessors;
  return c.t0 + c.tl * context_doublings(s.context, s.sequences) + smooth_max(compute, bytes / (device.bandwidth * c.eb), waves, c.p);
}

double mla_decode_roofline_us(const KernelDevice& device, const MlaDecodeShape& s) {
  return std::max(2 * s.context * s.heads * mla_dimensions(s) / device.peak_of(s.kv), mla_bytes(s) / device.bandwidth);
}

double prefill_attention_us(const PrefillConstants& c, const KernelDevice& device, const PrefillAttentionShape& s) {
  const double peak = device.peak_of(c.fp8_products > 0 ? Precision::kFp8 : Precision::kBf16);
  const double rows = padded(s.tokens, c.tile);
  const double span = rows + 2 * s.prefix + (c.tile > 1 ? c.tile : 64);
  const double flops = 2 * s.sequences * s.heads * s.head_dim * rows * span;
  const double compute = flops / (peak * c.ec) * (1 + c.d_half / s.head_dim);
  const double bytes = replayed_bytes(prefill_bytes(s), c.l2_gain, c.l2_frac, device.l2_bytes, kSharpness);
  const double blocks = std::ceil(s.tokens / 128);
  const double waves = c.tc * s.sequences * s.heads * blocks / device.multiprocessors;
  return c.t0 + c.tq * std::ceil((s.tokens + s.prefix) / 128) + smooth_max(compute, bytes / (device.bandwidth * c.eb), waves, c.p);
}

double prefill_attention_roofline_us(const KernelDevice& device, const PrefillAttentionShape& s) {
  const double flops = 2 * s.sequences * s.heads * s.head_dim * s.tokens * (s.tokens + 2 * s.prefix);
  return std::max(flops / device.peak_of(s.kv), prefill_bytes(s) / device.bandwidth);
}

double mla_prefill_us(const PrefillConstants& c, const KernelDevice& device, const MlaPrefillShape& s) {
  const double peak = device.peak_of(c.fp8_products > 0 ? Precision::kFp8 : Precision::kBf16);
  const double rows = padded(s.tokens, 128);
  const double flops = s.sequences * s.heads * rows * (rows + 128 + 2 * s.prefix) * (s.qk_head_dim + s.v_head_dim);
  const double waves = c.tc * s.sequences * s.heads * std::ceil(s.tokens / 128) / device.multiprocessors;
  return c.t0 + c.tq * (s.tokens + s.prefix) / 128 + smooth_max(flops / (peak * c.ec), mla_prefill_bytes(s) / (device.bandwidth * c.eb), waves, c.p);
}

double mla_prefill_roofline_us(const KernelDevice& device, const MlaPrefillShape& s) {
  const double flops = s.sequences * s.heads * s.tokens * (s.tokens + 2 * s.prefix) * (s.qk_head_dim + s.v_head_dim);
  return std::max(flops / device.peak_of(s.kv), mla_prefill_bytes(s) / 2 / device.bandwidth);
}

double collective_us(const CollectiveConstants& c, const KernelDevice& device, const CollectiveShape& s) {
  if (s.ranks <= 1) return 0;
  return smooth_max(c.t0 + c.t0_rank * s.ranks, c.t1 + s.bytes * bus_factor(s) / (device.scale_up * c.eff), c.p);
}

double collective_roofline_us(const KernelDevice& device, const CollectiveShape& s) {
  // In-switch reduction (NVLS) sends each byte once instead of twice.
  return s.ranks <= 1 ? 0 : s.bytes * (s.ranks - 1.0) / s.ranks / device.scale_up;
}

double exchange_us(const ExchangeConstants& c, const KernelDevice& device, const ExpertExchangeShape& s) {
  if (s.ranks <= 1) return 0;
  const double traffic = exchange_bytes(s) / (device.scale_up * c.eff);
  const bool deepep = s.mode == ExchangeMode::kDeepEpLowLatency || s.mode == ExchangeMode::kDeepEpNormal;
  return c.t0 + c.te * (deepep ? s.total_experts / 100.0 : std::log2(s.ranks)) + smooth_max(c.tt * s.tokens * s.top_k / 100, traffic, c.p);
}

double exchange_roofline_us(const KernelDevice& device, const ExpertExchangeShape& s) {
  // A token whose expert lives on the sending rank does not travel; behind nodes the slower link is the caller's to add.
  if (s.ranks <= 1) return 0;
  const double own = s.mode == ExchangeMode::kNvlinkOneSided ? 1.0 : (s.ranks - 1.0) / s.ranks;
  return exchange_bytes(s) * own / device.scale_up;
}

}  // namespace moeplan
