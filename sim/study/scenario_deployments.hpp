// The fleet parts of a scenario beyond one deployment: node failures, further deployments on the same cluster.
#pragma once

#include <filesystem>

#include "study/scenario.hpp"

namespace moeplan {

/// Reads `failures` and `deployments`, and checks what fleets can and cannot be. A deployment has its own workload, or a `share` of the scenario's
/// requests, which then loses it; pools do not scale. Throws InputError.
void resolve_fleet(const JsonReader& root, const std::filesystem::path& folder, const DataRoot& data, bool starting_point, Scenario& scenario);

}  // namespace moeplan
