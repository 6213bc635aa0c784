#include "routing/token_sampler.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.hpp"

namespace moeplan {
namespace {

void sample_independent(const RouterChoice& choice, std::int64_t tokens, RandomStream& random, std::span<std::int32_t> counts) {
  if (choice.top_k == 1) {
    for (std::int64_t t = 0; t < tokens; ++t) ++counts[choice.table.draw(random)];
    return;
  }
  std::array<std::uint16_t, kMostChoices> chosen;
  const std::span<std::uint16_t> token(chosen.data(), static_cast<std::size_t>(choice.top_k));
  for (std::int64_t t = 0; t < tokens; ++t) {
    sample_token(choice, random, token);
    for (const std::uint16_t expert : token) ++counts[expert];
  }
}

void sample_neighbours(const RouterChoice& choice, const LocalityTables& tables, std::int64_t tokens, RandomStream& random,
                       std::span<std::int32_t> counts) {
  const auto k = static_cast<std::size_t>(choice.top_k);
  const auto reach = static_cast<std::size_t>(tables.locality.reach);
  MOEPLAN_CHECK(reach * k <= kMostHistory);
  std::array<std::uint16_t, kMostHistory> history;  // a ring of the last `reach` tokens
  const auto copy_below = static_cast<std::uint32_t>(tables.locality.copy * 0x1.0p32);
  for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
    std::uint16_t* const mine = history.data() + t % reach * k;
    const std::size_t distance = random.bits32() < copy_below ? tables.lag.draw(random) + 1 : t + 1;
    if (distance <= t) {
      const std::uint16_t* const past = history.data() + (t - distance) % reach * k;  // may be the slot to overwrite: then nothing changes
      if (past != mine) std::copy_n(past, k, mine);
    } else {
      sample_token(choice, random, {mine, k});
    }
    for (std::size_t i = 0; i < k; ++i) ++counts[mine[i]];
  }
}

}  // namespace

void sample_token(const RouterChoice& choice, RandomStream& random, std::span<std::uint16_t> experts) {
  const auto k = static_cast<std::size_t>(choice.top_k);
  std::size_t size = 0;
  std::uint64_t open_groups = 0;
  while (size < k) {
    const std::uint32_t expert = choice.table.draw(random);
    const auto end = experts.begin() + static_cast<std::ptrdiff_t>(size);
    if (std::find(experts.begin(), end, expert) != end) continue;
    if (choice.group_size > 0) {
      const std::uint64_t open = open_groups | std::uint64_t{1} << (expert / static_cast<std::uint32_t>(choice.group_size));
      if (std::popcount(open) > choice.top_groups) continue;
      open_groups = open;
    }
    experts[size++] = static_cast<std::uint16_t>(expert);
  }
}

void sample_tokens(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts) {
  if (locality != nullptr && locality->on())
    sample_neighbours(choice, *locality, tokens, random, counts);
  else
    sample_independent(choice, tokens, random, counts);
}

}  // namespace moeplan
