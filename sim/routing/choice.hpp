// One MoE layer's router as the samplers need it: weights, tables and moments prepared once per layer and popularity.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model_spec.hpp"
#include "routing/alias_table.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

/// The choice of `top_k` of `experts`; immutable once made.
struct RouterChoice {
  int experts = 0;
  int top_k = 0;
  int group_size = 0;            ///< node-limited routing: experts per group; 0 = off
  int top_groups = 0;
  std::vector<double> included;  ///< P(expert chosen by a token); sums to top_k
  AliasTable table;              ///< by Plackett-Luce weight

  // Gaussian copula of the counts, see count_sampler.hpp: the standard score of expert e is own[e] z_e - common[e] sum_j spread[j] z_j.
  std::vector<double> deviation;  ///< standard deviation of one token's indicator, sqrt(p (1 - p))
  std::vector<double> own;
  std::vector<double> common;
  std::vector<double> spread;
};

RouterChoice make_router_choice(const MoeSpec& moe, std::vector<double> shares);

/// Locality of neighbouring tokens, prepared for both samplers.
struct LocalityTables {
  RoutingLocality locality;
  AliasTable lag;                      ///< draws distance - 1
  std::vector<double> fresh;           ///< fresh[d]: expected number of choices not copied among the first d tokens, d = 0 .. reach
  std::vector<double> correlation;     ///< of a slot's choice with that of d tokens earlier, d = 0 .. 2 reach

  [[nodiscard]] bool on() const { return locality.copy > 0; }
  /// Expected fresh tokens among `tokens` neighbours.
  [[nodiscard]] double fresh_tokens(double tokens) const;
  /// Variance of a count over `tokens` neighbours / variance over as many independent tokens.
  [[nodiscard]] double inflation(double tokens) const;
};

LocalityTables make_locality_tables(const RoutingLocality& locality);

}  // namespace moeplan
