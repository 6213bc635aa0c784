// Number formats and index arithmetic that the CUDA kernels share with the processor.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>

#include "suite/indexing.hpp"
#include "suite/numerics.hpp"

namespace moeplan::bench {
namespace {

/// The value among `codes` nearest to x; of two equally near ones the even code.
template <class Decode>
int nearest(double x, int codes, const Decode& decode) {
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int code = 0; code < codes; ++code) {
    const double value = static_cast<double>(decode(static_cast<std::uint8_t>(code)));
    if (std::isnan(value) || (value == 0 && code != 0)) continue;  // one zero is enough
    const double d = std::abs(value - x);
    if (d < least || (d == least && code % 2 == 0)) {
      least = d;
      best = code;
    }
  }
  return best;
}

}  // namespace

TEST_CASE("bf16 rounds to nearest, ties to even") {
  CHECK(from_bf16(to_bf16(1.0F)) == 1.0F);
  CHECK(from_bf16(to_bf16(1.00390625F)) == 1.0F);        // 1 + 2^-8, half way between 1 and 1 + 2^-7: the even one
  CHECK(from_bf16(to_bf16(1.01171875F)) == 1.015625F);   // 1 + 3 x 2^-8: up to the even one
  CHECK(from_bf16(to_bf16(-3.1415926F)) == -3.140625F);
  CHECK(std::isnan(from_bf16(to_bf16(std::nanf("")))));
  CHECK(std::isinf(from_bf16(to_bf16(3.4e38F))));        // beyond the largest bf16
}

TEST_CASE("fp8 e4m3 gives every number its nearest code") {
  CHECK(from_e4m3(0x7e) == 448.0F);
  CHECK(from_e4m3(0x01) == 0.001953125F);  // 2^-9
  CHECK(to_e4m3(1000.0F) == 0x7e);
  CHECK(to_e4m3(-1000.0F) == 0xfe);
  for (int code = 0; code < 127; ++code) {
    CHECK(to_e4m3(from_e4m3(static_cast<std::uint8_t>(code))) == code);
  }
  for (float x = 0.0003F; x < 440; x *= 1.0137F) {
    CHECK(int{to_e4m3(x)} == nearest(static_cast<double>(x), 127, from_e4m3));
    CHECK(int{to_e4m3(-x)} == (0x80 | to_e4m3(x)));
  }
}

TEST_CASE("fp4 e2m1 gives every number its nearest code") {
  const float values[] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};
  for (int code = 0; code < 8; ++code) {
    CHECK(from_e2m1(static_cast<std::uint8_t>(code)) == values[code]);
    CHECK(int{to_e2m1(values[code])} == code);
  }
  for (float x = 0.01F; x < 7; x += 0.0137F) CHECK(int{to_e2m1(x)} == nearest(static_cast<double>(x), 8, from_e2m1));
  CHECK(int{to_e2m1(-2.6F)} == 13);
  CHECK(int{to_e2m1(100.0F)} == 7);
}

TEST_CASE("a block of fp4 numbers is scaled so that its largest comes to lie at the largest code") {
  // Largest 3: scale 3 / 6 = 0.5, so 1.5 is three units, 0.25 half a unit, and -3 six.
  float block[kFp4Block] = {3, 1.5F, 0.25F, -3, -0.5F};
  const std::uint8_t scale = fp4_block_scale(3);
  CHECK(from_e4m3(scale) == 0.5F);
  const std::uint64_t codes = fp4_block_codes(block, scale);
  const auto value = [&](int i) { return 0.5F * from_e2m1(static_cast<std::uint8_t>(codes >> (4 * i) & 15U)); };
  for (int i = 0; i < kFp4Block; ++i) CHECK(value(i) == block[i]);
  CHECK((codes & 15U) == 7);  // the first number lies in the lowest bits
  const float nothing[kFp4Block] = {};
  CHECK(fp4_block_codes(nothing, fp4_block_scale(0)) == 0);
}

