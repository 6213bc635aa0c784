// JSON as users write it: `//` comments allowed, duplicate keys refused, checked against a JSON Schema before anything is read, and every
// complaint names file, line and column (broken syntax) or JSON pointer (wrong content).
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace moeplan {

/// Deeper nesting than this is refused, so that nothing that walks a document can exhaust the stack.
inline constexpr int kMaxJsonDepth = 200;

/// A parsed file. Movable; read it through JsonReader. (Only a forward declaration of nlohmann::json here: its header is slow to compile.)
struct JsonDocument {
  JsonDocument(nlohmann::json root, std::string file_name);
  ~JsonDocument();
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;

  [[nodiscard]] const nlohmann::json& root() const { return *root_; }

  std::string file;     ///< as shown in messages
  std::string pointer;  ///< of the root in it; "" unless it was taken out of a larger document

 private:
  std::unique_ptr<const nlohmann::json> root_;
};

/// Reads and parses `file`; when `schema` is not empty, checks the document against that JSON Schema.
/// Throws InputError with one line: unreadable file, syntax (line and column), duplicate key, or the deepest schema violation (pointer, what
/// was found, what is accepted, nearest known key).
JsonDocument load_json(const std::filesystem::path& file, const std::filesystem::path& schema = {});

/// The same for text already in memory; `label` stands for the file name, `pointer` is where in it the text stood.
JsonDocument parse_json(const std::string& text, const std::string& label, const std::filesystem::path& schema = {}, const std::string& pointer = "");

/// A whole file as bytes. Throws InputError when it cannot be read.
std::string read_file(const std::filesystem::path& file);

}  // namespace moeplan
