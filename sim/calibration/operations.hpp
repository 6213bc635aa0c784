// The kernels that are measured and fitted, each described the same way: its shape, its form, its roofline, and where a shape lies among others.
// One set of templates calibrates, stores and evaluates them all.
#pragma once

#include <cmath>

#include "calibration/constant_fields.hpp"
#include "calibration/generic_constants.hpp"
#include "calibration/kernel_forms.hpp"
#include "calibration/residual_table.hpp"

namespace moeplan {

inline double octaves(double x) { return std::log2(std::max(x, 1e-3)); }

struct GemmOperation {
  using Shape = GemmShape;
  using Constants = GemmConstants;
  static constexpr const char* kName = "gemm";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return gemm_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return gemm_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) { return {octaves(s.n), octaves(s.k), 0, 0, 0}; }
  static GridPoint point(const Shape& s) { return {0, octaves(s.m)}; }
};

struct MoeOperation {
  using Shape = MoeShape;
  using Constants = MoeConstants;
  static constexpr const char* kName = "moe";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return moe_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return moe_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) {
    const double ranks = s.local_experts > 0 ? static_cast<double>(s.total_experts) / s.local_experts : 1;
    return {octaves(s.hidden), octaves(s.inter), octaves(s.top_k), octaves(s.total_experts), octaves(ranks)};
  }
  /// Rows per local expert: what a kernel picks its tiles by.
  static GridPoint point(const Shape& s) { return {0, octaves(s.pairs / std::max(1, s.local_experts))}; }
};

struct DecodeOperation {
  using Shape = DecodeAttentionShape;
  using Constants = DecodeConstants;
  static constexpr const char* kName = "attention_decode";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return decode_attention_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return decode_attention_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) { return {octaves(s.heads), octaves(s.kv_heads), octaves(s.head_dim), 0, 0}; }
  static GridPoint point(const Shape& s) { return {octaves(s.sequences), octaves(s.context / std::max(s.sequences, 1e-3))}; }
};

struct PrefillOperation {
  using Shape = PrefillAttentionShape;
  using Constants = PrefillConstants;
  static constexpr const char* kName = "attention_prefill";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return prefill_attention_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return prefill_attention_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) { return {octaves(s.heads), octaves(s.kv_heads), octaves(s.head_dim), 0, 0}; }
  /// Behind a prefix a chunk counts as the prompt of equal work.
  static GridPoint point(const Shape& s) { return {octaves(s.sequences), octaves(std::sqrt(s.tokens * (s.tokens + 2 * s.prefix)))}; }
};

struct MlaDecodeOperation {
  using Shape = MlaDecodeShape;
  using Constants = DecodeConstants;
  static constexpr const char* kName = "mla_decode";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return mla_decode_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return mla_decode_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) { return {octaves(s.heads), 0, 0, 0, 0}; }
  static GridPoint point(const Shape& s) { return {octaves(s.sequences), octaves(s.context / std::max(s.sequences, 1e-3))}; }
};

struct MlaPrefillOperation {
  using Shape = MlaPrefillShape;
  using Constants = PrefillConstants;
  static constexpr const char* kName = "mla_prefill";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return mla_prefill_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return mla_prefill_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) { return {octaves(s.heads), 0, 0, 0, 0}; }
  static GridPoint point(const Shape& s) { return {octaves(s.sequences), octaves(std::sqrt(s.tokens * (s.tokens + 2 * s.prefix)))}; }
};

struct CollectiveOperation {
  using Shape = CollectiveShape;
  using Constants = CollectiveConstants;
  static constexpr const char* kName = "collective";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return collective_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return collective_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) { return {octaves(s.ranks), 0, 0, 0, 0}; }
  static GridPoint point(const Shape& s) { return {0, octaves(s.bytes)}; }
};

struct ExchangeOperation {
  using Shape = ExpertExchangeShape;
  using Constants = ExchangeConstants;
  static constexpr const char* kName = "all_to_all";
  static double form(const Constants& c, const KernelDevice& d, const Shape& s) { return exchange_us(c, d, s); }
  static double roofline(const KernelDevice& d, const Shape& s) { return exchange_roofline_us(d, s); }
  static ShapeCoordinates coordinates(const Shape& s) {
    return {octaves(s.hidden), octaves(s.top_k), octaves(s.total_experts), octaves(s.ranks), 0};
  }
  static GridPoint point(const Shape& s) { return {0, octaves(s.tokens)}; }
};

}  // namespace moeplan
