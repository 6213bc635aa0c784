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

void replay_tokens(const RecordedTokens& recorded, int layer, RoutingPhase phase, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts) {
  const std::vector<std::uint16_t>& all = recorded.layers[static_cast<std::size_t>(layer) % recorded.layers.size()];
  const auto k = static_cast<std::size_t>(recorded.top_k);
  const std::size_t held = all.size() / k;
  const auto add = [&](std::size_t token) {
    for (std::size_t i = 0; i < k; ++i) ++counts[all[token * k + i]];
  };
  QuickRandom quick(random);
  const auto any = [&] { return static_cast<std::size_t>((std::uint64_t{quick.bits32()} * held) >> 32); };
  if (phase == RoutingPhase::kDecode) {
    for (std::int64_t t = 0; t < tokens; ++t) add(any());
    return;
  }
  const auto rounds = tokens / static_cast<std::int64_t>(held);
  if (rounds > 0) {
    for (std::size_t t = 0; t < held; ++t) add(t);
    for (std::int32_t& count : counts) count = static_cast<std::int32_t>(count * rounds);
  }
  std::size_t at = any();
  for (std::int64_t t = rounds * static_cast<std::int64_t>(held); t < tokens; ++t) {
    add(at);
    if (++at == held) at = 0;
  }
}

}  // namespace moeplan
