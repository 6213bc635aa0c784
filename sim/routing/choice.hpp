// One MoE layer's router as the samplers need it: weights, tables and moments prepared once per layer and popularity.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model_spec.hpp"
#include "routing/alias_table.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

/// Most experts of a layer (the samplers work on the stack).
inline constexpr int kMostExperts = 2048;

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

  [[nodiscard]] int groups() const { return group_size > 0 ? experts / group_size : 1; }
};

struct GroupedCorrection;

/// Prepares the choice. Node-limited routing (DeepSeek-V3: the experts come from at most top_groups groups) is drawn in succession too: an
/// expert whose group would be one too many is passed over. Its weights are corrected by trial draws from a fixed stream, fewer of them where
/// an earlier layer of the model has left its corrections in `learnt`.
RouterChoice make_router_choice(const MoeSpec& moe, std::vector<double> shares, GroupedCorrection& learnt);

/// Locality of neighbouring tokens, prepared for both samplers.
struct LocalityTables {
  RoutingLocality locality;
  AliasTable lag;                ///< draws distance - 1
  std::vector<double> fresh;     ///< fresh[t]: expected number of uncopied tokens among the first t
  std::vector<double> variance;  ///< variance[t] of a count over the first t tokens, in units of one token's variance

  [[nodiscard]] bool on() const { return locality.copy > 0; }
  /// Expected number of uncopied tokens among `tokens` neighbours.
  [[nodiscard]] double fresh_tokens(double tokens) const;
  /// Variance of a count over `tokens` neighbours / variance over as many independent tokens.
  [[nodiscard]] double inflation(double tokens) const;
};

LocalityTables make_locality_tables(const RoutingLocality& locality);

}  // namespace moeplan
