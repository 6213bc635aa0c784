// Reads hardware_profiles/{gpus,nodes,engines}: facts in JSON with units as text, checked against a schema and then for sense.
#pragma once

#include <filesystem>

#include "hardware/engine_profile.hpp"
#include "hardware/gpu_spec.hpp"
#include "hardware/node_spec.hpp"

namespace moeplan {

class JsonReader;

/// Each throws InputError naming file and place: schema violation, missing unit, or a value that no such device has (zero bandwidth, usable memory
/// far from the nominal one, more network than the NICs carry, torus dimensions that do not make up the GPUs). `schema` may be empty.
GpuSpec load_gpu(const std::filesystem::path& file, const std::filesystem::path& schema);
NodeSpec load_node(const std::filesystem::path& file, const std::filesystem::path& schema);
EngineProfile load_engine(const std::filesystem::path& file, const std::filesystem::path& schema);

/// The same for an object inside another document (an inline node of a scenario), which the caller has checked against the schema.
GpuSpec read_gpu(const JsonReader& json);
NodeSpec read_node(const JsonReader& json);
EngineProfile read_engine(const JsonReader& json);

}  // namespace moeplan
