#include "routing/alias_table.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"

namespace moeplan {

AliasTable::AliasTable(std::span<const double> weights) : cells_(weights.size()) {
  MOEPLAN_CHECK(!weights.empty() && weights.size() <= 65536);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  MOEPLAN_CHECK(sum > 0 && std::isfinite(sum));
  std::vector<double> filling(weights.size());
  std::vector<std::size_t> small;
  std::vector<std::size_t> large;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    filling[i] = weights[i] / sum * static_cast<double>(weights.size());
    (filling[i] < 1.0 ? small : large).push_back(i);
    cells_[i] = {0xffffffffU, {static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i)}};
  }
  while (!small.empty() && !large.empty()) {
    const std::size_t under = small.back();
    const std::size_t over = large.back();
    small.pop_back();
    cells_[under].threshold = static_cast<std::uint32_t>(std::min(filling[under] * 0x1.0p32, 0x1.0p32 - 1));
    cells_[under].outcome[1] = static_cast<std::uint16_t>(over);
    filling[over] -= 1.0 - filling[under];
    if (filling[over] < 1.0) {
      large.pop_back();
      small.push_back(over);
    }
  }
}

}  // namespace moeplan
