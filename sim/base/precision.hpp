// Number formats of weights, activations and KV cache, with their storage cost including scales.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace moeplan {

enum class Precision : std::uint8_t { kFp32, kBf16, kFp16, kFp8, kFp8Block, kInt8, kInt4, kNvfp4, kMxfp4 };

inline constexpr std::array<Precision, 9> kAllPrecisions = {Precision::kFp32, Precision::kBf16, Precision::kFp16,
                                                            Precision::kFp8,  Precision::kFp8Block, Precision::kInt8,
                                                            Precision::kInt4, Precision::kNvfp4, Precision::kMxfp4};

/// The name used in scenarios and reports: "bf16", "fp8_block", ...
std::string_view to_string(Precision p);

/// Inverse of to_string; nothing for an unknown name.
std::optional<Precision> precision_from_string(std::string_view name);

/// Storage per weight in bytes, scales and zeros included: fp8 is per-channel (scales negligible, counted as 0), fp8_block has one
/// fp32 scale per 128x128 block, int4 is group-wise (128) with an fp16 scale and a 4-bit zero, nvfp4 has one fp8 scale per 16, mxfp4
/// one 8-bit exponent per 32.
double bytes_per_weight(Precision p);

/// Bytes per element of an activation or KV entry held in `p` (fp8_block activations carry one fp32 scale per 128).
double bytes_per_activation(Precision p);

}  // namespace moeplan
