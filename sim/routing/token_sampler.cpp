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
  const auto held = static_cast<std::size_t>(tables.locality.reach * choice.top_k);
  MOEPLAN_CHECK(held <= kMostHistory);
  std::array<std::uint16_t, kMostHistory> history;
  NeighbourDraws draws(choice, tables, {history.data(), held}, random);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (const std::uint16_t expert : draws.next()) ++counts[expert];
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
