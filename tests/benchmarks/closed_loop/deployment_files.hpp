// The reference engine as `moeplan` sees it: a model, an engine without overheads that runs the measured kernels, a scenario on the measured node.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reference_engine/engine.hpp"

namespace moeplan::reference {

struct Setup {
  std::string name;  ///< "dense", "mixture"
  ModelConfig model;
  EngineConfig engine;
};

/// Writes NAME.json, and NAME.trace.csv with the requests, into `folder`; returns the scenario's path. gpu.json, node.json and fitted.json are
/// expected beside it.
std::filesystem::path write_scenario(const std::filesystem::path& folder, const Setup& setup, const std::vector<Request>& requests);

}  // namespace moeplan::reference
