#include "host/row_math.hpp"

#include <cmath>
#include <cstddef>

#include "host/vector_math.hpp"
#include "suite/numerics.hpp"

namespace moeplan::bench {

MOEPLAN_CLONES void rms_norm_rows(int rows, int width, const std::uint16_t* x, std::uint16_t* out) {
  for (std::ptrdiff_t r = 0; r < rows; ++r) {
    const std::uint16_t* row = x + r * width;
    Floats sum = {};
    for (int i = 0; i < width; i += kLanes) {
      Floats v;
      load(row + i, v);
      sum += v * v;
    }
    const float scale = 1 / std::sqrt(sum_of(sum) / static_cast<float>(width) + 1e-5F);
    for (int i = 0; i < width; i += kLanes) {
      Floats v;
      load(row + i, v);
      v *= scale;
      store(out + r * width + i, v);
    }
  }
}

MOEPLAN_CLONES void add_rows(int rows, int width, const std::uint16_t* from, std::uint16_t* to) {
  for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{rows} * width; i += kLanes) {
    Floats a, b;
    load(from + i, a);
    load(to + i, b);
    a += b;
    store(to + i, a);
  }
}

MOEPLAN_CLONES void rotate_head(std::uint16_t* head, int half, const float* cosines, const float* sines) {
  int i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    Floats a, b, cosine, sine;
    load(head + i, a);
    load(head + i + half, b);
    load(cosines + i, cosine);
    load(sines + i, sine);
    const Floats first = a * cosine - b * sine, second = a * sine + b * cosine;
    store(head + i, first);
    store(head + i + half, second);
  }
  for (; i < half; ++i) {
    const float a = from_bf16(head[i]), b = from_bf16(head[i + half]);
    head[i] = to_bf16(a * cosines[i] - b * sines[i]);
    head[i + half] = to_bf16(a * sines[i] + b * cosines[i]);
  }
}

MOEPLAN_CLONES std::int32_t largest(const std::uint16_t* values, int count) {
  Floats top;
  load(values, top);
  for (int i = kLanes; i < count; i += kLanes) {
    Floats v;
    load(values + i, v);
    top = v > top ? v : top;
  }
  float best = top[0];
  for (int i = 1; i < kLanes; ++i) best = top[i] > best ? top[i] : best;
  for (std::int32_t i = 0; i < count; ++i) {
    if (from_bf16(values[i]) == best) return i;
  }
  return 0;
}

}  // namespace moeplan::bench
