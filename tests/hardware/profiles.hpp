// The shipped catalogues, as tests read them.
#pragma once

#include <filesystem>
#include <string>

#include "hardware/hardware_catalogue.hpp"

namespace moeplan::test {

inline std::filesystem::path profiles(const std::string& folder) { return std::filesystem::path(MOEPLAN_SOURCE_DIR) / "hardware_profiles" / folder; }
inline std::filesystem::path schema(const std::string& kind) {
  return std::filesystem::path(MOEPLAN_SOURCE_DIR) / "scenarios/schema" / (kind + ".schema.json");
}
inline GpuSpec gpu(const std::string& id) { return load_gpu(profiles("gpus") / (id + ".json"), schema("gpu")); }
inline NodeSpec node(const std::string& id) { return load_node(profiles("nodes") / (id + ".json"), schema("node")); }
inline EngineProfile engine(const std::string& id) { return load_engine(profiles("engines") / (id + ".json"), schema("engine")); }

}  // namespace moeplan::test
