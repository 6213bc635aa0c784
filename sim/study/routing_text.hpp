// A routing configuration in words, for summaries and reports.
#pragma once

#include <string>

#include "routing/routing_config.hpp"

namespace moeplan {

/// "lognormal, sigma 0.5 (source)".
std::string routing_text(const RoutingConfig& routing);

}  // namespace moeplan
