// The scenarios that moeplan ships, cut down to a few requests so that a test can run them all, and edited as a test needs them.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace moeplan::test {

/// Files of scenarios/, sorted by name.
std::vector<std::filesystem::path> shipped_scenarios();

/// The scenario as JSON with `requests` requests, a tenth of them warm-up; its trace named by absolute path, so that it may lie anywhere.
nlohmann::json cut_down(const std::filesystem::path& scenario, int requests);

/// The default scenario, cut down to 40 requests.
nlohmann::json small_scenario();

/// `scenario` with the value at `pointer` replaced by `value` (JSON text); objects on the way are made.
nlohmann::json with(nlohmann::json scenario, const std::string& pointer, const std::string& value);

}  // namespace moeplan::test