TEST_CASE("fp4 blocks of any size keep their numbers to a code's width") {
  for (float size = 0.02F; size < 2000; size *= 1.7F) {
    float block[kFp4Block];
    for (int i = 0; i < kFp4Block; ++i) block[i] = size * static_cast<float>((i * 7) % 16 - 8) / 8;
    const std::uint8_t scale = fp4_block_scale(size);
    const std::uint64_t codes = fp4_block_codes(block, scale);
    for (int i = 0; i < kFp4Block; ++i) {
      const float got = from_e4m3(scale) * from_e2m1(static_cast<std::uint8_t>(codes >> (4 * i) & 15U));
      // Half the widest step (4 to 6) and the rounding of the scale, 1/16 of the largest at most.
      CHECK(std::abs(got - block[i]) <= size * (1.0F / 6 + 0.0625F));
    }
  }
}

TEST_CASE("softmax states of two parts join to the state of the whole") {
  const double scores[] = {1.5, -2, 0.25, 3, 2.5, -1};
  const auto state = [&](int begin, int end) {
    RunningSoftmax s;
    for (int i = begin; i < end; ++i) s.top = std::max(s.top, static_cast<float>(scores[i]));
    for (int i = begin; i < end; ++i) s.sum += std::exp(static_cast<float>(scores[i]) - s.top);
    return s;
  };
  const RunningSoftmax a = state(0, 3), b = state(3, 6), whole = state(0, 6);
  const float top = std::max(a.top, b.top);
  const RunningSoftmax both = joined(a, b, std::exp(a.top - top), std::exp(b.top - top));
  CHECK(both.top == whole.top);
  CHECK(both.sum == doctest::Approx(whole.sum));
}

TEST_CASE("the parts of a split cover every key once, in multiples of the granule") {
  for (const int length : {1, 15, 16, 17, 300, 4096, 5000}) {
    for (const int parts : {1, 2, 3, 8, 64}) {
      int next = 0;
      for (int part = 0; part < parts; ++part) {
        const KeyRange range = split_range(length, parts, part, 16);
        CHECK(range.begin <= range.end);
        if (range.begin == range.end) continue;
        CHECK(range.begin == next);
        CHECK(range.begin % 16 == 0);
        next = range.end;
      }
      CHECK(next == length);
    }
  }
}

TEST_CASE("keys are split only as far as there are multiprocessors and keys") {
  CHECK(split_parts(8192, 1, 100, 64, 128) == 128);  // 200 wanted, 128 possible
  CHECK(split_parts(8192, 400, 100, 64, 64) == 1);   // blocks enough without
  CHECK(split_parts(100, 1, 100, 64, 64) == 2);      // two parts of at least 64 keys, rounded up
  CHECK(split_parts(8192, 50, 100, 64, 64) == 4);
}

TEST_CASE("paged offsets are the row-major offsets of block, head and token") {
  // 4 KV heads, blocks of 16 tokens, 128 elements: block 3, head 2, token 5 = ((3 x 4 + 2) x 16 + 5) x 128
  CHECK(paged_offset(3, 5, 2, 4, 16, 128) == (14 * 16 + 5) * 128);
  CHECK(kv_head_of(7, 32, 8) == 1);
  CHECK(causal_keys(0, 0) == 1);
  CHECK(causal_keys(5, 100) == 106);
}

TEST_CASE("fp4 scales fill each 128 x 4 tile of the library's layout exactly once") {
  // 256 rows of 8 groups: four tiles of 512 bytes.
  std::set<std::int64_t> seen;
  for (int row = 0; row < 256; ++row) {
    for (int group = 0; group < 8; ++group) seen.insert(scale_offset(row, group, 8));
  }
  CHECK(seen.size() == 2048);
  CHECK(*seen.rbegin() == 2047);
  CHECK(scale_bytes(256, 8) == 2048);
  CHECK(scale_bytes(129, 5) == 2048);  // whole tiles
  CHECK(scale_offset(128, 0, 5) == scale_bytes(128, 5));
  CHECK(scale_offset(0, 1, 8) == 1);
  CHECK(scale_offset(32, 0, 8) == 4);     // rows 0, 32, 64, 96 share 16 bytes
  CHECK(scale_offset(1, 0, 8) == 16);
  CHECK(scale_offset(0, 4, 8) == 512);    // the next tile along k
  CHECK(scale_offset(128, 0, 8) == 1024); // the next tile of rows
}

}  // namespace moeplan::bench
