#include "base/precision.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace moeplan;

TEST_CASE("every precision has its own name and is found by it") {
  std::set<std::string_view> names;
  for (const Precision p : kAllPrecisions) {
    CHECK(precision_from_string(to_string(p)) == p);
    names.insert(to_string(p));
  }
  CHECK(names.size() == kAllPrecisions.size());
  CHECK_FALSE(precision_from_string("fp9").has_value());
  CHECK_FALSE(precision_from_string("").has_value());
  CHECK_FALSE(precision_from_string("BF16").has_value());
}

TEST_CASE("stored weights include their scales") {
  CHECK(bytes_per_weight(Precision::kFp32) == 4.0);
  CHECK(bytes_per_weight(Precision::kBf16) == 2.0);
  CHECK(bytes_per_weight(Precision::kFp8) == 1.0);
  // One fp32 scale per 128 x 128 block: 16384 + 4 bytes for 16384 weights.
  CHECK(bytes_per_weight(Precision::kFp8Block) * 16384 == doctest::Approx(16388));
  // NVFP4: 16 weights in 8 bytes and one byte of scale. MXFP4: 32 weights in 16 bytes and one.
  CHECK(bytes_per_weight(Precision::kNvfp4) * 16 == doctest::Approx(9));
  CHECK(bytes_per_weight(Precision::kMxfp4) * 32 == doctest::Approx(17));
  // Groups of 128 int4 weights: 64 bytes, a 2-byte scale and a half-byte zero point.
  CHECK(bytes_per_weight(Precision::kInt4) * 128 == doctest::Approx(66.5));
}
