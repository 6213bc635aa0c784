#include "input/schema.hpp"

#include <map>
#include <nlohmann/json.hpp>

#define VALIJSON_USE_EXCEPTIONS 1  // without it valijson prints and aborts
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "base/error.hpp"
#include "input/printable.hpp"
#include "input/schema_violation.hpp"

namespace moeplan {
namespace {

using nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

// std::regex recurses per character: patterns are only ever run over text of bounded length.
constexpr std::size_t kMaxStringBytes = 16 * 1024;

// Replaces references to other files by references into the root's definitions.
class Bundler {
 public:
  json bundle(const std::filesystem::path& file) {
    root_file_ = std::filesystem::weakly_canonical(file);
    json root = load_json(file).root();
    rewrite(root, root_file_, "");
    for (auto& [name, document] : embedded_) root["definitions"][name] = std::move(document);
    return root;
  }

 private:
  // `prefix`: the pointer in the root under which the document of `file` will lie.
  void rewrite(json& node, const std::filesystem::path& file, const std::string& prefix) {
    if (node.is_array() || node.is_object()) {
      for (auto& child : node) rewrite(child, file, prefix);
    }
    if (!node.is_object() || !node.contains("$ref") || !node["$ref"].is_string()) return;
    const std::string reference = node["$ref"].get<std::string>();
    const auto hash = reference.find('#');
    const std::string target = reference.substr(0, hash);
    const std::string pointer = hash == std::string::npos ? "" : reference.substr(hash + 1);
    node["$ref"] = "#" + (target.empty() ? prefix : embed(std::filesystem::weakly_canonical(file.parent_path() / target))) + pointer;
  }

  // Pointer to the document of `file` in the root, embedding it first when it is new.
  std::string embed(const std::filesystem::path& file) {
    if (file == root_file_) return "";
    const auto known = names_.find(file.string());
    if (known != names_.end()) return "/definitions/" + known->second;
    const std::string name = "file" + std::to_string(names_.size() + 1);
    names_.emplace(file.string(), name);
    json document = load_json(file).root();
    rewrite(document, file, "/definitions/" + name);
    embedded_.emplace(name, std::move(document));
    return "/definitions/" + name;
  }

  std::filesystem::path root_file_;
  std::map<std::string, std::string> names_;
  std::map<std::string, json> embedded_;
};

void check_string_lengths(const json& value, const std::string& file, const std::string& pointer) {
  if (value.is_string() && value.get_ref<const std::string&>().size() > kMaxStringBytes) {
    throw InputError(file + ": " + pointer, "text longer than " + std::to_string(kMaxStringBytes) + " bytes");
  }
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) check_string_lengths(value[i], file, pointer + "/" + std::to_string(i));
  } else if (value.is_object()) {
    for (const auto& [key, child] : value.items()) check_string_lengths(child, file, pointer_to(pointer, printable(key)));
  }
}

// valijson's own words for what our explanation has no words for.
std::string fallback_message(const valijson::Schema& schema, const json& root) {
  valijson::Validator validator;
  valijson::ValidationResults results;
  validator.validate(schema, Adapter(root), &results);
  const valijson::ValidationResults::Error* deepest = nullptr;
  for (const auto& error : results) {
    if (deepest == nullptr || error.context.size() > deepest->context.size()) deepest = &error;
  }
  if (deepest == nullptr) return "does not match its schema";
  std::string pointer;
  for (std::size_t i = 1; i < deepest->context.size(); ++i) {
    std::string_view step = deepest->context[i];  // ["key"] or [0]
    while (!step.empty() && (step.front() == '[' || step.front() == '"')) step.remove_prefix(1);
    while (!step.empty() && (step.back() == ']' || step.back() == '"')) step.remove_suffix(1);
    pointer = pointer_to(pointer, step);
  }
  return printable(pointer, 200) + (pointer.empty() ? "" : ": ") + printable(deepest->description, 200);
}

}  // namespace

JsonDocument load_schema(const std::filesystem::path& schema_file) { return {Bundler().bundle(schema_file), schema_file.string()}; }

namespace {

/// Leaves of a schema what it says of types.
void keep_types(json& schema) {
  if (schema.is_array()) {
    for (json& each : schema) keep_types(each);
  }
  if (!schema.is_object()) return;
  for (const char* key : {"required", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "propertyNames", "minItems", "maxItems",
                          "minLength", "maxLength", "minProperties", "maxProperties", "uniqueItems"}) {
    schema.erase(key);
  }
  if (schema.contains("additionalProperties") && schema["additionalProperties"].is_boolean()) schema.erase("additionalProperties");
  if (schema.contains("oneOf")) {  // without its values more than one may hold
    schema["anyOf"] = schema["oneOf"];
    schema.erase("oneOf");
  }
  for (auto& [key, part] : schema.items()) {
    const bool by_name = key == "properties" || key == "definitions" || key == "patternProperties";
    if (!by_name) {
      keep_types(part);
      continue;
    }
    for (json& named : part) keep_types(named);
  }
}

void check(const JsonDocument& document, const JsonDocument& bundled, const std::filesystem::path& schema_file) {
  valijson::Schema schema;
  try {
    valijson::SchemaParser parser;
    parser.populateSchema(Adapter(bundled.root()), schema);
  } catch (const std::exception& error) {
    throw InputError(schema_file.string(), "is not a usable JSON Schema: " + printable(error.what(), 200));
  }
  check_string_lengths(document.root(), document.file, document.pointer);
  valijson::Validator validator;
  if (validator.validate(schema, Adapter(document.root()), nullptr)) return;
  const std::optional<SchemaViolation> violation = find_violation(bundled.root(), document.root());
  if (!violation) throw InputError(document.file, printable(document.pointer, 200) + fallback_message(schema, document.root()));
  const std::string pointer = printable(document.pointer + violation->pointer, 200);
  throw InputError(document.file + (pointer.empty() ? "" : ": " + pointer), violation->what);
}

}  // namespace

void check_against_schema(const JsonDocument& document, const std::filesystem::path& schema_file) { check(document, load_schema(schema_file), schema_file); }

void check_types_against_schema(const JsonDocument& document, const std::filesystem::path& schema_file) {
  json types = load_schema(schema_file).root();
  keep_types(types);
  check(document, {std::move(types), schema_file.string()}, schema_file);
}

}  // namespace moeplan
