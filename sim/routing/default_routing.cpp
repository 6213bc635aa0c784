#include "routing/routing_config.hpp"

namespace moeplan {

RoutingConfig default_routing(const std::string& family, const MoeSpec& moe) {
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  (void)family;
  config.sigma = moe.experts <= 16 ? 0.13 : 0.51;
  return config;
}

}  // namespace moeplan
