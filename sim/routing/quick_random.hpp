// SplitMix64 (Steele, Lea and Flood, OOPSLA'14): a few instructions per number, for the inner loops of the samplers, where a counter-based
// stream would take as long as everything else. Started by a RandomStream, so that the same stream draws the same load.
#pragma once

#include <cstdint>

#include "base/random.hpp"

namespace moeplan {

class QuickRandom {
 public:
  explicit QuickRandom(RandomStream& start) : state_(start.bits64()) {}

  std::uint64_t bits64() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }
  std::uint32_t bits32() { return static_cast<std::uint32_t>(bits64() >> 32); }
  /// Uniform in (0, 1], 53 bits.
  double uniform_positive() { return 1.0 - static_cast<double>(bits64() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace moeplan
