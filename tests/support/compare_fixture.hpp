// Scenarios and stored results to compare, and what is found of a comparison by name.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "study/compare_input.hpp"
#include "study/comparison.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace moeplan::test {

inline const std::filesystem::path kRoot = MOEPLAN_SOURCE_DIR;

/// The default scenario with 200 requests of short answers, and an objective so far off that no run is lengthened to judge it.
inline nlohmann::json scenario() {
  nlohmann::json s = small_scenario();
  s["objectives"] = {{"tpot_p99", "9 s"}};
  s["workload"]["output_tokens"] = {{"distribution", "uniform"}, {"low", 4}, {"high", 12}};
  s["workload"]["requests"] = 200;
  s["workload"]["warmup_requests"] = 20;
  return s;
}

inline double scenario_rate() { return mean_rate(resolved(scenario()).workload.arrivals); }

inline CompareInput input(const nlohmann::json& s) { return make_compare_input(resolved(s), data()); }

inline CompareInput stored(const TemporaryFolder& folder, const nlohmann::json& result) {
  return load_compare_input(folder.write("stored.json", result.dump()), data());
}

inline nlohmann::json result_of(const nlohmann::json& s) {
  const Scenario r = resolved(s);
  return nlohmann::json::parse(result_json(r, run_scenario(r, {}), data()));
}

inline Comparison compared(const std::vector<CompareInput>& inputs, const DataRoot* old_data = nullptr) {
  return compare(inputs, data(), old_data, {});
}

inline const Effect* effect(const Comparison& c, const std::string& name) {
  const auto found = std::find_if(c.effects.begin(), c.effects.end(), [&](const Effect& e) { return e.input == name; });
  return found == c.effects.end() ? nullptr : &*found;
}

inline const Difference* difference(const Comparison& c, const std::string& path) {
  const auto found = std::find_if(c.differences.begin(), c.differences.end(), [&](const Difference& d) { return d.path == path; });
  return found == c.differences.end() ? nullptr : &*found;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace moeplan::test
