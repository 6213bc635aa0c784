// Named, counter-based random streams: one seed, one stream per purpose ("arrivals/chat"), identical on any thread and under every
// deployment compared. Philox4x32-10 (Salmon et al., SC'11) from Random123; the distributions are our own so that the bytes do not
// depend on a standard library.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace moeplan {

class RandomStream {
 public:
  /// A stream for `purpose` under `seed`; `index` tells apart many streams of one purpose (replica, layer, ...).
  RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0);

  /// 32 random bits.
  std::uint32_t bits32() {
    if (used_ == 4) refill();
    return block_[used_++];
  }
  /// 64 random bits.
  std::uint64_t bits64() { return (static_cast<std::uint64_t>(bits32()) << 32) | bits32(); }
  /// Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(bits64() >> 11) * 0x1.0p-53; }
  /// Uniform in (0, 1]: safe under a logarithm.
  double uniform_positive() { return 1.0 - uniform(); }
  /// Uniform integer in [0, n), n > 0, without modulo bias (Lemire 2019).
  std::uint32_t below(std::uint32_t n);
  /// Exponential of mean 1.
  double exponential();
  /// Standard normal (polar method).
  double normal();
  /// Gamma of the given shape > 0 and scale 1 (Marsaglia and Tsang 2000).
  double gamma(double shape);
  /// Binomial(n, p): exact inversion for small n p, else the rounded normal approximation with continuity clamp to [0, n].
  std::int64_t binomial(std::int64_t n, double p);

 private:
  void refill();
  std::array<std::uint32_t, 4> block_{};
  std::array<std::uint32_t, 4> counter_{};
  std::array<std::uint32_t, 2> key_{};
  unsigned used_ = 4;
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

/// FNV-1a of `text`: turns a purpose into a number that does not change between builds.
std::uint64_t stable_hash(std::string_view text);

}  // namespace moeplan
