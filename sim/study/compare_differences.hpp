// What is not the same between compared inputs.
#pragma once

#include <string>
#include <vector>

#include "study/comparison.hpp"

namespace moeplan {

/// Every value of the resolved scenarios, every catalogue file by its hash, and the program's version (of stored results) that differs.
/// Names of scenarios are left out.
std::vector<Difference> find_differences(const std::vector<CompareInput>& inputs);

/// The input that a path belongs to: "checkpoint", "hardware", "engine", "driver and kernel profile", "layout", "precision", "scheduler",
/// "workload", ...
std::string input_of(const std::string& path);

/// The part of a scenario that is taken over as one: "/deployment/precision" for "/deployment/precision/weights", "/workload" for what is
/// in it.
std::string root_of(const std::string& path);

/// The program that made a stored result; this one for a scenario.
std::string version_of(const CompareInput& input);

}  // namespace moeplan
