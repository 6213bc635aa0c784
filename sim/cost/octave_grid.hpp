// A grid over non-negative numbers with 2^bits nodes per octave, evenly spaced within the octave, and whole numbers below 2^bits. Looking
// up a node takes bit operations, no logarithm: it is the axis of every table of this floor.
#pragma once

#include <bit>
#include <cstdint>

namespace moeplan {

class OctaveGrid {
 public:
  /// Between node `index` and the next one, `blend` (0 <= blend < 1) of the way.
  struct Position {
    std::uint32_t index = 0;
    double blend = 0;
  };

  /// Covers 0 ... `largest`; beyond it the last two nodes are continued in a straight line (blend > 1).
  constexpr OctaveGrid(unsigned bits, double largest) : bits_(bits), last_(raw(largest).index + 1) {}

  [[nodiscard]] constexpr std::uint32_t nodes() const { return last_ + 1; }

  /// The number at a node.
  [[nodiscard]] constexpr double value(std::uint32_t index) const {
    const std::uint32_t linear = 1U << bits_;
    if (index < linear) return index;
    const std::uint32_t octave = (index - linear) >> bits_;
    const std::uint32_t sub = (index - linear) & (linear - 1);
    return static_cast<double>(static_cast<std::uint64_t>(linear + sub) << octave);
  }

  /// Where `x` >= 0 lies.
  [[nodiscard]] constexpr Position find(double x) const {
    Position p = raw(x);
    if (p.index >= last_) {
      const double low = value(last_ - 1);
      p = {last_ - 1, (x - low) / (value(last_) - low)};
    }
    return p;
  }

 private:
  [[nodiscard]] constexpr Position raw(double x) const {
    const double linear = static_cast<double>(1U << bits_);
    if (x < linear) {
      const auto whole = static_cast<std::uint32_t>(x);
      return {whole, x - whole};
    }
    const auto word = std::bit_cast<std::uint64_t>(x);
    const auto octave = static_cast<std::uint32_t>((word >> 52) - 1023) - bits_;
    const std::uint64_t mantissa = word & ((1ULL << 52) - 1);
    const unsigned rest_bits = 52 - bits_;
    const auto sub = static_cast<std::uint32_t>(mantissa >> rest_bits);
    const double rest = static_cast<double>(static_cast<std::int64_t>(mantissa & ((1ULL << rest_bits) - 1)));
    return {(1U << bits_) + (octave << bits_) + sub, rest / static_cast<double>(1ULL << rest_bits)};
  }

  unsigned bits_;
  std::uint32_t last_;
};

}  // namespace moeplan
