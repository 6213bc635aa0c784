// Walker's alias table (Vose 1991): draws an index by weight with one random word and one look-up.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace moeplan {

class AliasTable {
 public:
  AliasTable() = default;
  /// Weights are non-negative with a positive sum; at most 65536 of them.
  explicit AliasTable(std::span<const double> weights);

  /// `random` gives 32 random bits.
  template <class Random>
  [[nodiscard]] std::uint32_t draw(Random& random) const {
    const std::uint64_t scaled = static_cast<std::uint64_t>(random.bits32()) * cells_.size();
    const Cell& cell = cells_[scaled >> 32];
    return cell.outcome[static_cast<std::uint32_t>(scaled) < cell.threshold ? 0 : 1];  // a look-up: a branch could not be predicted
  }

 private:
  struct Cell {
    std::uint32_t threshold = 0;
    std::array<std::uint16_t, 2> outcome{};  ///< below the threshold, above it
  };
  std::vector<Cell> cells_;
};

}  // namespace moeplan
