// Expert popularity: the share of a layer's token-expert pairs that goes to each expert, and what follows from it without sampling.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {

/// Shares of the experts of MoE layer `layer`; they sum to 1 and none exceeds largest_share(). The popular experts of different layers
/// are unrelated: drawn kinds and zipf are permuted by a stream of `seed` and `layer`. Domains are mixed by their decode shares. `period`:
/// of the drift, from 0. Throws InputError when a recorded popularity has another number of experts.
std::vector<double> expert_shares(const RoutingConfig& config, const MoeSpec& moe, int layer, std::uint64_t seed, int period = 0);

/// The same for one of the config's domains.
std::vector<double> domain_shares(const RoutingConfig& config, std::size_t domain, const MoeSpec& moe, int layer, std::uint64_t seed,
                                  int period = 0);

/// The same shares dealt to other experts, as drift leaves them after `periods` periods. With correlation 1 nothing changes.
std::vector<double> drifted_shares(std::vector<double> shares, double correlation, int periods, RandomStream& random);

/// The largest share an expert may have when every token chooses `top_k` different ones: slightly below 1 / top_k.
double largest_share(int experts, int top_k);

/// Scales `shares` to sum 1 with none above `limit`: the surplus goes to the others in proportion.
void normalise_shares(std::vector<double>& shares, double limit);

/// Expected number of distinct experts that `tokens` independent tokens touch: sum over e of 1 - (1 - top_k share_e)^tokens.
double expected_distinct_experts(std::span<const double> shares, double tokens, int top_k);

/// The same for uniform routing: E (1 - (1 - top_k / E)^tokens).
double expected_distinct_experts(int experts, double tokens, int top_k);

}  // namespace moeplan
