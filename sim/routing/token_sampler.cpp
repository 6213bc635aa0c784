#include "routing/token_sampler.hpp"

#include <array>

#include "base/error.hpp"

namespace moeplan {
namespace {

/// The experts (and groups) that one token has chosen so far.
class TokenChoices {
 public:
  explicit TokenChoices(const RouterChoice& choice) : choice_(choice) {}

  void clear() {
    size_ = 0;
    open_groups_ = 0;
    groups_ = 0;
  }
  /// Takes the expert unless it is taken already or its group is one too many.
  bool take(std::uint32_t expert) {
    for (int i = 0; i < size_; ++i) {
      if (chosen_[static_cast<std::size_t>(i)] == expert) return false;
    }
    if (choice_.group_size > 0) {
      const std::uint64_t bit = std::uint64_t{1} << (expert / static_cast<std::uint32_t>(choice_.group_size));
      if ((open_groups_ & bit) == 0) {
        if (groups_ == choice_.top_groups) return false;
        open_groups_ |= bit;
        ++groups_;
      }
    }
    chosen_[static_cast<std::size_t>(size_++)] = static_cast<std::uint16_t>(expert);
    return true;
  }
  [[nodiscard]] int size() const { return size_; }
  [[nodiscard]] std::uint16_t last() const { return chosen_[static_cast<std::size_t>(size_ - 1)]; }

 private:
  const RouterChoice& choice_;
  std::array<std::uint16_t, kMostChoices> chosen_;
  int size_ = 0;
  std::uint64_t open_groups_ = 0;
  int groups_ = 0;
};

void sample_independent(const RouterChoice& choice, std::int64_t tokens, RandomStream& random, std::span<std::int32_t> counts) {
  if (choice.top_k == 1) {
    for (std::int64_t t = 0; t < tokens; ++t) ++counts[choice.table.draw(random)];
    return;
  }
  TokenChoices token(choice);
  for (std::int64_t t = 0; t < tokens; ++t) {
    token.clear();
    while (token.size() < choice.top_k) {
      if (token.take(choice.table.draw(random))) ++counts[token.last()];
    }
  }
}

void sample_neighbours(const RouterChoice& choice, const LocalityTables& tables, std::int64_t tokens, RandomStream& random,
                       std::span<std::int32_t> counts) {
  const auto k = static_cast<std::size_t>(choice.top_k);
  const auto reach = static_cast<std::size_t>(tables.locality.reach);
  MOEPLAN_CHECK(reach * k <= kMostHistory);
  std::array<std::uint16_t, kMostHistory> history;  // a ring of the last `reach` tokens
  const auto copy_below = static_cast<std::uint32_t>(tables.locality.copy * 0x1.0p32);
  TokenChoices token(choice);
  for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
    token.clear();
    std::uint16_t* const mine = history.data() + t % reach * k;
    std::array<std::uint16_t, kMostChoices> now;
    for (std::size_t slot = 0; slot < k; ++slot) {
      bool taken = false;
      if (random.bits32() < copy_below) {
        const std::size_t distance = tables.lag.draw(random) + 1;
        if (distance <= t) taken = token.take(history[(t - distance) % reach * k + slot]);
      }
      while (!taken) taken = token.take(choice.table.draw(random));
      now[slot] = token.last();
      ++counts[token.last()];
    }
    for (std::size_t slot = 0; slot < k; ++slot) mine[slot] = now[slot];
  }
}

}  // namespace

void sample_tokens(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts) {
  if (locality != nullptr && locality->on()) sample_neighbours(choice, *locality, tokens, random, counts);
  else sample_independent(choice, tokens, random, counts);
}

}  // namespace moeplan
