#include "study/page.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/json_document.hpp"
#include "input/schema.hpp"
#include "study/page_template.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

/// JSON that may stand inside a script element: no "<" that could end it or start a comment, no line separators that older parsers refuse.
std::string embeddable(const json& value) {
  const std::string text = value.dump();
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') {
      safe += "\\u003c";
    } else if (text.compare(i, 3, "\xe2\x80\xa8") == 0 || text.compare(i, 3, "\xe2\x80\xa9") == 0) {
      safe += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      safe += text[i];
    }
  }
  return safe;
}

std::string page_of(const json& value) {
  std::string page(page_head());
  page += embeddable(value);
  page += page_tail();
  return page;
}

/// What tells the kinds of result apart: any of these sets of keys.
bool is_result(const json& value) {
  const auto has = [&](std::initializer_list<const char*> keys) {
    return value.is_object() && std::all_of(keys.begin(), keys.end(), [&](const char* key) { return value.contains(key); });
  };
  return has({"schema", "scenario", "memory"}) || has({"comparison"}) || has({"runs", "metrics", "rows"}) || has({"log", "timeline", "requests"});
}

}  // namespace

std::string report_page(std::string_view text) { return page_of(json::parse(text)); }

std::string stored_report_page(const std::string& file, const std::filesystem::path& schemas) {
  const JsonDocument document = load_json(file);
  const json& root = document.root();
  if (!is_result(root)) throw InputError(file, "is no result of moeplan: expected what --json of simulate, memory, plan, compare or validate wrote");
  const bool validation = !root.contains("schema") && !root.contains("comparison");
  const std::filesystem::path schema = schemas / (validation ? "validation.schema.json" : "result.schema.json");
  if (std::filesystem::exists(schema)) check_types_against_schema(document, schema);
  return page_of(document.root());
}

}  // namespace moeplan
