// The hardware, models, engines and features of a plan search, each combination resolved into the scenario that its candidates share.
#pragma once

#include <filesystem>
#include <vector>

#include "study/plan_space.hpp"

namespace moeplan {

/// Adds the bases of `document` to `space`, whose search is parsed. Gives for each base which of `features` it serves with. Throws InputError as
/// lay_out_plan does.
std::vector<std::size_t> add_bases(const JsonDocument& document, const std::filesystem::path& folder, const DataRoot& data, const std::vector<FeatureChoice>& features,
                                   PlanSpace& space);

}  // namespace moeplan
