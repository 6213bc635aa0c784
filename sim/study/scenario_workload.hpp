// The workload of a scenario: written inline, or a file of scenarios/workloads named by id or path.
#pragma once

#include <filesystem>

#include "study/data_root.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

class JsonReader;
struct Scenario;

/// Reads and checks a workload file; its paths are relative to it. Throws InputError.
WorkloadConfig load_workload(const std::filesystem::path& file, const DataRoot& data);

/// Fills `scenario.workload` from the key `workload` of `root`, notes the files it rests on, and checks it against the context of the
/// model, which is resolved already. Throws InputError for prompts that can never fit; prompts of a trace that do not are a warning.
void resolve_scenario_workload(const JsonReader& root, const std::filesystem::path& folder, const DataRoot& data, Scenario& scenario);

}  // namespace moeplan
