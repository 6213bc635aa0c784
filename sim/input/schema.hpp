// JSON Schema (draft 7) over a parsed document. valijson gives the verdict; the wording of a refusal is ours (schema_violation.hpp), because a
// user needs one line about the branch that was meant, not every constraint that failed.
#pragma once

#include <filesystem>

#include "input/json_document.hpp"

namespace moeplan {

/// Throws InputError naming file, JSON pointer, what was found and what is accepted, when `document` violates the schema in `schema_file`.
/// References to other schema files ("gpu.schema.json#/definitions/x") are read relative to the file that holds them.
void check_against_schema(const JsonDocument& document, const std::filesystem::path& schema_file);

/// The same of the types alone, for documents that other versions have written: what is missing, new or out of range is accepted.
void check_types_against_schema(const JsonDocument& document, const std::filesystem::path& schema_file);

/// The schema of `schema_file` with every referenced file embedded under "definitions", so that only local references remain.
JsonDocument load_schema(const std::filesystem::path& schema_file);

}  // namespace moeplan
