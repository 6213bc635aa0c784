// Scenarios as a test writes them, resolved and simulated with the shipped catalogues.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "input/json_document.hpp"
#include "study/data_root.hpp"
#include "study/result.hpp"
#include "study/scenario.hpp"
#include "study/simulation.hpp"
#include "support/input_error.hpp"

namespace moeplan::test {

inline const DataRoot& data() {
  static const DataRoot root(MOEPLAN_SOURCE_DIR);
  return root;
}

/// As if the scenario lay in `folder`.
inline Scenario resolved(const nlohmann::json& scenario, const std::filesystem::path& folder = std::filesystem::path(MOEPLAN_SOURCE_DIR) / "scenarios") {
  return resolve_scenario(parse_json(scenario.dump(), "s.json", data().schema("scenario")), folder, data());
}

/// The complaint about a scenario, empty without one.
inline std::string refused(const nlohmann::json& scenario) {
  return complaint_of([&] { resolved(scenario); });
}

/// The result, checked against its schema.
inline nlohmann::json checked(const Scenario& scenario, const Result& result) {
  const std::string text = result_json(scenario, result, data());
  CHECK(complaint_of([&] { parse_json(text, "result", std::filesystem::path(MOEPLAN_SOURCE_DIR) / "reports/schema/result.schema.json"); }) == "");
  return nlohmann::json::parse(text);
}

inline nlohmann::json simulated(const nlohmann::json& scenario, int replications = 1) {
  const Scenario s = resolved(scenario);
  RunOptions options;
  options.replications = replications;
  return checked(s, run_scenario(s, options));
}

}  // namespace moeplan::test
