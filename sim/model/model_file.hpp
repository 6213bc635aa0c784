// Reads a ModelSpec from moeplan's own JSON (scenarios/schema/model.schema.json): a catalogue entry, a user's file, or an object inside a
// scenario. The schema catches wrong keys and kinds; what only the figures together can show is checked here.
#pragma once

#include <filesystem>
#include <string_view>

#include "input/json_reader.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

/// The model of an object that was already checked against model.schema.json (directly, or through a reference in another schema).
/// `fallback_id` names a model without "id". Throws InputError (file, pointer) when heads are no multiple of kv_heads, top_k exceeds the
/// experts, sizes are not positive or absurd, or the entry says that it cannot be simulated.
ModelSpec parse_model(const JsonReader& model, std::string_view fallback_id = "inline");

/// The model in `file`, checked against `schema_folder`/model.schema.json. Throws as parse_model; a model without "id" is named after the
/// file.
ModelSpec load_model(const std::filesystem::path& file, const std::filesystem::path& schema_folder);

/// As load_model, but an entry that cannot be simulated is returned with `refused` set (and whatever layers it gives, to be counted): for
/// listings of the catalogue only.
ModelSpec read_model_entry(const std::filesystem::path& file, const std::filesystem::path& schema_folder);

}  // namespace moeplan
