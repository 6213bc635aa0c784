// A scenario with every default filled in, as JSON in the scenario's own format: what a result repeats so that a reader sees all of it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "study/data_root.hpp"
#include "study/scenario.hpp"

namespace moeplan {

/// A `scenario` object with every value resolved. It is a valid scenario file but for catalogue paths.
nlohmann::json resolved_scenario_json(const Scenario& scenario, const DataRoot& data);

}  // namespace moeplan
