// JSON as users write it: `//` comments allowed, duplicate keys refused, checked against a JSON Schema before anything is read, and every
// complaint names file, line and column (broken syntax) or JSON pointer (wrong content).
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace moeplan {

struct JsonDocument {
  nlohmann::json root;
  std::string file;  ///< as shown in messages
};

/// Reads and parses `file`; when `schema` is not empty, checks the document against that JSON Schema.
/// Throws InputError with one line: unreadable file, syntax (line and column), duplicate key, or the deepest schema violation (pointer, what
/// was found, what is accepted, nearest known key).
JsonDocument load_json(const std::filesystem::path& file, const std::filesystem::path& schema = {});

/// The same for text already in memory; `label` stands for the file name.
JsonDocument parse_json(const std::string& text, const std::string& label, const std::filesystem::path& schema = {});

}  // namespace moeplan
