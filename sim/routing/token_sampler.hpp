// The reference: draws the experts of every token, one after the other. Linear in tokens x top_k.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "base/random.hpp"
#include "routing/choice.hpp"
#include "routing/expert_load.hpp"
#include "routing/quick_random.hpp"

namespace moeplan {

/// Most remembered choices of earlier tokens: reach x top_k.
inline constexpr int kMostHistory = 16384;

/// Draws independent tokens. Several are in work at once, so that the processor need not wait for one draw to know what the next may be.
class TokenDraws {
 public:
  /// REQUIRES: `choice` outlives this and chooses fewer than all experts.
  TokenDraws(const RouterChoice& choice, RandomStream& start) : choice_(choice), random_(start) {}

  /// Calls `use(const std::uint16_t* experts)` with the top_k different experts of each of `tokens` tokens.
  template <class Use>
  void draw(std::int64_t tokens, Use&& use) {
    if (choice_.group_size > 0)
      draw_as<true>(tokens, use);
    else
      draw_as<false>(tokens, use);
  }
  /// Goes on drawing a token of whose experts the first `have` are there.
  void complete(std::uint16_t* experts, std::size_t have) {
    if (choice_.group_size > 0)
      complete_as<true>(experts, have);
    else
      complete_as<false>(experts, have);
  }
  [[nodiscard]] QuickRandom& random() { return random_; }

 private:
  static constexpr std::size_t kLanes = 4;

  /// A token in work.
  struct Lane {
    std::size_t size = 0;    ///< experts so far
    std::uint64_t open = 0;  ///< bit set of groups in use
    int groups_left = 0;
    std::array<std::uint16_t, kMostChoices + 1> experts;
    std::array<std::uint64_t, kMostExperts / 64> chosen{};  ///< bit set
  };

  /// One draw; it may be in vain. Without branches on what was drawn, as nothing of it can be predicted.
  template <bool kGrouped>
  void step(Lane& lane) {
    const std::uint32_t expert = choice_.table.draw(random_);
    std::uint64_t& chosen = lane.chosen[expert / 64];
    std::uint64_t accept = ~(chosen >> (expert % 64)) & 1;
    if constexpr (kGrouped) {
      const unsigned group = choice_.group_of[expert];
      const std::uint64_t is_open = (lane.open >> group) & 1;
      accept &= is_open | static_cast<std::uint64_t>(lane.groups_left > 0);
      lane.groups_left -= static_cast<int>(accept & ~is_open);
      lane.open |= accept << group;
    }
    chosen |= accept << (expert % 64);
    lane.experts[lane.size] = static_cast<std::uint16_t>(expert);
    lane.size += accept;
  }

  template <bool kGrouped, class Use>
  void draw_as(std::int64_t tokens, Use& use) {
    const auto k = static_cast<std::size_t>(choice_.top_k);
    const auto busy = static_cast<std::size_t>(std::min<std::int64_t>(tokens, kLanes));
    std::int64_t waiting = tokens - static_cast<std::int64_t>(busy);
    std::size_t left = busy;
    for (std::size_t i = 0; i < busy; ++i) lanes_[i].groups_left = choice_.top_groups;
    const auto finish = [&](Lane& lane) {
      use(lane.experts.data());
      for (std::size_t i = 0; i < k; ++i) lane.chosen[lane.experts[i] / 64] = 0;
      lane.size = 0;
      lane.open = 0;
      lane.groups_left = choice_.top_groups;
    };
    if (busy == kLanes) {
      while (left == kLanes) {
        for (Lane& lane : lanes_) {
          step<kGrouped>(lane);
          if (lane.size < k) continue;
          finish(lane);
          if (waiting-- > 0) continue;
          // No token is left to start: the lanes that are still at work follow one by one.
          std::swap(lane, lanes_[kLanes - 1]);
          --left;
          break;
        }
      }
    }
    for (std::size_t i = 0; i < left; ++i) {
      while (lanes_[i].size < k) step<kGrouped>(lanes_[i]);
      finish(lanes_[i]);
    }
  }

  template <bool kGrouped>
  void complete_as(std::uint16_t* experts, std::size_t have) {
    const auto k = static_cast<std::size_t>(choice_.top_k);
    Lane& lane = lanes_[0];
    lane.size = have;
    lane.open = 0;
    lane.groups_left = choice_.top_groups;
    for (std::size_t i = 0; i < have; ++i) {
      const std::uint16_t expert = lane.experts[i] = experts[i];
      lane.chosen[expert / 64] |= std::uint64_t{1} << (expert % 64);
      if constexpr (kGrouped) {
        const std::uint64_t group = std::uint64_t{1} << choice_.group_of[expert];
        lane.groups_left -= (lane.open & group) == 0 ? 1 : 0;
        lane.open |= group;
      }
    }
    while (lane.size < k) step<kGrouped>(lane);
    for (std::size_t i = 0; i < k; ++i) {
      experts[i] = lane.experts[i];
      lane.chosen[experts[i] / 64] = 0;
    }
    lane.size = 0;
  }

  const RouterChoice& choice_;
  QuickRandom random_;
  std::array<Lane, kLanes> lanes_;
};

/// The tokens of one prompt, one after the other, each with the experts it takes over from an earlier one.
class NeighbourDraws {
 public:
  /// `history` holds locality.reach x top_k experts. REQUIRES: locality.on(); the references outlive this.
  NeighbourDraws(const RouterChoice& choice, const LocalityTables& locality, std::span<std::uint16_t> history, RandomStream& start)
      : draws_(choice, start), locality_(locality), history_(history), k_(static_cast<std::size_t>(choice.top_k)) {}

  /// The experts of the next token in the order they were drawn, until the next call.
  std::span<const std::uint16_t> next() {
    const auto reach = static_cast<std::size_t>(locality_.locality.reach);
    std::uint16_t* const mine = history_.data() + made_ % reach * k_;
    std::size_t taken = locality_.taken.draw(draws_.random());
    if (taken > 0) {
      const std::size_t distance = locality_.lag.draw(draws_.random()) + 1;
      if (distance <= made_) {
        const std::uint16_t* const past = history_.data() + (made_ - distance) % reach * k_;  // may be the slot to overwrite
        if (past != mine) std::copy_n(past, taken, mine);
      } else {
        taken = 0;
      }
    }
    if (taken < k_) draws_.complete(mine, taken);
    ++made_;
    return {mine, k_};
  }

 private:
  TokenDraws draws_;
  const LocalityTables& locality_;
  std::span<std::uint16_t> history_;  ///< a ring of the last tokens
  std::size_t k_;
  std::size_t made_ = 0;
};

/// Adds the experts of `tokens` tokens to `counts` (one per expert). With `locality` on, the tokens are consecutive in one prompt and the
/// first of them has no past.
void sample_tokens(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts);

/// Adds the experts of `tokens` recorded tokens of `layer` (modulo the recorded ones) to `counts`, which REQUIRES to be zero: any tokens when
/// decoding, those from a random one onwards, and on from the first again, in a prompt.
void replay_tokens(const RecordedTokens& recorded, int layer, RoutingPhase phase, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts);

}  // namespace moeplan
