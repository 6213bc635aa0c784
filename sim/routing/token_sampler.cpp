#include "routing/token_sampler.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace moeplan {
namespace {

void sample_independent(const RouterChoice& choice, std::int64_t tokens, RandomStream& random, std::span<std::int32_t> counts) {
  TokenDraws draws(choice, random);
  draws.draw(tokens, [&](const std::uint16_t* experts) {
    for (int i = 0; i < choice.top_k; ++i) ++counts[experts[i]];
  });
}

void sample_neighbours(const RouterChoice& choice, const LocalityTables& tables, std::int64_t tokens, RandomStream& random,
                       std::span<std::int32_t> counts) {
  const auto k = static_cast<std::size_t>(choice.top_k);
  const auto reach = static_cast<std::size_t>(tables.locality.reach);
  MOEPLAN_CHECK(reach * k <= kMostHistory);
  TokenDraws draws(choice, random);
  std::array<std::uint16_t, kMostHistory> history;  // a ring of the last `reach` tokens
  const auto copy_below = static_cast<std::uint32_t>(tables.locality.copy * 0x1.0p32);
  for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
    std::uint16_t* const mine = history.data() + t % reach * k;
    const std::size_t distance = draws.random().bits32() < copy_below ? tables.lag.draw(draws.random()) + 1 : t + 1;
    if (distance <= t) {
      const std::uint16_t* const past = history.data() + (t - distance) % reach * k;  // may be the slot to overwrite: then nothing changes
      if (past != mine) std::copy_n(past, k, mine);
    } else {
      draws.draw(1, [&](const std::uint16_t* experts) { std::copy_n(experts, k, mine); });
    }
    for (std::size_t i = 0; i < k; ++i) ++counts[mine[i]];
  }
}

}  // namespace

void sample_tokens(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts) {
  if (locality != nullptr && locality->on())
    sample_neighbours(choice, *locality, tokens, random, counts);
  else
    sample_independent(choice, tokens, random, counts);
}

}  // namespace moeplan
