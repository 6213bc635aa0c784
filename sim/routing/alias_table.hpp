// Walker's alias table (Vose 1991): draws an index by weight with one random word and one look-up.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.hpp"

namespace moeplan {

class AliasTable {
 public:
  AliasTable() = default;
  /// Weights are non-negative with a positive sum; at most 65536 of them.
  explicit AliasTable(std::span<const double> weights);

  [[nodiscard]] std::uint32_t draw(RandomStream& random) const {
    const std::uint64_t scaled = static_cast<std::uint64_t>(random.bits32()) * cells_.size();
    const Cell& cell = cells_[scaled >> 32];
    return static_cast<std::uint32_t>(scaled) < cell.threshold ? cell.own : cell.alias;
  }

 private:
  struct Cell {
    std::uint32_t threshold = 0;
    std::uint16_t own = 0;
    std::uint16_t alias = 0;
  };
  std::vector<Cell> cells_;
};

}  // namespace moeplan
