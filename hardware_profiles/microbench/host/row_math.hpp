// Element-wise rows of a decoder layer in bf16: norm, residual, rotary positions, argmax.
#pragma once

#include <cstdint>

namespace moeplan::bench {

/// out = x / sqrt(mean(x^2) + 1e-5), row by row; width a multiple of 16.
void rms_norm_rows(int rows, int width, const std::uint16_t* x, std::uint16_t* out);
/// to += from.
void add_rows(int rows, int width, const std::uint16_t* from, std::uint16_t* to);
/// Turns (x[i], x[i + half]) by the angle of i.
void rotate_head(std::uint16_t* head, int half, const float* cosines, const float* sines);
/// Index of the largest finite value; the first of equals. count: a multiple of 16.
std::int32_t largest(const std::uint16_t* values, int count);

}  // namespace moeplan::bench
