#include "routing/token_sampler.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.hpp"

namespace moeplan {
namespace {

/// The experts that one token has chosen so far; knows which others it may still choose.
class TokenChoices {
 public:
  explicit TokenChoices(const RouterChoice& choice) : choice_(choice) {}

  void clear() { size_ = 0; }
  /// Draws one more expert.
  void add(RandomStream& random) {
    std::uint32_t expert = choice_.table.draw(random);
    while (!allowed(expert, size_)) expert = choice_.table.draw(random);
    chosen_[size_++] = static_cast<std::uint16_t>(expert);
  }
  /// Draws the expert of `slot` anew, given the others. Only for a complete token.
  void redraw(std::size_t slot, RandomStream& random) {
    std::uint32_t expert = choice_.exchange.draw(random);
    while (!allowed(expert, slot)) expert = choice_.exchange.draw(random);
    chosen_[slot] = static_cast<std::uint16_t>(expert);
  }
  void load(const std::uint16_t* from) {
    size_ = static_cast<std::size_t>(choice_.top_k);
    std::copy_n(from, size_, chosen_.begin());
  }
  void store(std::uint16_t* to) const { std::copy_n(chosen_.begin(), size_, to); }
  [[nodiscard]] std::span<const std::uint16_t> experts() const { return {chosen_.data(), size_}; }

 private:
  [[nodiscard]] bool allowed(std::uint32_t expert, std::size_t slot) const {
    for (std::size_t i = 0; i < size_; ++i) {
      if (chosen_[i] == expert && i != slot) return false;
    }
    return choice_.group_size == 0 || group_allowed(expert, slot);
  }
  [[nodiscard]] bool group_allowed(std::uint32_t expert, std::size_t slot) const {
    const auto size = static_cast<std::uint32_t>(choice_.group_size);
    std::uint64_t open = std::uint64_t{1} << (expert / size);
    for (std::size_t i = 0; i < size_; ++i) {
      if (i != slot) open |= std::uint64_t{1} << (chosen_[i] / size);
    }
    return std::popcount(open) <= choice_.top_groups;
  }

  const RouterChoice& choice_;
  std::array<std::uint16_t, kMostChoices> chosen_;
  std::size_t size_ = 0;
};

void sample_independent(const RouterChoice& choice, std::int64_t tokens, RandomStream& random, std::span<std::int32_t> counts) {
  if (choice.top_k == 1) {
    for (std::int64_t t = 0; t < tokens; ++t) ++counts[choice.table.draw(random)];
    return;
  }
  TokenChoices token(choice);
  for (std::int64_t t = 0; t < tokens; ++t) {
    token.clear();
    for (int slot = 0; slot < choice.top_k; ++slot) token.add(random);
    for (const std::uint16_t expert : token.experts()) ++counts[expert];
  }
}

void sample_neighbours(const RouterChoice& choice, const LocalityTables& tables, std::int64_t tokens, RandomStream& random,
                       std::span<std::int32_t> counts) {
  const auto k = static_cast<std::size_t>(choice.top_k);
  const auto reach = static_cast<std::size_t>(tables.locality.reach);
  MOEPLAN_CHECK(reach * k <= kMostHistory);
  std::array<std::uint16_t, kMostHistory> history;  // a ring of the last `reach` tokens
  const auto keep_below = static_cast<std::uint32_t>(tables.locality.copy * 0x1.0p32);
  TokenChoices token(choice);
  for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
    const std::size_t distance = tables.lag.draw(random) + 1;
    if (distance <= t) {
      token.load(history.data() + (t - distance) % reach * k);
      for (std::size_t slot = 0; slot < k; ++slot) {
        if (random.bits32() >= keep_below) token.redraw(slot, random);
      }
    } else {
      token.clear();
      for (std::size_t slot = 0; slot < k; ++slot) token.add(random);
    }
    token.store(history.data() + t % reach * k);
    for (const std::uint16_t expert : token.experts()) ++counts[expert];
  }
}

}  // namespace

void sample_tokens(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts) {
  if (locality != nullptr && locality->on()) sample_neighbours(choice, *locality, tokens, random, counts);
  else sample_independent(choice, tokens, random, counts);
}

}  // namespace moeplan
