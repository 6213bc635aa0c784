// One MoE layer's router as the samplers need it: weights, tables and moments prepared once per layer and popularity.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/model_spec.hpp"
#include "routing/alias_table.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

/// Most experts of a layer (the samplers work on the stack).
inline constexpr int kMostExperts = 2048;
/// Most experts one token may choose.
inline constexpr int kMostChoices = 64;

/// The choice of `top_k` of `experts`; immutable once made.
struct RouterChoice {
  int experts = 0;
  int top_k = 0;
  int group_size = 0;  ///< node-limited routing: experts per group; 0 = off
  int top_groups = 0;
  std::vector<std::uint8_t> group_of;  ///< by expert, when grouped
  std::vector<double> included;  ///< P(expert chosen by a token); sums to top_k
  AliasTable table;              ///< by weight for drawing top_k in succession

  // Gaussian copula of the counts (count_sampler.hpp). The standard score of expert e of group g is
  // own[e] z_e + common[e] (shift_g - sum over j in g of spread[j] z_j); without groups all experts form one, whose shift is 0.
  std::vector<double> log_missed;  ///< log(1 - included)
  std::vector<double> deviation;   ///< standard deviation of one token's indicator, sqrt(p (1 - p))
  std::vector<double> own;
  std::vector<double> common;
  std::vector<double> spread;
  std::vector<double> group_spread;  ///< shift_g = group_spread[g] y_g - group_common[g] sum over h of group_spread[h] y_h
  std::vector<double> group_common;
  std::vector<double> group_excess;  ///< variance of a group's total per token beyond that of independent experts
  /// How much of an expert depends on each slot, its place in the order of drawing; empty unless asked for.
  struct SlotShare {
    float missed = 0;  ///< of log_missed
    float spread = 0;  ///< of the covariance between tokens that take over from one another
  };
  std::vector<SlotShare> drawn_as;  ///< [expert x top_k + slot]

  [[nodiscard]] int groups() const { return group_size > 0 ? experts / group_size : 1; }
};

struct GroupedCorrection;

/// Prepares the choice. Node-limited routing (DeepSeek-V3: the experts come from at most top_groups groups) is drawn in succession too: an
/// expert whose group would be one too many is passed over. Its weights are corrected by trial draws from a fixed stream, fewer of them where
/// an earlier layer of the model has left its corrections in `learnt`. With `ordered` the order of drawing is worked out, too (node-limited
/// routing: as it were without the limit).
RouterChoice make_router_choice(const MoeSpec& moe, std::vector<double> shares, GroupedCorrection& learnt, bool ordered = false);

/// Locality of neighbouring tokens, prepared for both samplers.
struct LocalityTables {
  /// The expert that a token draws as its n-th: taken over from an earlier token, with the first n - 1, or fresh.
  struct Slot {
    std::vector<double> fresh;     ///< fresh[t]: expected number of fresh ones among the first t tokens
    std::vector<double> variance;  ///< variance[t] of a count over the first t tokens, in units of one token's variance
  };
  RoutingLocality locality;
  int top_k = 0;
  AliasTable lag;           ///< draws distance - 1
  AliasTable taken;         ///< draws how many experts a token takes over
  std::vector<Slot> slots;  ///< by slot; without entries where next to nothing is taken over; one for all when all or none is

  [[nodiscard]] bool on() const { return locality.copy > 0; }
  [[nodiscard]] bool partial() const { return slots.size() > 1; }
  /// Expected number of fresh choices of a slot among `tokens` neighbours.
  [[nodiscard]] double fresh_tokens(std::size_t slot, double tokens) const;
  /// Variance of a slot's counts over `tokens` neighbours / variance over as many independent tokens.
  [[nodiscard]] double inflation(std::size_t slot, double tokens) const;
};

LocalityTables make_locality_tables(const RoutingLocality& locality, int top_k);

/// What `tokens` neighbours mean to each expert of a choice: as many independent tokens would touch it equally often, and the variance of its
/// count is that much larger than with `tokens` independent ones.
class NeighbourCounts {
 public:
  /// REQUIRES: `choice` outlives this; its drawn_as is there if the locality is partial.
  NeighbourCounts(const RouterChoice& choice, const LocalityTables& locality, double tokens);
  [[nodiscard]] double fresh(std::size_t expert) const { return weighted(fresh_, expert, &RouterChoice::SlotShare::missed); }
  [[nodiscard]] double inflation(std::size_t expert) const { return weighted(inflation_, expert, &RouterChoice::SlotShare::spread); }
  [[nodiscard]] double mean_fresh() const;
  /// Inflation of a group's total: the first slot decides most about it, as later ones follow the groups that are open.
  [[nodiscard]] double group_inflation() const { return inflation_[0]; }

 private:
  using BySlot = std::array<double, kMostChoices>;
  [[nodiscard]] double weighted(const BySlot& values, std::size_t expert, float RouterChoice::SlotShare::*part) const {
    if (drawn_as_ == nullptr) return values[0];
    const RouterChoice::SlotShare* const share = drawn_as_ + expert * top_k_;
    double sum = 0;
    for (std::size_t slot = 0; slot < top_k_; ++slot) sum += static_cast<double>(share[slot].*part) * values[slot];
    return sum;
  }
  const RouterChoice::SlotShare* drawn_as_ = nullptr;  ///< null: all slots are alike
  std::size_t top_k_;
  BySlot fresh_{}, inflation_{};
};

}  // namespace moeplan
